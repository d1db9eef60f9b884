// What the daemon says: the request log on standard output, and its own log on standard error.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lib/base/message_ids.h"
#include "tests/integration/daemon.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

using nlohmann::json;

constexpr char kTime[] =
    "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z";  // RFC 3339, UTC

// A run of the daemon that has one client, from its start to its end.
std::vector<std::string> LogOfOneRun(const std::string& config,
                                     std::vector<std::string> arguments = {}) {
  DaemonOptions options;
  options.config = config;
  options.arguments = std::move(arguments);
  const auto daemon = Daemon::Start("epoll", std::move(options));
  if (!daemon) return {};
  const auto stream = Stream::Connect(daemon->address());
  if (!stream) return {};
  EXPECT_EQ(stream->Exchange("hello\n"), Closed("HELLO\n"));
  daemon->Stop();
  return LinesWith("", daemon->process().errors());
}

TEST(LogTest, RequestsAreLoggedOnALineEachAndCannotForgeOthers) {
  const auto daemon =
      Daemon::Start("epoll", OneListener("{reply: r, log_requests: true}", "{delimiter: \"@@\"}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  stream->Exchange("plain@@two\nlines\r@@\x1B[31m \"q\" \\ \x01@@\xE2\x82\xAC\xFF@@@@");
  daemon->Stop();
  const std::string before = "SERVER: I received this from the client: ";
  const std::vector<std::string> lines = LinesWith("SERVER", daemon->process().output());
  ASSERT_EQ(lines.size(), 5u) << daemon->process().output();
  EXPECT_EQ(lines[0], before + R"("plain")");
  EXPECT_EQ(lines[1], before + R"("two\nlines\r")");
  EXPECT_EQ(lines[2], before + R"("\x1b[31m \"q\" \\ \x01")");
  EXPECT_EQ(lines[3], before + "\"\xE2\x82\xAC\\xff\"");
  EXPECT_EQ(lines[4], before + R"("")");
}

TEST(LogTest, RequestsOfManyConnectionsDoNotMixTheirLines) {
  const auto daemon = Daemon::Start(
      "epoll", "server: {workers: 4}\n" + OneListener("{builtin: echo, log_requests: true}"));
  ASSERT_NE(daemon, nullptr);
  const std::string request = std::string(300, 'x') + "\n";
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 20; ++i) {
    streams.push_back(Stream::Connect(daemon->address()));
    ASSERT_NE(streams.back(), nullptr);
    std::string requests;
    for (int j = 0; j < 50; ++j) requests += request;
    ASSERT_TRUE(streams.back()->Send(requests));
  }
  for (const auto& stream : streams) ASSERT_EQ(stream->Exchange("").bytes.size(), 50u * 301u);
  daemon->Stop();
  const std::vector<std::string> lines = LinesWith("SERVER", daemon->process().output());
  EXPECT_EQ(lines.size(), 1000u);
  for (const std::string& line : lines) {
    ASSERT_EQ(line, "SERVER: I received this from the client: \"" + std::string(300, 'x') + "\"");
  }
}

TEST(LogTest, RequestsAreNotLoggedUnlessAsked) {
  const auto daemon = Daemon::Start("epoll", OneListener("{builtin: upper}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Exchange("a secret\n"), Closed("A SECRET\n"));
  daemon->Stop();
  EXPECT_EQ(LinesWith("secret", daemon->process().output() + daemon->process().errors()),
            std::vector<std::string>());
}

TEST(LogTest, TextLinesHaveTimeLevelAndMessage) {
  const auto lines = LogOfOneRun("log: {format: text}\n" + OneListener("{builtin: upper}"));
  ASSERT_FALSE(lines.empty());
  const std::string form = std::string(kTime) + " (trace|debug|info|warn|error) +[^ ].*";
  for (const std::string& line : lines) EXPECT_TRUE(Matches(line, form)) << line;
}

TEST(LogTest, JsonLinesParseAndHaveTimeLevelAndMessage) {
  const auto lines = LogOfOneRun("log: {format: json}\n" + OneListener("{builtin: upper}"),
                                 {"--log-level", "trace"});
  ASSERT_FALSE(lines.empty());
  for (const std::string& line : lines) {
    const json entry = json::parse(line, nullptr, /*allow_exceptions=*/false);
    ASSERT_TRUE(entry.is_object()) << line;
    for (const char* key : {"time", "level", "message"}) {
      ASSERT_TRUE(entry.contains(key) && entry[key].is_string()) << key << " in " << line;
    }
    EXPECT_TRUE(Matches(entry["time"].get<std::string>(), kTime)) << line;
  }
}

// Of the first line that begins with `text`.
json Fields(const std::vector<std::string>& lines, const std::string& text) {
  for (const std::string& line : lines) {
    json entry = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!entry.is_object() || !entry["message"].get<std::string>().starts_with(text)) continue;
    for (const char* key : {"time", "level", "message"}) entry.erase(key);
    return entry;
  }
  return "no such line";
}

TEST(LogTest, JsonLinesHaveTheIdOfWhatHappenedItsListenerAndReason) {
  const auto lines =
      LogOfOneRun("log: {format: json}\n" +
                  OneListener("{builtin: upper}", "line", "    limits: {max_requests: 1}"));
  EXPECT_EQ(Fields(lines, "bsockd "), json({{"message_id", message_id::kStarting}}));
  EXPECT_EQ(Fields(lines, "listening"), json({{"listener", "main"}}));
  EXPECT_EQ(Fields(lines, "ready"), json({{"message_id", message_id::kReady}}));
  EXPECT_EQ(Fields(lines, "listener main: 1 connections ended"),
            json({{"listener", "main"}, {"reason", "max_requests"}}));
  EXPECT_EQ(Fields(lines, "SIGTERM: draining"),
            json({{"message_id", message_id::kDraining}, {"reason", "SIGTERM"}}));
  EXPECT_EQ(Fields(lines, "stopped"), json({{"message_id", message_id::kStopped}}));
}

TEST(LogTest, JsonLinesParseWhateverTheNamesHold) {
  const TemporaryFolder folder;
  const auto lines =
      LogOfOneRun("log: {format: json}\n" +
                  OneListener("{builtin: upper}", "line", "",
                              fmt::format("unix:{}/q\\\"\\\\\xE2\x82\xAC", folder.path())));
  ASSERT_FALSE(lines.empty());
  for (const std::string& line : lines) {
    EXPECT_TRUE(json::accept(line)) << line;
  }
}

TEST(LogTest, StartListenAndStopAreLoggedAtInfo) {
  const auto lines = LogOfOneRun(OneListener("{builtin: upper}"));
  std::string all;
  for (const std::string& line : lines) all += line + "\n";
  EXPECT_NE(all.find("listening on 127.0.0.1:"), std::string::npos) << all;
  EXPECT_GE(lines.size(), 3u) << all;
}

TEST(LogTest, TheLogLevelHidesWhatIsBelow) {
  EXPECT_EQ(LogOfOneRun(OneListener("{builtin: upper}"), {"--log-level", "error"}),
            std::vector<std::string>());
  EXPECT_EQ(LogOfOneRun("log: {level: error}\n" + OneListener("{builtin: upper}")),
            std::vector<std::string>());
}

}  // namespace
}  // namespace bsockd::integration
