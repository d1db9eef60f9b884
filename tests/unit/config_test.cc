// The configuration loader and dumper: what is accepted and what it means. What is refused is in
// config_golden_test.cc.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "lib/config/load.h"

namespace bsockd {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::string_view kSmallest =
    "handlers: {greet: {reply: hello}}\n"
    "listeners: {main: {listen: '127.0.0.1:51717', handler: greet}}\n";

Config MustLoad(std::string_view yaml) {
  LoadedConfig loaded = LoadConfig(yaml);
  EXPECT_EQ(FormatErrors("config", loaded.errors), "") << yaml;
  return loaded.config;
}

// kSmallest with this framing.
FramingConfig LoadFraming(std::string_view framing) {
  const std::string yaml =
      "handlers: {greet: {reply: hello}}\n"
      "listeners: {main: {listen: '127.0.0.1:51717', handler: greet, framing: " +
      std::string(framing) + "}}\n";
  const Config config = MustLoad(yaml);
  return config.listeners.empty() ? FramingConfig() : config.listeners.front().framing;
}

void ExpectSame(const HandlerConfig& a, const HandlerConfig& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.reply, b.reply);
  EXPECT_EQ(a.builtin, b.builtin);
  EXPECT_EQ(a.log_requests, b.log_requests);
}

void ExpectSame(const ListenerConfig& a, const ListenerConfig& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.listen, b.listen);
  EXPECT_EQ(a.mode, b.mode);
  EXPECT_EQ(a.framing.kind, b.framing.kind);
  EXPECT_EQ(a.framing.delimiters, b.framing.delimiters);
  EXPECT_EQ(a.framing.flush_after, b.framing.flush_after);
  EXPECT_EQ(a.framing.eof, b.framing.eof);
  EXPECT_EQ(a.handler, b.handler);
  EXPECT_EQ(a.limits.max_frame, b.limits.max_frame);
  EXPECT_EQ(a.limits.output_high, b.limits.output_high);
  EXPECT_EQ(a.limits.output_low, b.limits.output_low);
}

void ExpectSame(const Config& a, const Config& b) {
  EXPECT_EQ(a.server.workers, b.server.workers);
  EXPECT_EQ(a.server.io, b.server.io);
  EXPECT_EQ(a.server.max_connections, b.server.max_connections);
  EXPECT_EQ(a.server.drain_timeout, b.server.drain_timeout);
  EXPECT_EQ(a.log.level, b.log.level);
  EXPECT_EQ(a.log.format, b.log.format);
  ASSERT_EQ(a.handlers.size(), b.handlers.size());
  for (size_t i = 0; i < a.handlers.size(); ++i) ExpectSame(a.handlers[i], b.handlers[i]);
  ASSERT_EQ(a.listeners.size(), b.listeners.size());
  for (size_t i = 0; i < a.listeners.size(); ++i) ExpectSame(a.listeners[i], b.listeners[i]);
}

void ExpectRoundTrip(const Config& config) {
  const std::string dump = DumpConfig(config);
  SCOPED_TRACE(dump);
  ExpectSame(config, MustLoad(dump));
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
  EXPECT_EQ(config.server.max_connections, 10000);
  EXPECT_EQ(config.server.drain_timeout, seconds(30));
  EXPECT_EQ(config.log.level, LogLevel::kInfo);
  const ListenerConfig& main = config.listeners.at(0);
  EXPECT_EQ(main.framing.kind, FramingConfig::Kind::kLine);
  EXPECT_EQ(main.framing.flush_after, std::nullopt);
  EXPECT_EQ(main.framing.eof, FramingConfig::AtEof::kDeliver);
  EXPECT_EQ(main.limits.max_frame, 1u << 20);
  EXPECT_EQ(main.limits.output_high, 1u << 20);
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
  EXPECT_EQ(config.server.max_connections, 7);
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
  EXPECT_EQ(a.limits.max_frame, 64u << 10);
  EXPECT_EQ(a.limits.output_high, 2u << 20);
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
  EXPECT_EQ(config.listeners[2].limits.max_frame, 1024u);
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

TEST(ConfigTest, DumpIsThis) {
  EXPECT_EQ(DumpConfig(MustLoad(R"(
handlers: {greet: {reply: "hello\r\n"}, "no": {builtin: echo}}
listeners:
  main: {listen: "unix:/run/x", handler: "no", framing: {line: crlf, flush_after: 120s}}
  raw: {listen: "*:1", handler: greet, framing: raw}
  line: {listen: "*:2", handler: greet}
)")),
            R"(server:
  workers: auto
  io: auto
  max_connections: 10000
  drain_timeout: 30s
log:
  level: info
  format: auto
handlers:
  greet:
    reply: "hello\r\n"
    log_requests: false
  "no":
    builtin: echo
    log_requests: false
listeners:
  main:
    listen:
      - "unix:/run/x"
    mode: 0660
    framing:
      delimiter:
        - "\r\n"
      flush_after: 2m
      eof: deliver
    handler: "no"
    limits:
      max_frame: 1MiB
      output_high: 1MiB
      output_low: 256KiB
  raw:
    listen:
      - "*:1"
    framing: raw
    handler: greet
    limits:
      max_frame: 1MiB
      output_high: 1MiB
      output_low: 256KiB
  line:
    listen:
      - "*:2"
    framing:
      line: any
      flush_after: off
      eof: deliver
    handler: greet
    limits:
      max_frame: 1MiB
      output_high: 1MiB
      output_low: 256KiB
)");
}

uint64_t Seed() {
  const char* given = std::getenv("BSOCKD_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device()();
}

// Configurations of random values, which the dump must carry over exactly.
class RandomConfig {
 public:
  explicit RandomConfig(uint64_t seed) : random_(seed) {}

  Config Make() {
    Config config;
    config.server.workers = Below(kWorkersMax + 1);
    config.server.io = static_cast<IoBackend>(Below(3));
    config.server.max_connections = 1 + Below(kMaxConnectionsMax);
    config.server.drain_timeout = RandomDuration(0);
    config.log.level = static_cast<LogLevel>(Below(5));
    config.log.format = static_cast<LogFormat>(Below(3));
    const int handlers = 1 + Below(4);
    for (int i = 0; i < handlers; ++i) config.handlers.push_back(Handler(i));
    const int listeners = 1 + Below(4);
    for (int i = 0; i < listeners; ++i) {
      config.listeners.push_back(Listener(i, config.handlers[Below(handlers)].name));
    }
    return config;
  }

 private:
  int Below(int end) { return std::uniform_int_distribution<int>(0, end - 1)(random_); }

  Duration RandomDuration(int min) {
    constexpr milliseconds kUnits[] = {milliseconds(1), seconds(1), minutes(1), hours(1)};
    return kUnits[Below(4)] * (min + Below(8760 - min));
  }

  size_t Size() { return (size_t{1} + Below(511)) << 10 * Below(3); }

  // UTF-8 with everything in it that needs care.
  std::string Text(int least) {
    constexpr std::string_view kPieces[] = {"a",
                                            " ",
                                            "\n",
                                            "\r",
                                            "\t",
                                            "\"",
                                            "\\",
                                            "'",
                                            "#",
                                            ": ",
                                            "- ",
                                            "@@",
                                            "\x7f",
                                            "\x1b",
                                            "{",
                                            "}",
                                            "\xC2\x85",
                                            "\xE2\x80\xA8",
                                            "\xEF\xBB\xBF",
                                            "\xC3\xA9",
                                            "%",
                                            "null",
                                            "true",
                                            "\xEF\xBF\xBF",
                                            "12",
                                            "\xEE\x80\x80",
                                            "\xC2\xA0",
                                            "\xF0\x9F\x98\x80"};
    std::string text;
    const int pieces = least + Below(8);
    for (int i = 0; i < pieces; ++i) {
      const int piece = Below(std::size(kPieces) + 1);
      if (piece == std::size(kPieces)) {
        text.push_back('\0');
      } else {
        text.append(kPieces[piece]);
      }
    }
    return text;
  }

  std::string Name(int i) {
    constexpr const char* kNames[] = {"main", "true", "1", "1e3", "null", "-", "_.x", "0x1", "a-b"};
    return kNames[Below(std::size(kNames))] + std::string(".") + std::to_string(i);
  }

  HandlerConfig Handler(int i) {
    HandlerConfig handler;
    handler.name = Name(i);
    if (Below(2) == 0) {
      handler.reply = Text(0);
    } else {
      handler.builtin = static_cast<Builtin>(Below(4));
    }
    handler.log_requests = Below(2) == 0;
    return handler;
  }

  ListenerConfig Listener(int i, std::string handler) {
    ListenerConfig listener;
    listener.name = Name(i);
    listener.handler = std::move(handler);
    listener.listen.push_back(*Address::Parse("[fe80::1%eth0]:" + std::to_string(i + 1)));
    if (Below(2) == 0) {
      Address address;
      address.kind = Address::Kind::kUnixPath;
      for (const char c : Text(1)) {
        if (c != '\0') address.path.push_back(c);
      }
      address.path = "/" + std::to_string(i) + address.path;
      listener.listen.push_back(address);
      listener.mode = static_cast<mode_t>(Below(01000));
    }
    listener.framing.kind = static_cast<FramingConfig::Kind>(Below(3));
    if (listener.framing.kind == FramingConfig::Kind::kDelimiter) {
      listener.framing.delimiters.push_back(Text(1));
    }
    if (listener.framing.kind != FramingConfig::Kind::kRaw) {
      if (Below(2) == 0) listener.framing.flush_after = RandomDuration(1);
      listener.framing.eof = static_cast<FramingConfig::AtEof>(Below(2));
    }
    listener.limits.max_frame = Size();
    listener.limits.output_low = Size();
    listener.limits.output_high = listener.limits.output_low + Size();
    return listener;
  }

  std::mt19937_64 random_;
};

TEST(ConfigTest, DumpLoadsToTheSame) {
  const uint64_t seed = Seed();
  SCOPED_TRACE("BSOCKD_SEED=" + std::to_string(seed));
  RandomConfig random(seed);
  for (int i = 0; i < 300 && !testing::Test::HasFailure(); ++i) ExpectRoundTrip(random.Make());
}

}  // namespace
}  // namespace bsockd
