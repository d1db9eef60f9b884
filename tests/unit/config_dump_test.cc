// The configuration written out: it loads to the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/config/load.h"
#include "lib/config/names.h"
#include "tests/unit/config_expect.h"

namespace bsockd {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

void ExpectRoundTrip(const Config& config) {
  const std::string dump = DumpConfig(config);
  SCOPED_TRACE(dump);
  ExpectSame(config, MustLoad(dump));
}

// Every key that concerns it, each with its default or with what was said.
TEST(ConfigDumpTest, IsThis) {
  EXPECT_EQ(DumpConfig(MustLoad(R"(
handlers: {greet: {reply: "hello\r\n"}, "no": {builtin: stats}}
defaults: {limits: {max_connections: 5}, errors: close}
listeners:
  main: {listen: "unixgram:/run/x", handler: "no", framing: {line: crlf, flush_after: 120s}}
  raw:
    listen: ["*:1", "udp:*:1"]
    handler: greet
    framing: raw
    reply_framing: {length: {width: 2, adjust: -1}}
    limits: {max_frame: {value: 3, enforce: false}, requests_per_second: 2, max_requests: 9}
    timeouts: {idle: {value: 90m, enforce: false}}
    errors: reply
    allow: [10.0.0.0/8, "::1"]
    deny: {value: 192.0.2.1, enforce: false}
)")),
            R"(server:
  workers: auto
  io: auto
  max_connections: 10000
  memory_limit: 1GiB
  drain_timeout: 30s
  protected: warn
log:
  level: info
  format: auto
handlers:
  greet:
    reply: "hello\r\n"
    log_requests: false
  "no":
    builtin: stats
    log_requests: false
listeners:
  main:
    listen:
      - "unixgram:/run/x"
    mode: 0660
    framing:
      delimiter:
        - "\r\n"
      flush_after: 2m
      eof: deliver
      overlong: close
    handler: "no"
    limits:
      max_connections: 5
      max_connections_per_ip: 10000
      max_frame: 1MiB
      max_pipeline: 128
      output_high: 1MiB
      output_low: 256KiB
      requests_per_second: off
      max_requests: off
    timeouts:
      first_byte: 30s
      frame: 10s
      idle: 5m
      write: 30s
    errors: close
    peer:
      uid: []
      gid: []
  raw:
    listen:
      - "*:1"
      - "udp:*:1"
    framing: raw
    reply_framing:
      length:
        width: 2
        endian: big
        offset: 0
        adjust: -1
        strip: 0
    handler: greet
    limits:
      max_connections: 5
      max_connections_per_ip: 10000
      max_frame: {value: 3, enforce: false}
      max_pipeline: 128
      output_high: 1MiB
      output_low: 256KiB
      requests_per_second: 2
      requests_burst: 2
      max_requests: 9
    timeouts:
      first_byte: 30s
      frame: 10s
      idle: {value: 90m, enforce: false}
      write: 30s
    errors: reply
    allow:
      - "10.0.0.0/8"
      - "::1"
    deny:
      value:
        - "192.0.2.1"
      enforce: false
)");
}

TEST(ConfigDumpTest, Framings) {
  constexpr std::string_view kFramings[] = {
      "length: u24le", "length: u32be", "netstring:", "varint:",
      "fixed: 1KiB",   "line: any",     "delimiter:", "raw"};
  for (const std::string_view text : kFramings) {
    Config config =
        MustLoad("handlers: {h: {reply: x}}\nlisteners: {a: {listen: 'a:1', handler: h, framing: " +
                 (text == "raw"          ? "raw"
                  : text == "delimiter:" ? std::string("{delimiter: x}")
                                         : "{" + std::string(text) + "}") +
                 "}}\n");
    EXPECT_NE(DumpConfig(config).find(text), std::string::npos) << text;
    config.listeners.at(0).reply_framing = config.listeners.at(0).framing;
    ExpectRoundTrip(config);
  }
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
    config.server.max_connections = Limited(1 + Below(kMaxConnectionsMax));
    config.server.memory_limit = Limited(kMemoryLimitMin + Size());
    config.server.protection = static_cast<Protected>(Below(2));  // strict asks for more
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
      handler.builtin = static_cast<Builtin>(Below(5));
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
    if (Below(3) == 0) {
      listener.listen.push_back(*Address::Parse("systemd:" + std::to_string(i) + " #\"'\\"));
    }
    listener.limits = Limits();
    listener.timeouts.first_byte = Limited(RandomDuration(1));
    listener.timeouts.frame = Limited(RandomDuration(1));
    listener.timeouts.idle = Limited(RandomDuration(1));
    listener.timeouts.write = Limited(RandomDuration(1));
    listener.framing = Framing(listener.limits.max_frame.value);
    if (Below(2) == 0) {
      listener.reply_framing = Framing(kMaxFrameMax);
      listener.reply_framing->flush_after.reset();
      listener.reply_framing->eof = FramingConfig::AtEof::kDeliver;
      listener.reply_framing->overlong = FramingConfig::Overlong::kClose;
    }
    listener.reply_errors = Below(2) == 0;
    listener.allow = Limited(Blocks());
    listener.deny = Limited(Blocks());
    if (listener.listen.size() > 1) listener.peer = Limited(Peer());
    return listener;
  }

  template <typename T>
  Limit<T> Limited(T value) {
    return {std::move(value), Below(3) > 0};
  }

  LimitsConfig Limits() {
    LimitsConfig limits;
    limits.max_connections = Limited(1 + Below(kMaxConnectionsMax));
    limits.max_connections_per_ip = Limited(1 + Below(kMaxConnectionsMax));
    limits.max_frame = Limited(Size());
    limits.max_pipeline = Limited(1 + Below(kMaxPipelineMax));
    limits.output_low = Size();
    limits.output_high = Limited(limits.output_low + Size());
    if (Below(2) == 0) {
      limits.requests_per_second = Limited(1 + Below(kRequestsPerSecondMax));
      limits.requests_burst = 1 + Below(kRequestsPerSecondMax);
    }
    if (Below(2) == 0) limits.max_requests = Limited(kMaxRequestsMax - Below(100));
    return limits;
  }

  FramingConfig Framing(size_t max_frame) {
    FramingConfig framing;
    framing.kind = static_cast<FramingConfig::Kind>(Below(7));
    switch (framing.kind) {
      case FramingConfig::Kind::kRaw:
        return framing;
      case FramingConfig::Kind::kDelimiter:
        framing.delimiters.push_back(Text(1));
        [[fallthrough]];
      case FramingConfig::Kind::kLine:
        if (Below(2) == 0) framing.flush_after = RandomDuration(1);
        break;
      case FramingConfig::Kind::kLength:
        framing.length = Length();
        break;
      case FramingConfig::Kind::kFixed:
        framing.fixed_bytes = std::min(Size(), max_frame);
        break;
      case FramingConfig::Kind::kNetstring:
      case FramingConfig::Kind::kVarint:
        break;
    }
    framing.eof = static_cast<FramingConfig::AtEof>(Below(2));
    framing.overlong = static_cast<FramingConfig::Overlong>(Below(2));
    return framing;
  }

  LengthFieldConfig Length() {
    if (Below(2) == 0) return FieldOf(kLengthPresets[Below(std::size(kLengthPresets))]);
    constexpr int kWidths[] = {1, 2, 3, 4, 8};
    LengthFieldConfig length;
    length.width = kWidths[Below(5)];
    length.little_endian = Below(2) == 0;
    length.offset = static_cast<size_t>(Below(kLengthOffsetMax + 1));
    length.strip = static_cast<size_t>(Below(kLengthStripMax + 1));
    length.adjust = Below(kLengthAdjustMax) - Below(kLengthAdjustMax);
    return length;
  }

  std::vector<CidrBlock> Blocks() {
    constexpr const char* kBlocks[] = {
        "0.0.0.0/0", "::/0",          "10.0.0.0/8",    "192.0.2.1",  "::1",
        "fe80::/10", "2001:db8::/33", "::ffff:0:0/96", "1.2.3.0/31", "::1.2.3.4/127"};
    std::vector<CidrBlock> blocks;
    for (int count = Below(4); count > 0; --count) {
      blocks.push_back(*CidrBlock::Parse(kBlocks[Below(std::size(kBlocks))]));
    }
    return blocks;
  }

  PeerConfig Peer() {
    constexpr const char* kAccounts[] = {"0", "4294967294", "root",  "www-data", "DOMAIN\\a.user",
                                         "-", "null",       "true.", "0x10",     "\xC3\xA9"};
    PeerConfig peer;
    for (int count = Below(3); count > 0; --count) {
      peer.users.push_back(kAccounts[Below(std::size(kAccounts))]);
      peer.groups.push_back(kAccounts[Below(std::size(kAccounts))]);
    }
    return peer;
  }

  std::mt19937_64 random_;
};

TEST(ConfigDumpTest, LoadsToTheSame) {
  const uint64_t seed = Seed();
  SCOPED_TRACE("BSOCKD_SEED=" + std::to_string(seed));
  RandomConfig random(seed);
  for (int i = 0; i < 300 && !testing::Test::HasFailure(); ++i) ExpectRoundTrip(random.Make());
}

}  // namespace
}  // namespace bsockd
