// Another process takes the place of the daemon while clients are at it: a restart by a service
// manager that keeps the listen sockets, and a takeover.
//
// A request is either answered, or its connection closes between two replies and nothing has become
// of the request: the daemons print what they execute, and all of that has been answered.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/integration/daemon.h"
#include "tests/integration/load.h"
#include "tests/integration/process.h"
#include "tests/integration/service_manager.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

constexpr size_t kRestarts = 20;
constexpr uint64_t kAnswersBetween = 200;
// Every request is remembered, twice, so there are not to be millions on a slow machine.
constexpr Microseconds kPause{3000};

// The requests that daemons have printed, each of which comes once.
std::set<std::string> ExecutedIn(const std::vector<std::string>& outputs) {
  constexpr std::string_view kBefore = "SERVER: I received this from the client: \"";
  std::set<std::string> executed;
  for (const std::string& output : outputs) {
    for (const std::string& line : LinesWith(kBefore, output)) {
      const size_t begin = line.find(kBefore) + kBefore.size();
      const std::string request = line.substr(begin, line.size() - begin - 1);
      EXPECT_TRUE(executed.insert(request).second) << request << " is executed twice";
    }
  }
  return executed;
}

// What clients must see, and daemons must have done, if nothing is lost.
void ExpectNothingLost(const std::vector<Load*>& loads, const std::vector<std::string>& outputs) {
  std::set<std::string> answered;
  for (Load* load : loads) {
    const LoadCounts counts = load->Stop();
    EXPECT_EQ(counts.lost(), 0u) << counts.ToString();
    EXPECT_GT(counts.answered, 0u);
    answered.insert(load->answered().begin(), load->answered().end());
    Tell("clients", counts.ToString());
    Tell("longest wait", load->longest_wait());
  }
  const std::set<std::string> executed = ExecutedIn(outputs);
  std::vector<std::string> in_vain;
  std::set_difference(executed.begin(), executed.end(), answered.begin(), answered.end(),
                      std::back_inserter(in_vain));
  EXPECT_TRUE(in_vain.empty()) << in_vain.size()
                               << " requests are executed and not answered: " << in_vain.front()
                               << " ...";
  EXPECT_EQ(executed.size(), answered.size());
}

class RestartLoadTest : public BackendTest {
 protected:
  // One daemon after the other, of the same configuration.
  std::unique_ptr<Daemon> StartNext(ProcessOptions process, std::vector<std::string> arguments) {
    DaemonOptions options;
    options.config = fmt::format(
        "server: {{drain_timeout: 10s}}\n"
        "handlers: {{echo: {{builtin: echo, log_requests: true}}}}\n"
        "listeners:\n"
        "  tcp: {{listen: 127.0.0.1:0, handler: echo}}\n"
        "  unix: {{listen: \"{}\", handler: echo}}\n",
        local_);
    options.arguments = std::move(arguments);
    options.address_count = 2;
    options.process = std::move(process);
    return StartWith(std::move(options));
  }

  // As systemd does it.
  std::unique_ptr<Daemon> StartService() {
    ProcessOptions process;
    process.environment = manager_.Environment();
    process.inherited = manager_.stored();
    auto daemon = StartNext(std::move(process), {});
    EXPECT_TRUE(!daemon || manager_.WaitFor("READY=1", ++started_));
    return daemon;
  }

  // As somebody does it who has no service manager.
  std::unique_ptr<Daemon> StartToTakeOver() { return StartNext({}, {"--takeover", takeover_}); }

  // What a daemon that has ended has printed. It is looked into when all is over, since clients go
  // on meanwhile.
  std::string OutputOf(Daemon& daemon) const {
    EXPECT_EQ(LinesWith("not printed", daemon.process().errors()).size(), 0u)
        << "too slow a machine to see what was executed";
    return daemon.process().output();
  }

  TemporaryFolder folder_;
  const std::string local_ = "unix:" + folder_.File("socket");
  const std::string takeover_ = folder_.File("takeover");
  ServiceManager manager_;
  size_t started_ = 0;
};
INSTANTIATE_TEST_SUITE_P(, RestartLoadTest, kBackends, BackendName);

// That these counts see a loss.
TEST_P(RestartLoadTest, AnEndWithoutADrainIsSeen) {
  const auto daemon = Start(OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  Load load({.address = daemon->address()});
  ASSERT_TRUE(load.WaitForAnswers(kAnswersBetween));
  daemon->process().Signal(SIGSTOP);
  EXPECT_TRUE(load.WaitUntilAllWait());
  daemon->process().Signal(SIGKILL);
  daemon->ExpectEnd(KilledBy(SIGKILL));
  const LoadCounts counts = load.Stop();
  EXPECT_GT(counts.unanswered, 0u) << counts.ToString();
  EXPECT_GT(counts.lost(), 0u) << counts.ToString();
}

// Scenario 3.
TEST_P(RestartLoadTest, TwentyRestartsRefuseNobodyAndLoseNothing) {
  auto daemon = StartService();
  ASSERT_NE(daemon, nullptr);
  const std::string tcp = daemon->address(0);
  ASSERT_TRUE(Eventually([&] { return manager_.stored().size() == 2; })) << manager_.Log();
  Load load({.address = tcp, .name = "tcp", .pause = kPause, .remember = true});
  Load local({.address = local_, .name = "unix", .pause = kPause, .remember = true});
  std::vector<std::string> outputs;
  for (size_t i = 0; i < kRestarts; ++i) {
    ASSERT_TRUE(load.WaitForAnswers(kAnswersBetween));
    ASSERT_TRUE(local.WaitForAnswers(kAnswersBetween));
    daemon->Stop();
    outputs.push_back(OutputOf(*daemon));
    daemon = StartService();
    ASSERT_NE(daemon, nullptr);
    ASSERT_EQ(daemon->address(0), tcp);
    ASSERT_EQ(manager_.stored().size(), 2u) << manager_.Log();
  }
  ASSERT_TRUE(load.WaitForAnswers(kAnswersBetween));
  load.Stop();
  local.Stop();
  daemon->Stop();
  outputs.push_back(OutputOf(*daemon));
  ExpectNothingLost({&load, &local}, outputs);
  EXPECT_EQ(manager_.Count("STOPPING=1"), kRestarts + 1);
}

TEST_P(RestartLoadTest, TwentyTakeoversRefuseNobodyAndLoseNothing) {
  auto daemon = StartToTakeOver();
  ASSERT_NE(daemon, nullptr);
  const std::string tcp = daemon->address(0);
  Load load({.address = tcp, .name = "tcp", .pause = kPause, .remember = true});
  Load local({.address = local_, .name = "unix", .pause = kPause, .remember = true});
  std::vector<std::string> outputs;
  for (size_t i = 0; i < kRestarts; ++i) {
    ASSERT_TRUE(load.WaitForAnswers(kAnswersBetween));
    ASSERT_TRUE(local.WaitForAnswers(kAnswersBetween));
    auto next = StartToTakeOver();
    ASSERT_NE(next, nullptr);
    ASSERT_EQ(next->address(0), tcp);
    daemon->ExpectEnd(Exited(0));
    outputs.push_back(OutputOf(*daemon));
    daemon = std::move(next);
  }
  ASSERT_TRUE(load.WaitForAnswers(kAnswersBetween));
  load.Stop();
  local.Stop();
  daemon->Stop();
  outputs.push_back(OutputOf(*daemon));
  ExpectNothingLost({&load, &local}, outputs);
  EXPECT_FALSE(std::filesystem::exists(takeover_));
  EXPECT_FALSE(std::filesystem::exists(folder_.File("socket")));
}

TEST_P(RestartLoadTest, ASuccessorThatCannotStartHasChangedNothing) {
  const auto daemon = StartToTakeOver();
  ASSERT_NE(daemon, nullptr);
  Load load({.address = daemon->address(0), .name = "tcp", .pause = kPause, .remember = true});
  Load local({.address = local_, .name = "unix", .pause = kPause, .remember = true});
  ASSERT_TRUE(load.WaitForAnswers(kAnswersBetween));
  const std::string file = folder_.Write(
      "next.yaml", fmt::format("handlers: {{echo: {{builtin: echo}}}}\n"
                               "listeners:\n"
                               "  unix: {{listen: \"{}\", handler: echo}}\n"
                               "  elsewhere: {{listen: 192.0.2.1:1, handler: echo}}\n",
                               local_));
  for (size_t i = 1; i <= 5; ++i) {
    const Outcome outcome =
        RunBsockd({"--config", file, "--io", GetParam(), "--takeover", takeover_});
    EXPECT_EQ(outcome.end, Exited(kExitCannotBind)) << outcome.errors;
    ASSERT_TRUE(Eventually([&] {
      return LinesWith("has not taken over", daemon->process().errors()).size() == i;
    })) << daemon->process().errors();
  }
  ASSERT_TRUE(load.WaitForAnswers(kAnswersBetween));
  ASSERT_TRUE(local.WaitForAnswers(kAnswersBetween));
  for (Load* each : {&load, &local}) {
    const LoadCounts counts = each->Stop();
    EXPECT_EQ(counts.lost() + counts.closed, 0u) << counts.ToString();
  }
}

TEST_P(RestartLoadTest, ATakeoverAtAFileThatIsNoSocketIsAnError) {
  const std::string path = folder_.Write("precious", "do not delete");
  const Outcome outcome =
      RunBsockd({"--config", folder_.Write("bsockd.yaml", OneListener("{builtin: echo}")), "--io",
                 GetParam(), "--takeover", path});
  EXPECT_EQ(outcome.end, Exited(kExitCannotBind)) << outcome.errors;
  EXPECT_EQ(LinesWith(path + ": the file there is not a socket", outcome.errors).size(), 1u)
      << outcome.errors;
  EXPECT_TRUE(std::filesystem::is_regular_file(path));
}

}  // namespace
}  // namespace bsockd::integration
