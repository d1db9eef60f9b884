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
  EXPECT_EQ(config.server.max_connections, Limit<int>{10000});
  EXPECT_EQ(config.server.memory_limit, Limit<size_t>{size_t{1} << 30});
  EXPECT_EQ(config.server.drain_timeout, seconds(30));
  EXPECT_EQ(config.server.protection, Protected::kWarn);
  EXPECT_EQ(config.log.level, LogLevel::kInfo);
  const ListenerConfig& main = config.listeners.at(0);
  EXPECT_EQ(main.mode, mode_t{0660});
  EXPECT_EQ(main.framing.kind, FramingConfig::Kind::kLine);
  EXPECT_EQ(main.framing.flush_after, std::nullopt);
  EXPECT_EQ(main.framing.eof, FramingConfig::AtEof::kDeliver);
  EXPECT_EQ(main.framing.overlong, FramingConfig::Overlong::kClose);
  EXPECT_EQ(main.reply_framing, std::nullopt);
  EXPECT_TRUE(main.reply_errors);
  EXPECT_EQ(main.allow, Limit<std::vector<CidrBlock>>());
  EXPECT_EQ(main.deny, Limit<std::vector<CidrBlock>>());
  EXPECT_EQ(main.peer, Limit<PeerConfig>());
}

TEST(ConfigTest, EveryKeyIsRead) {
  const Config config = MustLoad(R"(
server:
  {workers: 3, io: epoll, max_connections: 7, memory_limit: 64MiB, drain_timeout: 2m,
   protected: strict}
log: {level: debug, format: json}
handlers:
  shout: {builtin: upper, log_requests: true}
  clock: {builtin: time}
  nothing: {builtin: discard}
  echo: {builtin: echo}
  empty: {reply: ""}
  numbers: {builtin: stats}
listeners:
  a:
    listen: ["*:1", "[::1]:0", "unix:/run/a.sock", "unix:@a", example.org:2, "udp:*:1"]
    mode: 0600
    framing: {delimiter: "@@", flush_after: 1500ms, eof: discard}
    handler: shout
    overlong: skip
    reply_framing: netstring
    limits: {max_frame: 64KiB, output_high: 2MiB, output_low: 1}
    timeouts: {idle: 1m}
    errors: close
    allow: 10.0.0.0/8
    deny: [10.1.0.0/16]
    peer: {uid: root}
  b: {listen: "127.0.0.1:0", framing: raw, handler: empty}
)");
  EXPECT_EQ(config.server.workers, 3);
  EXPECT_EQ(config.server.io, IoBackend::kEpoll);
  EXPECT_EQ(config.server.max_connections.value, 7);
  EXPECT_EQ(config.server.memory_limit.value, 64u << 20);
  EXPECT_EQ(config.server.drain_timeout, minutes(2));
  EXPECT_EQ(config.server.protection, Protected::kStrict);
  EXPECT_EQ(config.log.level, LogLevel::kDebug);
  EXPECT_EQ(config.log.format, LogFormat::kJson);
  ASSERT_EQ(config.handlers.size(), 6u);
  EXPECT_EQ(config.handlers[0].builtin, Builtin::kUpper);
  EXPECT_TRUE(config.handlers[0].log_requests);
  EXPECT_EQ(config.handlers[1].builtin, Builtin::kTime);
  EXPECT_EQ(config.handlers[2].builtin, Builtin::kDiscard);
  EXPECT_EQ(config.handlers[3].builtin, Builtin::kEcho);
  EXPECT_EQ(config.handlers[4].reply, "");
  EXPECT_EQ(config.handlers[5].builtin, Builtin::kStats);
  ASSERT_EQ(config.listeners.size(), 2u);
  const ListenerConfig& a = config.listeners[0];
  ASSERT_EQ(a.listen.size(), 6u);
  EXPECT_EQ(a.listen[4].ToString(), "example.org:2");
  EXPECT_TRUE(a.listen[5].datagrams);
  EXPECT_EQ(a.mode, mode_t{0600});
  EXPECT_EQ(a.framing.delimiters, std::vector<std::string>{"@@"});
  EXPECT_EQ(a.framing.flush_after, milliseconds(1500));
  EXPECT_EQ(a.framing.eof, FramingConfig::AtEof::kDiscard);
  EXPECT_EQ(a.limits.max_frame.value, 64u << 10);
  EXPECT_EQ(a.limits.output_high.value, 2u << 20);
  EXPECT_EQ(a.limits.output_low, 1u);
  EXPECT_EQ(a.framing.overlong, FramingConfig::Overlong::kSkip);
  EXPECT_EQ(a.reply_framing->kind, FramingConfig::Kind::kNetstring);
  EXPECT_EQ(a.timeouts.idle.value, minutes(1));
  EXPECT_FALSE(a.reply_errors);
  EXPECT_EQ(a.allow.value.size(), 1u);
  EXPECT_EQ(a.deny.value.size(), 1u);
  EXPECT_EQ(a.peer.value.users, std::vector<std::string>{"root"});
  EXPECT_EQ(config.listeners[1].framing.kind, FramingConfig::Kind::kRaw);
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

TEST(ConfigTest, DatagramsMayHaveAFramingThatDoesNotApply) {
  const Config config = MustLoad(R"(
handlers: {greet: {reply: hello}}
listeners:
  a: {listen: ["udp:127.0.0.1:1", "127.0.0.1:1"], handler: greet, framing: netstring}
  b: {listen: "unixgram:/b", handler: greet, mode: 0600, framing: {line: any, flush_after: 1s}}
  c: {listen: ["unixgram:@c", "unix:@c"], handler: greet}
)");
  EXPECT_EQ(config.listeners.at(1).mode, mode_t{0600});
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
