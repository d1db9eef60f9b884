// The catalog for `journalctl -x` (systemd/bsockd.catalog) explains the ids of the log's messages
// (lib/base/message_ids.h), all of them and no others, and docs/operations.md lists them.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace bsockd {
namespace {

std::string Contents(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  EXPECT_TRUE(in) << file;
  return {std::istreambuf_iterator<char>(in), {}};
}

// What the first group of `pattern` matches, in order.
std::vector<std::string> All(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), regex), end; match != end; ++match) {
    found.push_back((*match)[1].str());
  }
  return found;
}

using Ids = std::set<std::string>;

TEST(MessageCatalogTest, HasTheIdsThatTheLogHas) {
  const auto ids = All(Contents("lib/base/message_ids.h"), "= \"([^\"]*)\"");
  const auto explained = All(Contents("systemd/bsockd.catalog"), "\n-- (.*)\n");
  EXPECT_GE(ids.size(), 8u);
  // A random id, version 4 (sd-id128(3)).
  const std::regex form("[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}");
  for (const std::string& id : ids) EXPECT_TRUE(std::regex_match(id, form)) << id;
  const Ids unique(ids.begin(), ids.end());
  EXPECT_EQ(unique.size(), ids.size()) << "an id is there twice";
  EXPECT_EQ(Ids(explained.begin(), explained.end()), unique);
  EXPECT_EQ(explained.size(), ids.size()) << "an id is explained twice";
  const auto documented = All(Contents("docs/operations.md"), "\\| `([0-9a-f]{32})` \\|");
  EXPECT_EQ(Ids(documented.begin(), documented.end()), unique);
}

TEST(MessageCatalogTest, EveryEntryHasASubjectAndAnExplanation) {
  const std::string catalog = Contents("systemd/bsockd.catalog");
  const std::regex entry(
      "\n-- [^\n]*\nSubject: [^\n]+\nDefined-By: bsockd\n(?:[A-Z][^\n]*\n)*\n[A-Z]");
  const std::ptrdiff_t entries =
      std::distance(std::sregex_iterator(catalog.begin(), catalog.end(), entry), {});
  EXPECT_EQ(static_cast<size_t>(entries), All(catalog, "\n-- (.*)\n").size());
}

}  // namespace
}  // namespace bsockd
