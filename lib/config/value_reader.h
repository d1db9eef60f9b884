// ValueReader: typed reading of YAML nodes, with an error in the user's words for whatever is
// wrong.
//
// Every Read function returns true and sets its output, or adds an error and leaves it alone. All
// of a file is read whatever has gone wrong before, so that one pass finds every error.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/clock.h"
#include "lib/config/config.h"
#include "lib/config/error.h"
#include "lib/config/names.h"
#include "lib/config/yaml_reader.h"

namespace bsockd {

// A node and what to call it: the key that it stands under. Borrows both from the document.
struct Value {
  const YamlNode* node;
  std::string_view name;
  Place place;      // Of the node, or of the key where nothing follows the key.
  Place key_place;  // Of the key.
};

// `text` in quotes, for a message: escaped, and cut where it is long.
std::string Quoted(std::string_view text);
// `a`, `a or b`, `a, b or c`, with `last` before the last one.
std::string Join(std::span<const std::string_view> words, std::string_view last);

class ValueReader {
 public:
  // A key that a map may have, and what to do with its value.
  struct Field {
    std::string_view key;
    std::function<void(const Value&)> read;
  };

  // `errors` outlives the object.
  explicit ValueReader(ErrorList* errors) : errors_(errors) {}

  ErrorList& errors() { return *errors_; }

  // Adds `NAME cannot be SHOWN (HINT)`.
  void Reject(const Value& value, std::string_view hint);

  template <typename T>
  bool ReadInteger(const Value& value, T min, T max, T* out) {
    return ReadWholeNumber(value, {}, min, max, out);
  }
  // A number, or `word`, which is 0.
  template <typename T>
  bool ReadIntegerOr(std::string_view word, const Value& value, T min, T max, T* out) {
    return ReadWholeNumber(value, word, min, max, out);
  }
  bool ReadBool(const Value& value, bool* out);
  bool ReadDuration(const Value& value, Duration min, Duration max, Duration* out);
  bool ReadSize(const Value& value, size_t min, size_t max, size_t* out);
  bool ReadMode(const Value& value, mode_t* out);
  // A scalar that YAML takes for a string. `hint` says what would be right.
  bool ReadString(const Value& value, std::string_view hint, std::string* out);
  template <typename T, size_t N>
  bool ReadName(const Value& value, const Name<T> (&names)[N], T* out) {
    std::vector<std::string_view> words;
    for (const Name<T>& entry : names) words.push_back(entry.name);
    size_t index;
    if (!ReadWord(value, words, &index)) return false;
    *out = names[index].value;
    return true;
  }

  // A value V, or `{value: V, enforce: BOOLEAN}`. `read` gets V, called as the whole is.
  template <typename T, typename Read>
  bool ReadLimit(const Value& value, Limit<T>* out, const Read& read) {
    Limit<T> limit;
    const bool ok =
        ReadEnforced(value, &limit.enforce, [&](const Value& v) { return read(v, &limit.value); });
    if (ok) *out = std::move(limit);
    return ok;
  }

  // One value, or each of a list that is not empty; every item is called as the list is.
  bool ReadOneOrList(const Value& value, std::string_view hint,
                     const std::function<void(const Value&)>& read);

  // A map with these keys and no others; a value that is missing is an empty map.
  bool ReadMap(const Value& value, std::initializer_list<Field> fields);

  // A map with keys that the user chooses. `read` is called for each entry; `first` is false for
  // one whose key stood there before.
  bool ReadEntries(const Value& value,
                   const std::function<void(const Value& entry, bool first)>& read);

 private:
  bool ReadWholeNumber(const Value& value, std::string_view word, int64_t min, int64_t max,
                       int64_t* out);
  template <typename T>
  bool ReadWholeNumber(const Value& value, std::string_view word, T min, T max, T* out) {
    int64_t number;
    if (!ReadWholeNumber(value, word, static_cast<int64_t>(min), static_cast<int64_t>(max),
                         &number))
      return false;
    *out = static_cast<T>(number);
    return true;
  }
  bool ReadEnforced(const Value& value, bool* enforce,
                    const std::function<bool(const Value&)>& read);
  // Null if it is not a scalar, with an error.
  const YamlNode* Scalar(const Value& value, std::string_view hint);
  // What a parser of scalars made of the value.
  template <typename T, typename Out>
  bool Take(const Value& value, const absl::StatusOr<T>& parsed, Out* out);
  bool ReadWord(const Value& value, std::span<const std::string_view> words, size_t* index);
  // Whether `key` can be one; an error if not.
  bool CheckKey(const YamlNode& key);
  void RejectKey(const Value& entry, std::string_view map_name,
                 std::span<const std::string_view> allowed);

  ErrorList* const errors_;
};

}  // namespace bsockd
