// UTF-8, strictly as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bsockd {

struct Utf8Character {
  uint32_t code = 0;  // The code point.
  size_t bytes = 0;   // How many bytes of the text it takes; 0 = no well-formed character here.
};

// The character at the start of `text`, which is not empty.
Utf8Character DecodeUtf8(std::string_view text);

}  // namespace bsockd
