// The configuration loader: what is accepted and what it means. What is refused is in
// config_golden_test.cc.
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/config/load.h"
#include "tests/unit/config_expect.h"

namespace bsockd {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::string_view kSmallest =
    "handlers: {greet: {reply: hello}}\n"
    "listeners: {main: {listen: '127.0.0.1:51717', handler: greet}}\n";

// kSmallest with this framing.
FramingConfig LoadFraming(std::string_view framing) {
  const std::string yaml =
      "handlers: {greet: {reply: hello}}\n"
      "listeners: {main: {listen: '127.0.0.1:51717', handler: greet, framing: " +
      std::string(framing) + "}}\n";
  const Config config = MustLoad(yaml);
  return config.listeners.empty() ? FramingConfig() : config.listeners.front().framing;
}

TEST(ConfigTest, WhatTheFileDoesNotSayHasItsDefault) {
  Config expected;
  expected.handlers.emplace_back();
  expected.handlers[0].name = "greet";
  expected.handlers[0].reply = "hello";
  expected.listeners.emplace_back();
  expected.listeners[0].name = "main";
  expected.listeners[0].listen = {*Address::Parse("127.0.0.1:51717")};
  expected.listeners[0].handler = "greet";
  ExpectSame(MustLoad(kSmallest), expected);
}

TEST(ConfigTest, DefaultsAreTheDocumentedOnes) {
  const Config config = MustLoad(kSmallest);
  EXPECT_EQ(config.server.workers, 0);
  EXPECT_EQ(config.server.max_connections.value, 10000);
  EXPECT_EQ(config.server.drain_timeout, seconds(30));
  EXPECT_EQ(config.log.level, LogLevel::kInfo);
  const ListenerConfig& main = config.listeners.at(0);
  EXPECT_EQ(main.framing.kind, FramingConfig::Kind::kLine);
  EXPECT_EQ(main.framing.flush_after, std::nullopt);
  EXPECT_EQ(main.framing.eof, FramingConfig::AtEof::kDeliver);
  EXPECT_EQ(main.limits.max_frame.value, 1u << 20);
  EXPECT_EQ(main.limits.output_high.value, 1u << 20);
  EXPECT_EQ(main.limits.output_low, 256u << 10);
}

TEST(ConfigTest, EveryKeyIsRead) {
  const Config config = MustLoad(R"(
server: {workers: 3, io: epoll, max_connections: 7, drain_timeout: 2m}
log: {level: debug, format: json}
handlers:
  shout: {builtin: upper, log_requests: true}
  clock: {builtin: time}
  nothing: {builtin: discard}
  echo: {builtin: echo}
  empty: {reply: ""}
listeners:
  a:
    listen: ["*:1", "[::1]:0", "unix:/run/a.sock", "unix:@a", example.org:2]
    mode: 0600
    framing: {delimiter: "@@", flush_after: 1500ms, eof: discard}
    handler: shout
    limits: {max_frame: 64KiB, output_high: 2MiB, output_low: 1}
  b: {listen: "127.0.0.1:0", framing: raw, handler: empty}
)");
  EXPECT_EQ(config.server.workers, 3);
  EXPECT_EQ(config.server.io, IoBackend::kEpoll);
  EXPECT_EQ(config.server.max_connections.value, 7);
  EXPECT_EQ(config.server.drain_timeout, minutes(2));
  EXPECT_EQ(config.log.level, LogLevel::kDebug);
  EXPECT_EQ(config.log.format, LogFormat::kJson);
  ASSERT_EQ(config.handlers.size(), 5u);
  EXPECT_EQ(config.handlers[0].builtin, Builtin::kUpper);
  EXPECT_TRUE(config.handlers[0].log_requests);
  EXPECT_EQ(config.handlers[1].builtin, Builtin::kTime);
  EXPECT_EQ(config.handlers[2].builtin, Builtin::kDiscard);
  EXPECT_EQ(config.handlers[3].builtin, Builtin::kEcho);
  EXPECT_EQ(config.handlers[4].reply, "");
  ASSERT_EQ(config.listeners.size(), 2u);
  const ListenerConfig& a = config.listeners[0];
  ASSERT_EQ(a.listen.size(), 5u);
  EXPECT_EQ(a.listen[4].ToString(), "example.org:2");
  EXPECT_EQ(a.mode, mode_t{0600});
  EXPECT_EQ(a.framing.delimiters, std::vector<std::string>{"@@"});
  EXPECT_EQ(a.framing.flush_after, milliseconds(1500));
  EXPECT_EQ(a.framing.eof, FramingConfig::AtEof::kDiscard);
  EXPECT_EQ(a.limits.max_frame.value, 64u << 10);
  EXPECT_EQ(a.limits.output_high.value, 2u << 20);
  EXPECT_EQ(a.limits.output_low, 1u);
  EXPECT_EQ(config.listeners[1].framing.kind, FramingConfig::Kind::kRaw);
}

TEST(ConfigTest, Framings) {
  using Kind = FramingConfig::Kind;
  EXPECT_EQ(LoadFraming("line").kind, Kind::kLine);
  EXPECT_EQ(LoadFraming("{line: any}").kind, Kind::kLine);
  EXPECT_EQ(LoadFraming("{line: lf}").kind, Kind::kDelimiter);
  EXPECT_EQ(LoadFraming("{line: lf}").delimiters, std::vector<std::string>{"\n"});
  EXPECT_EQ(LoadFraming("{line: crlf}").delimiters, std::vector<std::string>{"\r\n"});
  EXPECT_EQ(LoadFraming("{delimiter: '@@'}").delimiters, std::vector<std::string>{"@@"});
  EXPECT_EQ(LoadFraming(R"({delimiter: ["\r\n", "\n"]})").delimiters,
            (std::vector<std::string>{"\r\n", "\n"}));
  EXPECT_EQ(LoadFraming("{line: any, flush_after: off}").flush_after, std::nullopt);
  EXPECT_EQ(LoadFraming("{flush_after: 1ms, line: lf}").flush_after, milliseconds(1));
}

TEST(ConfigTest, ParseFraming) {
  EXPECT_EQ(ParseFraming("raw")->kind, FramingConfig::Kind::kRaw);
  EXPECT_EQ(ParseFraming("{delimiter: '@@', flush_after: 200ms}")->flush_after, milliseconds(200));
  EXPECT_EQ(ParseFraming("{line: lf, eof: x, flush_after: 2}").status().message(),
            "eof cannot be \"x\" (it is deliver or discard); flush_after cannot be \"2\" (a "
            "duration needs a unit: write 2ms, 2s, 2m or 2h)");
  for (const char* bad : {"", "lines", "[line]", "{", "raw\n--- line", "\xff"}) {
    EXPECT_EQ(ParseFraming(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(ConfigTest, DefaultOfOutputLowFollowsOutputHigh) {
  const auto low = [](std::string_view high) {
    return MustLoad(
               "handlers: {h: {reply: x}}\nlisteners: {a: {listen: 'a:1', handler: h, limits: "
               "{output_high: " +
               std::string(high) + "}}}")
        .listeners.at(0)
        .limits.output_low;
  };
  EXPECT_EQ(low("1GiB"), 256u << 10);
  EXPECT_EQ(low("64KiB"), 16u << 10);
  EXPECT_EQ(low("1"), 1u);
}

TEST(ConfigTest, AnchorsAndAliases) {
  const Config config = MustLoad(R"(
handlers: {greet: {reply: hello}}
listeners:
  a: &any {listen: "127.0.0.1:0", handler: greet, limits: &limits {max_frame: 1KiB}}
  b: *any
  c: {listen: "127.0.0.1:1", handler: greet, limits: *limits}
)");
  ASSERT_EQ(config.listeners.size(), 3u);
  EXPECT_EQ(config.listeners[1].name, "b");
  EXPECT_EQ(config.listeners[2].limits.max_frame.value, 1024u);
}

TEST(ConfigTest, SectionsMayBeEmptyAndLinesMayEndAnyWay) {
  std::string yaml = "server:\nlog:\n" + std::string(kSmallest);
  MustLoad(yaml);
  MustLoad("\xEF\xBB\xBF---\n" + yaml + "...\n");
  yaml.pop_back();
  MustLoad(yaml);
  std::string crlf;
  for (const char c : yaml) crlf.append(c == '\n' ? "\r\n" : std::string(1, c));
  MustLoad(crlf);
}

TEST(ConfigTest, StringsOfManyKinds) {
  const Config config = MustLoad(R"(
handlers:
  yes: {reply: no}
  "12": {reply: "12"}
  block:
    reply: |
      two
        lines
  bytes: {reply: "\0\x01\t\u00e9\U0001F600\"\\"}
listeners: {main: {listen: "127.0.0.1:1", handler: "12"}}
)");
  EXPECT_EQ(config.handlers[0].reply, "no");
  EXPECT_EQ(config.handlers[1].reply, "12");
  EXPECT_EQ(config.handlers[2].reply, "two\n  lines\n");
  EXPECT_EQ(config.handlers[3].reply, std::string("\0\x01\t\xC3\xA9\xF0\x9F\x98\x80\"\\", 11));
}

}  // namespace
}  // namespace bsockd
