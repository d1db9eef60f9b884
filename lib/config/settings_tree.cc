#include "lib/config/settings_tree.h"

#include <algorithm>

namespace bsockd {
namespace {

// Takes the lines of a dump one by one: `KEY: VALUE`, `KEY:` with what belongs to it two spaces
// further in, or `- ITEM`.
class DumpParser {
 public:
  explicit DumpParser(std::string_view dump) : rest_(dump) {}

  Setting Block(size_t indent) {
    Setting block;
    while (!rest_.empty() && Indent() == indent) {
      std::string_view line = rest_.substr(0, rest_.find('\n')).substr(indent);
      rest_.remove_prefix(std::min(rest_.size(), indent + line.size() + 1));
      if (line.starts_with("- ")) {
        block.items.emplace_back(line.substr(2));
        continue;
      }
      const size_t colon = line.find(':');  // No name has one.
      std::string_view key = line.substr(0, colon);
      if (key.starts_with('"')) key = key.substr(1, key.size() - 2);
      line.remove_prefix(std::min(line.size(), colon + 2));
      Setting value;
      if (line.empty()) {
        value = Block(indent + 2);
      } else {
        value.scalar = line;
      }
      block.entries.push_back({std::string(key), std::move(value)});
    }
    return block;
  }

 private:
  size_t Indent() const { return std::min(rest_.find_first_not_of(' '), rest_.size()); }

  std::string_view rest_;
};

}  // namespace

const Setting* Setting::Find(std::string_view key) const {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const auto& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &found->value;
}

std::string Setting::ToString() const {
  std::string text;
  const auto next = [&text] { text += text.empty() ? "" : ", "; };
  for (const std::string& item : items) {
    next();
    text += item;
  }
  if (!items.empty()) return "[" + text + "]";
  for (const auto& [key, value] : entries) {
    next();
    text += key;
    if (const std::string of_key = value.ToString(); !of_key.empty()) text += ": " + of_key;
  }
  return entries.empty() ? scalar : "{" + text + "}";
}

Setting ParseDump(std::string_view dump) { return DumpParser(dump).Block(0); }

}  // namespace bsockd
