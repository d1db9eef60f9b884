// What is looked up in the text of a YAML file itself: its lines, tabs in indentation, quotes left
// open, bytes that no YAML file holds. Pure.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "lib/config/error.h"

namespace bsockd {

inline constexpr std::string_view kTabMessage =
    "a tab is used for indentation (YAML indents with spaces only)";

struct TextError {
  Place place;  // {0, 0} = no error.
  std::string_view message;
};

class YamlText {
 public:
  // `text` outlives the object.
  explicit YamlText(std::string_view text);

  // The first thing in the text that no YAML file holds (YAML 1.2, section 5.1): a control
  // character, bytes that are not UTF-8. The YAML library would take some of them for the end.
  TextError Check() const;

  // A line without its end; empty where there is no such line.
  std::string_view Line(int line) const;
  // The byte at a place of the text; '\0' behind the end of the line.
  char At(Place place) const;
  // The nearest place that the text has.
  Place Clamp(Place place) const;
  // The column of the first tab before the first other character of the line, or 0.
  int TabInIndentation(int line) const;
  // Where the quote opens of the scalar at `place` if it is not closed before the text ends.
  // `place` may be that of an anchor or a tag before the quote.
  Place UnclosedQuote(Place place) const;

 private:
  Place PlaceOf(size_t offset) const;

  const std::string_view text_;
  std::vector<size_t> line_starts_;
};

}  // namespace bsockd
