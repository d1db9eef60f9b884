// ConfigError and ErrorList: what is wrong in a configuration, and where.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bsockd {

// One thing wrong in a configuration.
struct ConfigError {
  int line = 0;    // From 1; 0 where the error has no place, such as a file that cannot be read.
  int column = 0;  // From 1, in characters.
  std::string message;  // What is wrong, and in parentheses what would be right.

  bool operator==(const ConfigError&) const = default;
};

// A place in the text while it is being read: from 1, the column in bytes. {0, 0} is no place.
struct Place {
  int line = 0;
  int column = 0;
};

// Collects errors in any order; gives them sorted. Used by one thread.
class ErrorList {
 public:
  static constexpr size_t kErrorsMax = 1000;

  // Past kErrorsMax errors, nothing more is kept.
  void Add(Place place, std::string message);

  bool empty() const { return errors_.empty(); }
  // More errors would not be kept, so they need not be looked for.
  bool full() const { return errors_.size() >= kErrorsMax; }

  // The errors in the order of their places, the same one only once (what an alias repeats is wrong
  // once), with their columns counted in characters of `text`, the text that was read.
  std::vector<ConfigError> Finish(std::string_view text) &&;

 private:
  std::vector<ConfigError> errors_;
};

}  // namespace bsockd
