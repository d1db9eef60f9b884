#include "lib/config/yaml_text.h"

#include <algorithm>
#include <cstdint>

#include "lib/base/utf8.h"

namespace bsockd {

YamlText::YamlText(std::string_view text) : text_(text) {
  line_starts_.push_back(0);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') line_starts_.push_back(i + 1);
  }
}

TextError YamlText::Check() const {
  for (size_t i = 0; i < text_.size();) {
    const char c = text_[i];
    if ((c >= 0x20 && c < 0x7F) || c == '\n' || c == '\t') {
      ++i;
      continue;
    }
    if (c == '\r') {
      if (i + 1 == text_.size() || text_[i + 1] != '\n') {
        return {PlaceOf(i), "a carriage return without a newline (write \"\\r\" in quotes)"};
      }
      ++i;
      continue;
    }
    if (c == '\0') return {PlaceOf(i), "a NUL byte (write \"\\0\" in quotes)"};
    const Utf8Character character = DecodeUtf8(text_.substr(i));
    if (character.bytes == 0) return {PlaceOf(i), "not UTF-8"};
    // U+0085 is a line end of old, which YAML allows.
    if (character.code < 0xA0 && character.code != 0x85) {
      return {PlaceOf(i),
              "a control character (write it as an escape in quotes, such as \"\\x1b\")"};
    }
    i += character.bytes;
  }
  return {};
}

std::string_view YamlText::Line(int line) const {
  const auto index = static_cast<size_t>(line) - 1;
  if (line < 1 || index >= line_starts_.size()) return {};
  const size_t start = line_starts_[index];
  const size_t next = index + 1 < line_starts_.size() ? line_starts_[index + 1] : text_.size() + 1;
  std::string_view result = text_.substr(start, next - 1 - start);
  if (!result.empty() && result.back() == '\r') result.remove_suffix(1);
  return result;
}

char YamlText::At(Place place) const {
  const std::string_view line = Line(place.line);
  const auto index = static_cast<size_t>(place.column) - 1;
  return place.column >= 1 && index < line.size() ? line[index] : '\0';
}

Place YamlText::Clamp(Place place) const {
  const int lines = static_cast<int>(line_starts_.size());
  if (place.line > lines) return PlaceOf(text_.size());
  place.line = std::max(place.line, 1);
  const int columns_max = static_cast<int>(Line(place.line).size()) + 1;
  place.column = std::clamp(place.column, 1, columns_max);
  return place;
}

int YamlText::TabInIndentation(int line) const {
  const std::string_view text = Line(line);
  const size_t end = std::min(text.find_first_not_of(" \t"), text.size());
  const size_t tab = text.substr(0, end).find('\t');
  return tab == text.npos ? 0 : static_cast<int>(tab) + 1;
}

Place YamlText::UnclosedQuote(Place place) const {
  place = Clamp(place);
  size_t at =
      line_starts_[static_cast<size_t>(place.line) - 1] + static_cast<size_t>(place.column) - 1;
  while (at < text_.size() && (text_[at] == '&' || text_[at] == '!')) {
    at = std::min(text_.find_first_of(" \t\r\n", at), text_.size());
    at = std::min(text_.find_first_not_of(" \t\r\n", at), text_.size());
  }
  if (at == text_.size() || (text_[at] != '"' && text_[at] != '\'')) return {};
  const char quote = text_[at];
  for (size_t i = at + 1; i < text_.size(); ++i) {
    // In single quotes a quote is written twice: it closes and opens again.
    if (text_[i] == quote) {
      if (quote == '"' || i + 1 == text_.size() || text_[i + 1] != quote) return {};
      ++i;
    } else if (text_[i] == '\\' && quote == '"') {
      ++i;
    }
  }
  return PlaceOf(at);
}

Place YamlText::PlaceOf(size_t offset) const {
  const auto after = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const auto line = static_cast<size_t>(after - line_starts_.begin());
  return {static_cast<int>(line), static_cast<int>(offset - line_starts_[line - 1]) + 1};
}

}  // namespace bsockd
