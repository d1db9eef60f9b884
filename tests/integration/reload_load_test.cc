// SIGHUP while clients are at it: not one of them notices.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <string>
#include <string_view>

#include "tests/integration/daemon.h"
#include "tests/integration/load.h"
#include "tests/integration/process.h"
#include "tests/integration/service_manager.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

constexpr size_t kReloads = 100;
constexpr size_t kBrokenReloads = 20;
constexpr uint64_t kAnswersBetween = 100;

class ReloadLoadTest : public BackendTest {
 protected:
  // The handler, limits and timeouts differ, and the listener "extra" comes and goes.
  std::string Config(bool odd) const {
    return fmt::format(
        "handlers: {{greet: {{reply: {}}}, echo: {{builtin: echo}}}}\n"
        "listeners:\n"
        "  main:\n"
        "    listen: 127.0.0.1:0\n"
        "    handler: greet\n"
        "    limits: {{max_pipeline: {}, output_high: {}}}\n"
        "  echo:\n"
        "    listen: 127.0.0.2:0\n"
        "    handler: echo\n"
        "    timeouts: {{idle: {}, frame: {}}}\n"
        "{}",
        Reply(odd), odd ? 64 : 128, odd ? "512KiB" : "1MiB", odd ? "1m" : "2m", odd ? "5s" : "10s",
        odd ? fmt::format("  extra: {{listen: \"{}\", handler: echo}}\n", extra_) : "");
  }
  static std::string_view Reply(bool odd) { return odd ? "odd" : "even"; }

  std::unique_ptr<Daemon> StartForReloads() {
    DaemonOptions options;
    options.config = Config(false);
    options.address_count = 2;
    options.process.environment = manager_.Environment();
    auto daemon = StartWith(std::move(options));
    EXPECT_TRUE(!daemon || manager_.WaitFor("READY=1"));
    return daemon;
  }

  TemporaryFolder folder_;
  const std::string extra_ = "unix:" + folder_.File("extra");
  ServiceManager manager_;
};
INSTANTIATE_TEST_SUITE_P(, ReloadLoadTest, kBackends, BackendName);

// Scenario 1.
TEST_P(ReloadLoadTest, AHundredReloadsLoseNothing) {
  const auto daemon = StartForReloads();
  ASSERT_NE(daemon, nullptr);
  const auto old = Stream::Connect(daemon->address(0));
  ASSERT_NE(old, nullptr);
  Load greeted(
      {.address = daemon->address(0), .is_right = [](std::string_view, std::string_view reply) {
         return reply == Reply(false) || reply == Reply(true);
       }});
  Load echoed({.address = daemon->address(1)});
  Load at_times({.address = extra_, .clients = 1, .may_be_absent = true});
  for (size_t i = 1; i <= kReloads; ++i) {
    const bool odd = i % 2 == 1;
    daemon->WriteConfig(Config(odd));
    daemon->process().Signal(SIGHUP);
    ASSERT_TRUE(manager_.WaitFor("READY=1", i + 1)) << manager_.Log();
    const std::string reply = std::string(Reply(odd)) + "\n";
    // A connection that was there before.
    ASSERT_TRUE(old->Send("hello\n"));
    ASSERT_EQ(old->ReceiveUntil("\n"), reply);
    std::unique_ptr<Stream> extra;
    ASSERT_EQ(Stream::TryConnect(extra_, &extra) == 0, odd);
    if (odd) {
      ASSERT_EQ(extra->Call("hello\n", "hello\n"), "hello\n");
    }
    ASSERT_TRUE(greeted.WaitForAnswers(kAnswersBetween));
    ASSERT_TRUE(echoed.WaitForAnswers(kAnswersBetween));
  }
  EXPECT_EQ(manager_.Count("RELOADING=1"), kReloads);
  for (Load* load : {&greeted, &echoed}) {
    const LoadCounts counts = load->Stop();
    EXPECT_EQ(counts.lost(), 0u) << counts.ToString();
    EXPECT_EQ(counts.closed, 0u) << counts.ToString();
    EXPECT_EQ(counts.unanswered, 0u) << counts.ToString();
    Tell("a listener that stays", counts.ToString());
    Tell("its longest wait", load->longest_wait());
  }
  const LoadCounts extra = at_times.Stop();
  EXPECT_EQ(extra.lost(), 0u) << extra.ToString();
  EXPECT_GT(extra.answered, 0u) << extra.ToString();
  Tell("a listener that comes and goes", extra.ToString());
}

// Scenario 2.
TEST_P(ReloadLoadTest, ABrokenFileChangesNothing) {
  const auto daemon = StartForReloads();
  ASSERT_NE(daemon, nullptr);
  Load load(
      {.address = daemon->address(0),
       .is_right = [](std::string_view, std::string_view reply) { return reply == Reply(false); }});
  for (size_t i = 1; i <= kBrokenReloads; ++i) {
    daemon->WriteConfig(Config(true) + "sevrer: {}\n");
    daemon->process().Signal(SIGHUP);
    // systemd waits for it, whatever has come of the reload.
    ASSERT_TRUE(manager_.WaitFor("READY=1", i + 1)) << manager_.Log();
    ASSERT_TRUE(Eventually([&] {
      return LinesWith("bsockd.yaml:", daemon->process().errors()).size() == i;
    })) << daemon->process().errors();
    ASSERT_TRUE(load.WaitForAnswers(kAnswersBetween));
  }
  for (const std::string& line : LinesWith("bsockd.yaml:", daemon->process().errors())) {
    EXPECT_TRUE(Matches(line, ".*/bsockd\\.yaml:[0-9]+:1: error: .*sevrer.*")) << line;
  }
  const LoadCounts counts = load.Stop();
  EXPECT_EQ(counts.lost(), 0u) << counts.ToString();
  EXPECT_EQ(counts.closed, 0u) << counts.ToString();
  Tell("clients", counts.ToString());
  std::unique_ptr<Stream> extra;
  EXPECT_NE(Stream::TryConnect(extra_, &extra), 0) << "a listener of the broken file";
}

}  // namespace
}  // namespace bsockd::integration
