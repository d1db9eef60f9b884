// `bsockd --plan FILE`: what a reload would do.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "tests/integration/daemon.h"
#include "tests/integration/process.h"

namespace bsockd::integration {
namespace {

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// What stands between `begin` and the end of its block, or nothing.
std::string Block(const std::string& markdown, std::string_view begin) {
  const size_t at = markdown.find(begin);
  if (at == markdown.npos) return "";
  return markdown.substr(at + begin.size(),
                         markdown.find("```", at + begin.size()) - at - begin.size());
}

class PlanTest : public testing::Test {
 protected:
  Outcome Plan(std::string_view now, std::string_view next, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"--config", folder_.Write("now.yaml", now), "--plan",
                                          folder_.Write("next.yaml", next)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunBsockd(arguments);
  }

  TemporaryFolder folder_;
};

TEST_F(PlanTest, IsAsTheManualSays) {
  const std::string markdown = Contents("docs/operations.md");
  const std::string now = Block(markdown, "```yaml\n# now.yaml\n");
  const std::string next = Block(markdown, "```yaml\n# next.yaml\n");
  const std::string said =
      Block(markdown, "```console\n$ bsockd --config now.yaml --plan next.yaml\n");
  ASSERT_FALSE(said.empty());
  const Outcome outcome = Plan(now, next);
  EXPECT_EQ(outcome.end, Exited(0)) << outcome.errors;
  EXPECT_EQ(outcome.output, said);
  EXPECT_EQ(outcome.errors, "");
}

TEST_F(PlanTest, NothingWouldChange) {
  const std::string config = OneListener("{builtin: echo}");
  const Outcome outcome = Plan(config, config + "# a remark\n");
  EXPECT_EQ(outcome.end, Exited(0)) << outcome.errors;
  EXPECT_EQ(outcome.output, "nothing would change\n");
}

TEST_F(PlanTest, TheCommandLineHoldsForBoth) {
  const std::string_view io = "server: {io: epoll}\nlog: {level: debug}\n";
  const Outcome outcome =
      Plan(OneListener("{builtin: echo}"),
           std::string(io) + OneListener("{builtin: echo}", "line", "", "127.0.0.1:1"),
           {"--io", "io_uring", "--log-level", "warn", "--listen", "127.0.0.1:2"});
  EXPECT_EQ(outcome.end, Exited(0)) << outcome.errors;
  EXPECT_EQ(outcome.output, "nothing would change\n");
}

TEST_F(PlanTest, ErrorsAreToldAsWithTest) {
  const std::string good = OneListener("{builtin: echo}");
  const std::string bad = "sevrer: {}\n" + good;
  const Outcome of_next = Plan(good, bad);
  EXPECT_EQ(of_next.end, Exited(kExitConfig));
  EXPECT_EQ(of_next.output, "");
  EXPECT_EQ(of_next.errors, RunBsockd({"--test", "--config", folder_.File("next.yaml")}).errors);
  EXPECT_EQ(LinesWith("next.yaml:1:1: error: ", of_next.errors).size(), 1u) << of_next.errors;

  const Outcome of_now = Plan(bad, good);
  EXPECT_EQ(of_now.end, Exited(kExitConfig));
  EXPECT_EQ(LinesWith("now.yaml:1:1: error: ", of_now.errors).size(), 1u) << of_now.errors;

  const Outcome missing =
      RunBsockd({"--config", folder_.Write("now.yaml", good), "--plan", folder_.File("none.yaml")});
  EXPECT_EQ(missing.end, Exited(kExitConfig));
  EXPECT_EQ(LinesWith("none.yaml", missing.errors).size(), 1u) << missing.errors;
}

TEST_F(PlanTest, IsAboutFilesAndAboutNothingElse) {
  const std::string config = OneListener("{builtin: echo}");
  EXPECT_EQ(Plan(config, config, {"--test"}).end, Exited(kExitUsage));
  EXPECT_EQ(Plan(config, config, {"--dump-config"}).end, Exited(kExitUsage));
  EXPECT_EQ(RunBsockd({"51717", "--plan", folder_.File("next.yaml")}).end, Exited(kExitUsage));
}

}  // namespace
}  // namespace bsockd::integration
