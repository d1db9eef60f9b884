#include "lib/base/text.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <vector>

#include <fmt/format.h>

namespace bsockd {
namespace {

// The length of the printable UTF-8 sequence at the start of `bytes`, or 0 where there is none.
// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
size_t PrintableUtf8(std::string_view bytes) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const uint8_t lead = byte(0);
  size_t length;
  uint32_t code;
  uint32_t least;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2, code = lead & 0x1F, least = 0xA0;  // U+0080..U+009F are control characters.
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3, code = lead & 0x0F, least = 0x800;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4, code = lead & 0x07, least = 0x10000;
  } else {
    return 0;
  }
  if (bytes.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3F);
  }
  if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return 0;
  // Bidirectional overrides reorder what stands around them on a terminal, and U+2028 and U+2029
  // end lines.
  if ((code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069)) return 0;
  return length;
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

void AppendEscaped(std::string_view bytes, size_t bytes_max, std::string* out) {
  std::string_view shown = bytes.substr(0, bytes_max);
  while (!shown.empty()) {
    const char c = shown.front();
    size_t taken = 1;
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (c >= 0x20 && c < 0x7F) {
      out->push_back(c);
    } else if (c == '\n') {
      out->append("\\n");
    } else if (c == '\r') {
      out->append("\\r");
    } else if (c == '\t') {
      out->append("\\t");
    } else if (const size_t length = PrintableUtf8(shown); length > 0) {
      out->append(shown.substr(0, length));
      taken = length;
    } else {
      fmt::format_to(std::back_inserter(*out), "\\x{:02x}", static_cast<uint8_t>(c));
    }
    shown.remove_prefix(taken);
  }
  if (bytes.size() > bytes_max) {
    fmt::format_to(std::back_inserter(*out), "... ({} bytes)", bytes.size());
  }
}

std::string_view NearestWord(std::string_view text, const std::string_view* candidates,
                             size_t count) {
  constexpr size_t kTextBytesMax = 64;  // Longer ones are no misspelling of ours.
  std::string_view best;
  size_t best_distance = 3;
  if (text.size() > kTextBytesMax) return best;
  for (size_t i = 0; i < count; ++i) {
    const size_t distance = EditDistance(text, candidates[i]);
    if (distance < best_distance && distance * 2 < std::max(text.size(), candidates[i].size())) {
      best = candidates[i];
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace bsockd
