// A configuration as a tree of keys and values, for whoever asks which of them differ. Made from
// the text that the configuration is dumped as, so that no key can be forgotten: one that is not
// dumped fails the dump's own tests.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bsockd {

// One of three: a map (`entries`), a list (`items`), a scalar as it is written.
struct Setting {
  std::string scalar;
  std::vector<std::string> items;
  std::vector<struct NamedSetting> entries;

  // The entry called `key`, or null.
  const Setting* Find(std::string_view key) const;
  // As YAML's flow form: one line.
  std::string ToString() const;
};

struct NamedSetting {
  std::string key;
  Setting value;
};

// Reads what DumpConfig() or DumpEverything() wrote; it is no reader of YAML.
Setting ParseDump(std::string_view dump);

}  // namespace bsockd
