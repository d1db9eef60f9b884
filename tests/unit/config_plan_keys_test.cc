// No key is forgotten when two configurations are compared. Every field of config.h is changed; the
// structured bindings stop compiling when there is a new one, which then belongs here.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/config/plan.h"
#include "tests/unit/config_expect.h"

namespace bsockd {
namespace {

using std::chrono::seconds;

constexpr auto kAtOnce = TakesEffect::kAtOnce;
constexpr auto kNew = TakesEffect::kNewConnections;
constexpr auto kRestart = TakesEffect::kAfterRestart;

// A configuration in which one thing is different.
struct Variation {
  Config config;
  std::string key;
  TakesEffect effect;
};

class Variations {
 public:
  explicit Variations(const Config& base) : config_(base) {}

  std::vector<Variation> All() {
    auto& [server, log, handlers, listeners] = config_;
    Server(server);
    auto& [level, format] = log;
    Vary(level, LogLevel::kDebug, "log.level", kAtOnce);
    Vary(format, LogFormat::kJson, "log.format", kRestart);
    Handlers(handlers);
    for (ListenerConfig& listener : listeners) Listener(listener);
    return std::move(all_);
  }

 private:
  template <typename T, typename V>
  void Vary(T& field, V value, std::string key, TakesEffect effect) {
    const T before = std::exchange(field, T(value));
    ASSERT_FALSE(before == field) << key;
    all_.push_back({config_, std::move(key), effect});
    field = before;
  }

  // A limit, and whether it is enforced.
  template <typename T, typename V>
  void VaryLimit(Limit<T>& limit, V value, const std::string& key, TakesEffect effect) {
    auto& [of_limit, enforce] = limit;
    Vary(of_limit, value, key, effect);
    Vary(enforce, !enforce, key, effect);
  }

  void Server(ServerConfig& server) {
    auto& [workers, io, max_connections, memory_limit, drain_timeout, protection] = server;
    Vary(workers, 3, "server.workers", kRestart);
    Vary(io, IoBackend::kEpoll, "server.io", kRestart);
    VaryLimit(max_connections, 7, "server.max_connections", kAtOnce);
    VaryLimit(memory_limit, 2u << 20, "server.memory_limit", kAtOnce);
    Vary(drain_timeout, seconds(1), "server.drain_timeout", kAtOnce);
    Vary(protection, Protected::kStrict, "server.protected", kAtOnce);
  }

  void Handlers(std::vector<HandlerConfig>& handlers) {
    auto& [name, reply, builtin, log_requests] = handlers[0];
    EXPECT_EQ(name, "greet");
    Vary(reply, "good bye", "handlers.greet.reply", kAtOnce);
    Vary(log_requests, true, "handlers.greet.log_requests", kAtOnce);
    Vary(handlers[1].builtin, Builtin::kUpper, "handlers.echo.builtin", kAtOnce);
  }

  void Listener(ListenerConfig& listener) {
    auto& [name, listen, mode, framing, reply_framing, handler, limits, timeouts, reply_errors,
           allow, deny, peer] = listener;
    const std::string key = "listeners." + name;
    Framing(framing, key + ".framing");
    if (name != "line") return;
    Vary(mode, 0600, key + ".mode", kAtOnce);
    FramingConfig raw;
    raw.kind = FramingConfig::Kind::kRaw;
    Vary(reply_framing, raw, key + ".reply_framing", kNew);
    Vary(handler, "echo", key + ".handler", kAtOnce);
    Limits(limits, key + ".limits.");
    auto& [first_byte, frame, idle, write] = timeouts;
    VaryLimit(first_byte, seconds(1), key + ".timeouts.first_byte", kAtOnce);
    VaryLimit(frame, seconds(1), key + ".timeouts.frame", kAtOnce);
    VaryLimit(idle, seconds(1), key + ".timeouts.idle", kAtOnce);
    VaryLimit(write, seconds(1), key + ".timeouts.write", kAtOnce);
    Vary(reply_errors, false, key + ".errors", kAtOnce);
    const std::vector<CidrBlock> blocks = {*CidrBlock::Parse("10.0.0.0/8")};
    VaryLimit(allow, blocks, key + ".allow", kNew);
    VaryLimit(deny, blocks, key + ".deny", kNew);
    auto& [of_peer, enforce] = peer;
    auto& [users, groups] = of_peer;
    Vary(users, std::vector<std::string>{"root"}, key + ".peer.uid", kNew);
    Vary(groups, std::vector<std::string>{"0"}, key + ".peer.gid", kNew);
    Vary(enforce, false, key + ".peer", kNew);
  }

  void Limits(LimitsConfig& limits, const std::string& key) {
    auto& [max_connections, max_connections_per_ip, max_frame, max_pipeline, output_high,
           output_low, requests_per_second, requests_burst, max_requests] = limits;
    VaryLimit(max_connections, 7, key + "max_connections", kNew);
    VaryLimit(max_connections_per_ip, 7, key + "max_connections_per_ip", kNew);
    VaryLimit(max_frame, 7u, key + "max_frame", kNew);
    VaryLimit(max_pipeline, 7, key + "max_pipeline", kAtOnce);
    VaryLimit(output_high, 7u << 20, key + "output_high", kAtOnce);
    Vary(output_low, 7u, key + "output_low", kAtOnce);
    VaryLimit(requests_per_second, 7, key + "requests_per_second", kAtOnce);
    Vary(requests_burst, 7, key + "requests_burst", kAtOnce);
    VaryLimit(max_requests, 7, key + "max_requests", kAtOnce);
  }

  void Framing(FramingConfig& framing, const std::string& key) {
    using Kind = FramingConfig::Kind;
    auto& [kind, delimiters, length, fixed_bytes, flush_after, eof, overlong] = framing;
    Vary(kind, kind == Kind::kRaw ? Kind::kVarint : Kind::kRaw, key, kNew);
    Vary(eof, FramingConfig::AtEof::kDiscard, key + ".eof", kNew);
    Vary(overlong, FramingConfig::Overlong::kSkip, key + ".overlong", kNew);
    if (kind == Kind::kLine) Vary(flush_after, seconds(1), key + ".flush_after", kNew);
    if (kind == Kind::kFixed) Vary(fixed_bytes, 7u, key + ".fixed", kNew);
    if (kind == Kind::kDelimiter) {
      Vary(delimiters, std::vector<std::string>{"##"}, key + ".delimiter", kNew);
    }
    if (kind != Kind::kLength) return;
    auto& [width, little_endian, offset, adjust, strip, in_replies] = length;
    Vary(width, 2, key + ".length.width", kNew);
    Vary(little_endian, true, key + ".length.endian", kNew);
    Vary(offset, 7u, key + ".length.offset", kNew);
    Vary(adjust, 7, key + ".length.adjust", kNew);
    Vary(strip, 7u, key + ".length.strip", kNew);
    EXPECT_FALSE(in_replies);  // Follows from the way that the others are written.
  }

  Config config_;
  std::vector<Variation> all_;
};

TEST(ConfigPlanKeysTest, NoneIsForgotten) {
  const Config base = MustLoad(R"(
handlers: {greet: {reply: hello}, echo: {builtin: echo}}
listeners:
  line: {listen: ["127.0.0.1:1", "unix:/a"], handler: greet}
  delimiter: {listen: "127.0.0.1:2", handler: echo, framing: {delimiter: "@@"}}
  length: {listen: "127.0.0.1:3", handler: echo, framing: {length: {width: 4, offset: 1}}}
  fixed: {listen: "127.0.0.1:4", handler: echo, framing: {fixed: 3}}
)");
  EXPECT_TRUE(PlanReload(base, base).empty());
  const std::vector<Variation> variations = Variations(base).All();
  EXPECT_GT(variations.size(), 60u);
  for (const Variation& variation : variations) {
    for (const bool back : {false, true}) {
      const ReloadPlan plan =
          back ? PlanReload(variation.config, base) : PlanReload(base, variation.config);
      SCOPED_TRACE(variation.key + (back ? ", back" : "") + "\n" + FormatPlan(plan));
      ASSERT_EQ(plan.changes.size(), 1u);
      EXPECT_EQ(plan.changes[0].key, variation.key);
      EXPECT_EQ(plan.changes[0].effect, variation.effect);
      EXPECT_NE(plan.changes[0].before, plan.changes[0].after);
      EXPECT_FALSE(plan.empty());
    }
  }
}

}  // namespace
}  // namespace bsockd
