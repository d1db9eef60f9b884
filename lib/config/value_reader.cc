#include "lib/config/value_reader.h"

#include <absl/container/flat_hash_map.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/base/text.h"
#include "lib/config/scalars.h"

namespace bsockd {
namespace {

constexpr size_t kShownBytesMax = 64;

std::string Shown(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "empty";
    case YamlNode::Kind::kSequence:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
    case YamlNode::Kind::kScalar:
      break;
  }
  return Quoted(node.text);
}

bool HasKey(const YamlNode& node, std::string_view key) {
  if (node.kind != YamlNode::Kind::kMap) return false;
  for (size_t i = 0; i < node.children.size(); i += 2) {
    const YamlNode& candidate = *node.children[i];
    if (candidate.kind == YamlNode::Kind::kScalar && candidate.text == key) return true;
  }
  return false;
}

}  // namespace

std::string Quoted(std::string_view text) {
  std::string result = "\"";
  AppendEscaped(text, kShownBytesMax, &result);
  result.push_back('"');
  return result;
}

std::string Join(std::span<const std::string_view> words, std::string_view last) {
  std::string result;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) result.append(i + 1 == words.size() ? fmt::format(" {} ", last) : ", ");
    result.append(words[i]);
  }
  return result;
}

void ValueReader::Reject(const Value& value, std::string_view hint) {
  errors_->Add(value.place,
               fmt::format("{} cannot be {} ({})", value.name, Shown(*value.node), hint));
}

const YamlNode* ValueReader::Scalar(const Value& value, std::string_view hint) {
  if (value.node->kind == YamlNode::Kind::kScalar) return value.node;
  Reject(value, hint);
  return nullptr;
}

template <typename T, typename Out>
bool ValueReader::Take(const Value& value, const absl::StatusOr<T>& parsed, Out* out) {
  if (!parsed.ok()) {
    Reject(value, MessageOf(parsed.status()));
    return false;
  }
  *out = static_cast<Out>(*parsed);
  return true;
}

bool ValueReader::ReadWholeNumber(const Value& value, std::string_view word, int64_t min,
                                  int64_t max, int64_t* out) {
  const YamlNode& node = *value.node;
  if (!word.empty() && node.kind == YamlNode::Kind::kScalar && node.text == word) {
    *out = 0;
    return true;
  }
  const auto hint = [&] {
    return fmt::format("it is {}{}a whole number from {} to {}{}", word, word.empty() ? "" : " or ",
                       min, max, node.quoted ? ", without quotes" : "");
  };
  const absl::StatusOr<int64_t> number = ParseInteger(node.text, min, max);
  if (number.ok() && !node.quoted) {
    *out = *number;
    return true;
  }
  // Of what is a number, only the range is to be told.
  const bool outside = absl::IsOutOfRange(number.status()) && !node.quoted && word.empty();
  Reject(value, outside ? std::string(MessageOf(number.status())) : hint());
  return false;
}

bool ValueReader::ReadBool(const Value& value, bool* out) {
  const YamlNode* node = Scalar(value, "it is true or false");
  if (node == nullptr) return false;
  if (node->quoted) {
    Reject(value, "it is true or false, without quotes");
    return false;
  }
  return Take(value, ParseBool(node->text), out);
}

bool ValueReader::ReadDuration(const Value& value, Duration min, Duration max, Duration* out) {
  const YamlNode* node = Scalar(value, "it is a duration, such as 30s");
  return node != nullptr && Take(value, ParseDuration(node->text, min, max), out);
}

bool ValueReader::ReadSize(const Value& value, size_t min, size_t max, size_t* out) {
  const YamlNode* node = Scalar(value, "it is a size, such as 64KiB");
  return node != nullptr && Take(value, ParseSize(node->text, min, max), out);
}

bool ValueReader::ReadMode(const Value& value, mode_t* out) {
  const YamlNode* node = Scalar(value, "it is an octal number, such as 0660");
  return node != nullptr && Take(value, ParseMode(node->text), out);
}

bool ValueReader::ReadString(const Value& value, std::string_view hint, std::string* out) {
  const YamlNode* node = Scalar(value, hint);
  if (node == nullptr) return false;
  if (!node->quoted && PlainTypeOf(node->text) != PlainType::kString) {
    const bool number = PlainTypeOf(node->text) == PlainType::kNumber;
    errors_->Add(value.place,
                 fmt::format("{} cannot be the {} {} (a string goes in quotes: {})", value.name,
                             number ? "number" : "boolean", node->text, Quoted(node->text)));
    return false;
  }
  *out = node->text;
  return true;
}

bool ValueReader::ReadWord(const Value& value, std::span<const std::string_view> words,
                           size_t* index) {
  const std::string hint = fmt::format("it is {}", Join(words, "or"));
  const YamlNode* node = Scalar(value, hint);
  if (node == nullptr) return false;
  const auto found = std::find(words.begin(), words.end(), node->text);
  if (found != words.end()) {
    *index = static_cast<size_t>(found - words.begin());
    return true;
  }
  const std::string_view near = NearestWord(node->text, words.data(), words.size());
  Reject(value, near.empty() ? hint : fmt::format("did you mean \"{}\"?", near));
  return false;
}

bool ValueReader::ReadEnforced(const Value& value, bool* enforce,
                               const std::function<bool(const Value&)>& read) {
  if (!HasKey(*value.node, "value") && !HasKey(*value.node, "enforce")) return read(value);
  bool has_value = false;
  bool ok = true;
  const bool is_map =
      ReadMap(value, {
                         {"value",
                          [&](const Value& v) {
                            has_value = true;
                            ok &= read({v.node, value.name, v.place, v.key_place});
                          }},
                         {"enforce", [&](const Value& v) { ok &= ReadBool(v, enforce); }},
                     });
  if (is_map && !has_value) {
    errors_->Add(
        value.place,
        fmt::format("{0} has no value (write {0}: {{value: ..., enforce: false}})", value.name));
  }
  return is_map && has_value && ok;
}

bool ValueReader::ReadOneOrList(const Value& value, std::string_view hint,
                                const std::function<void(const Value&)>& read) {
  if (value.node->kind != YamlNode::Kind::kSequence) {
    if (Scalar(value, hint) == nullptr) return false;
    read(value);
    return true;
  }
  if (value.node->children.empty()) {
    errors_->Add(value.place, fmt::format("{} cannot be an empty list ({})", value.name, hint));
    return false;
  }
  for (const YamlNode* item : value.node->children) {
    if (errors_->full()) return false;
    // The library places an empty item where the next one begins.
    const Place place = item->kind == YamlNode::Kind::kNull ? value.place : item->place;
    const Value item_value{item, value.name, place, value.key_place};
    if (Scalar(item_value, hint) != nullptr) read(item_value);
  }
  return true;
}

bool ValueReader::CheckKey(const YamlNode& key) {
  if (key.kind != YamlNode::Kind::kScalar) {
    const std::string shown = Shown(key);
    errors_->Add(key.place, fmt::format("a key cannot be {} (it is a string)", shown));
    return false;
  }
  if (key.quoted) return true;
  if (key.text == "<<") {
    errors_->Add(key.place, "merge keys are not used here (write out the keys of the other map)");
    return false;
  }
  if (PlainTypeOf(key.text) != PlainType::kString) {
    errors_->Add(key.place, fmt::format("a key cannot be the number or boolean {} (write it in "
                                        "quotes: {})",
                                        key.text, Quoted(key.text)));
    return false;
  }
  return true;
}

bool ValueReader::ReadEntries(const Value& value,
                              const std::function<void(const Value& entry, bool first)>& read) {
  if (value.node->kind == YamlNode::Kind::kNull) return true;
  if (value.node->kind != YamlNode::Kind::kMap) {
    Reject(value, "it is a map: lines of KEY: VALUE, indented");
    return false;
  }
  const std::vector<const YamlNode*>& children = value.node->children;
  absl::flat_hash_map<std::string_view, int> line_of;
  for (size_t i = 0; i + 1 < children.size() && !errors_->full(); i += 2) {
    const YamlNode& key = *children[i];
    const YamlNode& node = *children[i + 1];
    if (!CheckKey(key)) continue;
    const bool none = node.kind == YamlNode::Kind::kNull;
    const Value entry{&node, key.text, none ? key.place : node.place, key.place};
    const auto [known, first] = line_of.try_emplace(key.text, key.place.line);
    if (!first) {
      errors_->Add(key.place, fmt::format("duplicate key {} (the first one is on line {})",
                                          Quoted(key.text), known->second));
    }
    read(entry, first);
  }
  return true;
}

bool ValueReader::ReadMap(const Value& value, std::initializer_list<Field> fields) {
  return ReadEntries(value, [&](const Value& entry, bool first) {
    for (const Field& field : fields) {
      if (field.key == entry.name) return field.read(entry);
    }
    if (!first) return;  // Twice wrong, but it has its error.
    std::vector<std::string_view> allowed;
    for (const Field& field : fields) allowed.push_back(field.key);
    RejectKey(entry, value.name, allowed);
  });
}

void ValueReader::RejectKey(const Value& entry, std::string_view map_name,
                            std::span<const std::string_view> allowed) {
  const std::string_view near = NearestWord(entry.name, allowed.data(), allowed.size());
  const std::string hint = near.empty() ? fmt::format("the keys here are {}", Join(allowed, "and"))
                                        : fmt::format("did you mean \"{}\"?", near);
  const std::string where = map_name.empty() ? "" : fmt::format(" in {}", Quoted(map_name));
  errors_->Add(entry.key_place,
               fmt::format("unknown key {}{} ({})", Quoted(entry.name), where, hint));
}

}  // namespace bsockd
