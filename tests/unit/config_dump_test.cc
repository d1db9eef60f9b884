// The configuration written out: it loads to the same.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "lib/config/load.h"
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

TEST(ConfigDumpTest, IsThis) {
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
    config.server.max_connections.value = 1 + Below(kMaxConnectionsMax);
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
    listener.limits.max_frame.value = Size();
    listener.limits.output_low = Size();
    listener.limits.output_high.value = listener.limits.output_low + Size();
    return listener;
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
