#include "lib/base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <vector>

#include "lib/base/utf8.h"

namespace bsockd {
namespace {

// The length of the printable character beyond ASCII at the start of `bytes`, or 0 where there is
// none.
size_t PrintableUtf8(std::string_view bytes) {
  const Utf8Character character = DecodeUtf8(bytes);
  const uint32_t code = character.code;
  if (code < 0xA0) return 0;  // U+0080..U+009F are control characters.
  // Bidirectional controls reorder what stands around them on a terminal, and U+2028 and U+2029
  // end lines.
  if (code == 0x061C || code == 0x200E || code == 0x200F || (code >= 0x2028 && code <= 0x202E) ||
      (code >= 0x2066 && code <= 0x2069)) {
    return 0;
  }
  return character.bytes;
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
