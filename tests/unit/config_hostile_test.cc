// Configurations that nobody writes by mistake: the loader says what is wrong with them, in little
// time and memory, and never crashes.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "lib/config/load.h"

namespace bsockd {
namespace {

std::string Repeat(std::string_view text, size_t count) {
  std::string result;
  result.reserve(text.size() * count);
  for (size_t i = 0; i < count; ++i) result.append(text);
  return result;
}

std::string FirstError(std::string_view yaml) {
  const LoadedConfig loaded = LoadConfig(yaml);
  return loaded.ok() ? "" : FormatErrors("f", {loaded.errors.front()});
}

TEST(ConfigHostileTest, DeepNesting) {
  const std::string too_deep = "error: more than 64 collections in each other\n";
  EXPECT_EQ(FirstError(Repeat("[", 200'000)), "f:1:33: " + too_deep);
  EXPECT_EQ(FirstError(Repeat("- ", 200'000)), "f:1:129: " + too_deep);
  EXPECT_NE(FirstError(Repeat("{a: ", 200'000)).find(too_deep), std::string::npos);
  EXPECT_NE(FirstError(Repeat("? ", 200'000)).find(too_deep), std::string::npos);
  EXPECT_NE(FirstError(Repeat(":\n", 200'000)).find(too_deep), std::string::npos);
  EXPECT_NE(FirstError(Repeat("[a", 200'000)), "");
  EXPECT_NE(FirstError(Repeat(",\n", 200'000)), "");
}

TEST(ConfigHostileTest, AliasesThatExpandWithoutEnd) {
  std::string yaml = "x0: &x0 [x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 40; ++i) {
    const std::string alias = "*x" + std::to_string(i - 1) + ", ";
    yaml += "x" + std::to_string(i) + ": &x" + std::to_string(i) + " [" + Repeat(alias, 8) + "]\n";
  }
  EXPECT_NE(FirstError(yaml).find("expands to more than 8 MiB"), std::string::npos);
}

// Each of these is as large as a file may be; none may take longer than the test as a whole.
TEST(ConfigHostileTest, LargeFiles) {
  const std::string_view pieces[] = {"a: b\n",     "a: &a b\n", "- a\n", "x",     "\n",
                                     "#",          "\t",        "\"",    "? a\n", "a b ",
                                     "\xC3\xA9: ", "%a\n",      "---\n", "'",     "a: |\n"};
  for (const std::string_view piece : pieces) {
    EXPECT_NE(FirstError(Repeat(piece, (1 << 20) / piece.size())), "") << piece;
    EXPECT_NE(FirstError("[" + Repeat(piece, (1 << 20) / piece.size() - 1)), "") << piece;
  }
}

TEST(ConfigHostileTest, ErrorsAreBounded) {
  std::string yaml = "server:\n";
  for (int i = 0; i < 5000; ++i) yaml += "  key" + std::to_string(i) + ": 1\n";
  const LoadedConfig loaded = LoadConfig(yaml);
  ASSERT_EQ(loaded.errors.size(), 1001u);
  EXPECT_EQ(loaded.errors.back().message, "too many errors; the rest is not shown");
}

TEST(ConfigHostileTest, TooLarge) {
  EXPECT_EQ(FirstError(std::string((1 << 20) + 1, '\n')),
            "f: error: the file is larger than 1 MiB\n");
}

// Errors are in the order of their places, each on one line.
void ExpectOrder(const LoadedConfig& loaded) {
  std::pair<int, int> last;
  for (const ConfigError& error : loaded.errors) {
    const std::pair<int, int> place(error.line, error.column);
    EXPECT_LE(last, place);
    EXPECT_EQ(error.line > 0, error.column > 0);
    EXPECT_EQ(error.message.find('\n'), std::string::npos);
    last = place;
  }
}

TEST(ConfigHostileTest, AnyBytes) {
  const char* given = std::getenv("BSOCKD_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device()();
  SCOPED_TRACE("BSOCKD_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto below = [&](size_t end) {
    return std::uniform_int_distribution<size_t>(0, end - 1)(random);
  };
  constexpr std::string_view kSeedText =
      "server: {workers: 2}\nhandlers:\n  greet: &g {reply: \"hello\"}\n  other: *g\nlisteners:\n"
      "  main:\n    listen: ['127.0.0.1:1', 'unix:/x']\n    mode: 0660\n    handler: greet\n"
      "    framing: {delimiter: [\"\\r\\n\", '@@'], flush_after: 1s}\n";
  constexpr std::string_view kPieces[] = {"{",   "}",  "[", "]",    "\"", "'",   "&a ",  "*a ",
                                          "- ",  "? ", ":", "\n  ", "\t", "---", "...",  "|\n",
                                          ">\n", "!!", "#", "%",    "\\", ",",   "\xC3", "<<: *g"};
  for (int i = 0; i < 3000; ++i) {
    std::string yaml(kSeedText);
    for (size_t change = 1 + below(4); change > 0; --change) {
      const size_t at = below(yaml.size());
      switch (below(3)) {
        case 0:
          yaml[at] = static_cast<char>(below(256));
          break;
        case 1:
          yaml.erase(at, below(20));
          break;
        default:
          yaml.insert(at, kPieces[below(std::size(kPieces))]);
      }
      if (yaml.empty()) yaml = "x";
    }
    const LoadedConfig loaded = LoadConfig(yaml);
    ExpectOrder(loaded);
    if (loaded.ok()) {
      const std::string dump = DumpConfig(loaded.config);
      EXPECT_EQ(DumpConfig(LoadConfig(dump).config), dump);
    }
    ASSERT_FALSE(HasFailure()) << yaml;
  }
}

class ConfigFileTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(folder_), nullptr); }
  void TearDown() override {
    unlink(Path("config").c_str());
    rmdir(folder_);
  }

  std::string Path(const std::string& name) const { return std::string(folder_) + "/" + name; }

  static std::string ErrorOf(const std::string& path) {
    return FormatErrors("f", LoadConfigFile(path).errors);
  }

 private:
  char folder_[32] = "/tmp/bsockd-config.XXXXXX";
};

TEST_F(ConfigFileTest, ThatCannotBeRead) {
  EXPECT_EQ(ErrorOf(Path("config")), "f: error: cannot read: No such file or directory\n");
  EXPECT_EQ(ErrorOf(Path("")), "f: error: cannot read: Is a directory\n");
  std::ofstream(Path("config")) << "server: {}\n";
  EXPECT_EQ(ErrorOf(Path("config/x")), "f: error: cannot read: Not a directory\n");
  if (geteuid() == 0) GTEST_SKIP() << "root may read every file";
  chmod(Path("config").c_str(), 0);
  EXPECT_EQ(ErrorOf(Path("config")), "f: error: cannot read: Permission denied\n");
}

TEST_F(ConfigFileTest, OfOneGibibyteIsNotReadWhole) {
  std::ofstream(Path("config")) << "server: {}\n";
  ASSERT_EQ(truncate(Path("config").c_str(), off_t{1} << 30), 0);
  EXPECT_EQ(ErrorOf(Path("config")), "f: error: the file is larger than 1 MiB\n");
  EXPECT_EQ(ErrorOf("/dev/zero"), "f: error: the file is larger than 1 MiB\n");
}

TEST_F(ConfigFileTest, ThatLoads) {
  std::ofstream(Path("config")) << "handlers: {h: {reply: x}}\nlisteners: {a: {listen: 'a:1', "
                                   "handler: h}}\n";
  const LoadedConfig loaded = LoadConfigFile(Path("config"));
  EXPECT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.config.listeners.size(), 1u);
}

}  // namespace
}  // namespace bsockd
