// Bytes as hexadecimal digits. Pure.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

namespace bsockd {

// The bytes of `text`: digits of either case in pairs, with spaces and colons anywhere but inside a
// pair. Errors: InvalidArgument with the position, in bytes from 1.
absl::StatusOr<std::string> FromHex(std::string_view text);

// Lower case, without anything in between.
std::string ToHex(std::string_view bytes);

}  // namespace bsockd
