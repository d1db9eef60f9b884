#include "lib/base/utf8.h"

namespace bsockd {

Utf8Character DecodeUtf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  Utf8Character result;
  uint32_t least;
  if (lead >= 0xC2 && lead <= 0xDF) {
    result = {lead & 0x1Fu, 2}, least = 0x80;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    result = {lead & 0x0Fu, 3}, least = 0x800;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    result = {lead & 0x07u, 4}, least = 0x10000;
  } else {
    return {};
  }
  if (text.size() < result.bytes) return {};
  for (size_t i = 1; i < result.bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    result.code = result.code << 6 | (byte(i) & 0x3Fu);
  }
  const bool surrogate = result.code >= 0xD800 && result.code <= 0xDFFF;
  if (result.code < least || result.code > 0x10FFFF || surrogate) return {};
  return result;
}

}  // namespace bsockd
