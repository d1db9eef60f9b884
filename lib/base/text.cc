#include "lib/base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "lib/base/utf8.h"

namespace bsockd {
namespace {

// Whether a character beyond ASCII is harmless on a terminal and in a line.
bool IsPrintable(uint32_t code) {
  if (code < 0xA0) return false;  // U+0080..U+009F are control characters.
  // Bidirectional controls reorder what stands around them on a terminal, and U+2028 and U+2029
  // end lines.
  return code != 0x061C && code != 0x200E && code != 0x200F && (code < 0x2028 || code > 0x202E) &&
         (code < 0x2066 || code > 0x2069);
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
  const size_t end = std::min(bytes.size(), bytes_max);
  for (size_t i = 0; i < end;) {
    const char c = bytes[i];
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
    } else if (const Utf8Character character = DecodeUtf8(bytes.substr(i));
               character.bytes > 0 && IsPrintable(character.code)) {
      if (i + character.bytes > end) break;  // Half a character is none.
      out->append(bytes.substr(i, character.bytes));
      i += character.bytes;
      continue;
    } else {
      fmt::format_to(std::back_inserter(*out), "\\x{:02x}", static_cast<uint8_t>(c));
    }
    ++i;
  }
  if (bytes.size() > bytes_max) {
    fmt::format_to(std::back_inserter(*out), "... ({} bytes)", bytes.size());
  }
}

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string_view NearestWord(std::string_view text, const std::string_view* candidates,
                             size_t count) {
  constexpr size_t kTextBytesMax = 64;  // Longer ones are no misspelling of ours.
  std::string_view best;
  size_t best_distance = 3;
  if (text.size() > kTextBytesMax) return best;
  for (size_t i = 0; i < count; ++i) {
    // Each byte more or less is an edit; so nothing is compared with a candidate of any length.
    const size_t longer = std::max(text.size(), candidates[i].size());
    if (longer - std::min(text.size(), candidates[i].size()) >= best_distance) continue;
    const size_t distance = EditDistance(text, candidates[i]);
    if (distance < best_distance && distance * 2 < longer) {
      best = candidates[i];
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace bsockd
