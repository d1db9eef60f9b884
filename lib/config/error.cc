#include "lib/config/error.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace bsockd {
namespace {

// Turns columns from bytes into characters, in one walk over the text. `errors` are sorted.
void CountCharacters(std::string_view text, std::vector<ConfigError>* errors) {
  size_t at = 0;
  int line = 1;
  int byte_column = 1;
  int column = 1;
  for (ConfigError& error : *errors) {
    if (error.line == 0) continue;
    for (; at < text.size() && std::tie(line, byte_column) < std::tie(error.line, error.column);
         ++at) {
      if (text[at] == '\n') {
        ++line;
        byte_column = column = 1;
        continue;
      }
      ++byte_column;
      // A byte that is followed by a continuation byte does not end its character (RFC 3629).
      const bool inside = at + 1 < text.size() && (text[at + 1] & 0xC0) == 0x80;
      if (!inside) ++column;
    }
    error.column = column;
  }
}

}  // namespace

void ErrorList::Add(Place place, std::string message) {
  if (!full()) errors_.push_back({place.line, place.column, std::move(message)});
}

std::vector<ConfigError> ErrorList::Finish(std::string_view text) && {
  const bool was_full = full();
  std::stable_sort(errors_.begin(), errors_.end(), [](const auto& a, const auto& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  std::vector<ConfigError> result;
  size_t same_place = 0;  // Where the errors of the place at hand begin in `result`.
  for (ConfigError& error : errors_) {
    if (!result.empty() &&
        std::tie(result.back().line, result.back().column) != std::tie(error.line, error.column)) {
      same_place = result.size();
    }
    if (std::find(result.begin() + same_place, result.end(), error) != result.end()) continue;
    result.push_back(std::move(error));
  }
  CountCharacters(text, &result);
  if (was_full) {
    result.push_back({0, 0, "too many errors; the rest is not shown"});
  }
  return result;
}

}  // namespace bsockd
