// The command line of bsockd.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "tests/integration/daemon.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

class CliTest : public testing::Test {
 protected:
  // `bsockd -t` of a file with this text.
  Outcome TestConfig(std::string_view config) {
    path_ = folder_.Write("bsockd.yaml", config);
    return RunBsockd({"-t", "-c", path_});
  }

  // It is refused, with an error at this line that mentions `what`.
  void ExpectError(std::string_view config, int line, std::string_view what) {
    const Outcome outcome = TestConfig(config);
    EXPECT_EQ(outcome.end, Exited(kExitConfig)) << config << outcome.errors;
    EXPECT_EQ(outcome.output, "") << config;
    const auto errors = LinesWith(fmt::format("{}:{}:", path_, line), outcome.errors);
    ASSERT_EQ(errors.size(), 1u) << config << outcome.errors;
    EXPECT_TRUE(Matches(errors[0], "[^:]+:[0-9]+:[0-9]+: error: .+")) << errors[0];
    EXPECT_TRUE(Contains(errors[0], what)) << errors[0];
  }

  TemporaryFolder folder_;
  std::string path_;
};

TEST_F(CliTest, HelpIsOnStandardOutputAndNamesEveryOption) {
  const Outcome outcome = RunBsockd({"--help"});
  EXPECT_EQ(outcome.end, Exited(0)) << outcome.errors;
  EXPECT_EQ(outcome.errors, "");
  for (const char* option :
       {"--config", "--test", "--dump-config", "--plan", "--listen", "--log-level", "--io",
        "--print-addresses", "--takeover", "--help", "--version", "PORT"}) {
    EXPECT_TRUE(Contains(outcome.output, option)) << option << " in\n" << outcome.output;
  }
}

TEST_F(CliTest, VersionIsOneLineOnStandardOutput) {
  const Outcome outcome = RunBsockd({"--version"});
  EXPECT_EQ(outcome.end, Exited(0)) << outcome.errors;
  EXPECT_TRUE(Matches(outcome.output, "bsockd [0-9]+\\.[0-9]+[^\n]*\n")) << outcome.output;
}

TEST_F(CliTest, AGoodConfigurationIsOk) {
  const Outcome outcome = TestConfig(OneListener("{builtin: echo}"));
  EXPECT_EQ(outcome.end, Exited(0)) << outcome.errors;
  EXPECT_EQ(outcome.output, path_ + ": ok\n");
  EXPECT_EQ(outcome.errors, "");
}

TEST_F(CliTest, EveryErrorOfAConfigurationIsReportedInOnePass) {
  const Outcome outcome = TestConfig(
      "server: {workers: -1}\n"
      "log: {levle: info}\n"
      "handlers:\n"
      "  h: {builtin: ehco}\n"
      "listeners:\n"
      "  main: {listen: [\"127.0.0.1:70000\"], framing: line, handler: none}\n");
  EXPECT_EQ(outcome.end, Exited(kExitConfig));
  EXPECT_EQ(outcome.output, "");
  const auto errors = LinesWith(path_ + ":", outcome.errors);
  EXPECT_EQ(errors.size(), 5u) << outcome.errors;
  for (const char* line : {":1:", ":2:", ":4:", ":6:"}) {
    EXPECT_FALSE(LinesWith(path_ + line, outcome.errors).empty()) << line << outcome.errors;
  }
  EXPECT_FALSE(LinesWith("did you mean", outcome.errors).empty()) << outcome.errors;
}

TEST_F(CliTest, TypicalMistakesAreNamedWithTheirPlace) {
  ExpectError("sevrer: {}\n" + OneListener("{builtin: echo}"), 1, "server");
  ExpectError(OneListener("{builtin: echo}") + "server:\n\tworkers: 2\n", 10, "tab");
  ExpectError("log: {}\nlog: {}\n" + OneListener("{builtin: echo}"), 2, "log");
  ExpectError(OneListener("{builtin: echo}", "line", "", "127.0.0.1:70000"), 5, "70000");
  ExpectError(OneListener("{builtin: echo}", "lines"), 7, "line");
  ExpectError("log: {level: 7}\n" + OneListener("{builtin: echo}"), 1, "level");
}

TEST_F(CliTest, AnEmptyOrOtherwiseUselessFileIsRefused) {
  for (const char* config : {"", "\n", "# nothing\n", "[]\n", "just text\n", "{", "a: b: c\n",
                             "listeners: {}\n", "---\n---\n", "\xFF\xFE"}) {
    const Outcome outcome = TestConfig(config);
    EXPECT_EQ(outcome.end, Exited(kExitConfig)) << '"' << config << "\"\n" << outcome.errors;
    EXPECT_TRUE(Contains(outcome.errors, path_)) << outcome.errors;
  }
}

TEST_F(CliTest, ABrokenConfigurationIsRefusedAtTheStartTooWithTheSameErrors) {
  const Outcome tested = TestConfig("sevrer: {}\n" + OneListener("{builtin: echo}"));
  const Outcome started = RunBsockd({"--config", path_});
  EXPECT_EQ(started.end, Exited(kExitConfig)) << started.errors;
  EXPECT_TRUE(Contains(started.errors, path_ + ":1:1: error: ")) << started.errors;
  EXPECT_TRUE(Contains(tested.errors, path_ + ":1:1: error: ")) << tested.errors;
}

TEST_F(CliTest, AMissingOrUnreadableConfigurationIsNamed) {
  for (const std::string& path : {folder_.File("none.yaml"), folder_.path()}) {
    for (const std::vector<std::string>& arguments :
         std::vector<std::vector<std::string>>{{"-c", path}, {"-t", "-c", path}}) {
      const Outcome outcome = RunBsockd(arguments);
      EXPECT_EQ(outcome.end, Exited(kExitConfig)) << path << outcome.errors;
      EXPECT_TRUE(Contains(outcome.errors, path)) << outcome.errors;
    }
  }
}

TEST_F(CliTest, ADumpedConfigurationLoadsToTheSame) {
  const std::string path = folder_.Write(
      "bsockd.yaml",
      "server: {workers: 2, drain_timeout: 1500ms, max_connections: 7}\n"
      "log: {level: debug}\n"
      "handlers:\n"
      "  odd: {reply: \"tab\\t quote\\\" colon: # hash\\n \\xFC \\0 end \"}\n"
      "  e: {builtin: echo, log_requests: true}\n"
      "listeners:\n"
      "  main:\n"
      "    listen: [\"[::1]:0\", \"unix:@abstract\", \"localhost:80\", \"*:0\"]\n"
      "    framing: {delimiter: [\"@@\", \"\\r\\n\", \"\\0\"], flush_after: 200ms, eof: discard}\n"
      "    handler: odd\n"
      "    limits: {max_frame: 64KiB, output_high: 3MiB, output_low: 100}\n"
      "  other: {listen: [\"unix:/run/x\"], mode: 0600, framing: {line: crlf}, handler: e}\n");
  const Outcome first = RunBsockd({"--dump-config", "--config", path});
  ASSERT_EQ(first.end, Exited(0)) << first.errors;
  const std::string dumped = folder_.Write("dumped.yaml", first.output);
  const Outcome second = RunBsockd({"--dump-config", "--config", dumped});
  ASSERT_EQ(second.end, Exited(0)) << second.errors << first.output;
  EXPECT_EQ(second.output, first.output);
  EXPECT_EQ(RunBsockd({"-t", "--config", dumped}).output, dumped + ": ok\n");
  for (const char* part : {"64KiB", "drain_timeout", "unix:@abstract", "discard"}) {
    EXPECT_TRUE(Contains(first.output, part)) << part << " in\n" << first.output;
  }
}

TEST_F(CliTest, TheQuickFormsConfigurationCanBeDumpedAndUsed) {
  const Outcome dump = RunBsockd({"0", "--dump-config"});
  ASSERT_EQ(dump.end, Exited(0)) << dump.errors;
  DaemonOptions options;
  options.config = dump.output;
  options.address_count = 2;
  const auto daemon = Daemon::Start("epoll", std::move(options));
  ASSERT_NE(daemon, nullptr) << dump.output;
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Exchange("a@@"), Closed(fmt::format("{}@@", kGreeting)));
}

TEST_F(CliTest, WrongUsageEndsWith64AndSaysWhy) {
  const std::string config = folder_.Write("ok.yaml", OneListener("{builtin: echo}"));
  const std::vector<std::vector<std::string>> wrong = {
      {"--no-such-option"},
      {"70000"},
      {"-1"},
      {"http"},
      {""},
      {"51717x"},
      {"1", "2"},
      {"51717", "--config", config},
      {"--config"},
      {"-c", config, "--log-level", "loud"},
      {"-c", config, "--io", "kqueue"},
      {"-c", config, "--listen", "127.0.0.1:70000"},
      {"-c", config, "--listen", "none=127.0.0.1:0"},
      {"-c", config, "--listen", ""},
  };
  for (const std::vector<std::string>& arguments : wrong) {
    const Outcome outcome = RunBsockd(arguments);
    const std::string text = fmt::format("{}", fmt::join(arguments, " "));
    EXPECT_EQ(outcome.end, Exited(kExitUsage)) << text << "\n" << outcome.errors;
    EXPECT_EQ(outcome.output, "") << text;
    EXPECT_NE(outcome.errors, "") << text;
  }
}

TEST_F(CliTest, ListenReplacesTheAddressesOfTheOnlyListener) {
  DaemonOptions options;
  options.config = OneListener("{builtin: upper}", "line", "", "192.0.2.1:1");
  options.arguments = {"--listen", "127.0.0.1:0", "--listen", "unix:" + folder_.File("s")};
  options.address_count = 2;
  const auto daemon = Daemon::Start("epoll", std::move(options));
  ASSERT_NE(daemon, nullptr);
  EXPECT_TRUE(daemon->address(0).starts_with("127.0.0.1:")) << daemon->address(0);
  EXPECT_EQ(daemon->address(1), "unix:" + folder_.File("s"));
  const auto stream = Stream::Connect(daemon->address(1));
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Exchange("hello\n"), Closed("HELLO\n"));
}

TEST_F(CliTest, ListenNeedsANameWhereThereAreSeveralListeners) {
  const std::string config =
      "handlers: {h: {builtin: upper}}\n"
      "listeners:\n"
      "  one: {listen: [\"127.0.0.1:0\"], framing: line, handler: h}\n"
      "  two: {listen: [\"192.0.2.1:1\"], framing: line, handler: h}\n";
  DaemonOptions options;
  options.config = config;
  options.arguments = {"--listen", "two=[::1]:0"};
  options.address_count = 2;
  const auto daemon = Daemon::Start("epoll", std::move(options));
  ASSERT_NE(daemon, nullptr);
  EXPECT_TRUE(daemon->address(1).starts_with("[::1]:")) << daemon->address(1);
  const Outcome unnamed =
      RunBsockd({"-c", folder_.Write("c.yaml", config), "--listen", "127.0.0.1:0"});
  EXPECT_EQ(unnamed.end, Exited(kExitUsage)) << unnamed.errors;
  EXPECT_TRUE(Contains(unnamed.errors, "NAME=")) << unnamed.errors;
}

TEST_F(CliTest, OverridesShowInTheDumpedConfiguration) {
  const std::string config = folder_.Write("ok.yaml", OneListener("{builtin: echo}"));
  const Outcome outcome =
      RunBsockd({"-c", config, "--dump-config", "--listen", "unix:@x", "--listen", "systemd:a=b",
                 "--log-level", "warn", "--io", "epoll"});
  EXPECT_EQ(outcome.end, Exited(0)) << outcome.errors;
  for (const char* part : {"unix:@x", "systemd:a=b", "level: warn", "io: epoll"}) {
    EXPECT_TRUE(Contains(outcome.output, part)) << part << " in\n" << outcome.output;
  }
}

}  // namespace
}  // namespace bsockd::integration
