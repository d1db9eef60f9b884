// Bad configurations and exactly what is said about them: tests/golden/config/NAME.yaml and
// NAME.expected. A failure shows the difference. After a change of a message,
//   BSOCKD_UPDATE_GOLDEN=1 bazel run //tests/unit:config_golden_test
// writes the expected files anew; `git diff tests/golden` then shows what has changed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "lib/config/load.h"

namespace bsockd {
namespace {

constexpr char kFolder[] = "tests/golden/config";

std::filesystem::path Folder() {
  // `bazel run` sets it to the checkout; a test reads its own copies.
  const char* workspace = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  return workspace == nullptr ? kFolder : std::filesystem::path(workspace) / kFolder;
}

std::string Contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The stems of the files with this extension, sorted.
std::vector<std::string> Names(const std::string& extension) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(Folder())) {
    if (entry.path().extension() == extension) names.insert(entry.path().stem().string());
  }
  return {names.begin(), names.end()};
}

std::string ErrorsOf(const std::string& name) {
  const std::string file = name + ".yaml";
  return FormatErrors(file, LoadConfigFile((Folder() / file).string()).errors);
}

class ConfigGolden : public testing::TestWithParam<std::string> {};

TEST_P(ConfigGolden, SaysExactlyThis) {
  const std::filesystem::path expected_path = Folder() / (GetParam() + ".expected");
  const std::string errors = ErrorsOf(GetParam());
  EXPECT_NE(errors, "") << "a file in this folder is a bad one";
  if (std::getenv("BSOCKD_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(expected_path, std::ios::binary) << errors;
  }
  EXPECT_EQ(Contents(expected_path), errors);
}

INSTANTIATE_TEST_SUITE_P(Files, ConfigGolden, testing::ValuesIn(Names(".yaml")),
                         [](const auto& info) { return info.param; });

TEST(ConfigGoldenFiles, EachHasItsExpectation) {
  EXPECT_GE(Names(".yaml").size(), 60u) << "files are missing from the test's data";
  EXPECT_EQ(Names(".yaml"), Names(".expected"));
}

}  // namespace
}  // namespace bsockd
