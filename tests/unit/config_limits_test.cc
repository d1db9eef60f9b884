// Limits, timeouts and access lists in the configuration: what is accepted, what is inherited, what
// is tried out. What is refused is in tests/golden/config.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "lib/config/load.h"
#include "tests/unit/config_expect.h"

namespace bsockd {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// `listener` are keys of the one listener there is, `more` is what else the file says; either goes
// before the other.
ListenerConfig Load(std::string_view listener, std::string_view more = "",
                    bool more_first = false) {
  const std::string listeners =
      "listeners: {a: {listen: ['a:1', 'unix:/a'], handler: h, " + std::string(listener) + "}}\n";
  const std::string rest = "handlers: {h: {reply: x}}\n" + std::string(more) + "\n";
  const Config config = MustLoad(more_first ? rest + listeners : listeners + rest);
  return config.listeners.empty() ? ListenerConfig() : config.listeners.front();
}

// The struct has what the language says by default.
TEST(ConfigLimitsTest, Defaults) {
  const ListenerConfig listener = Load("");
  EXPECT_EQ(listener.limits, LimitsConfig());
  EXPECT_EQ(listener.timeouts, TimeoutsConfig());
  const LimitsConfig& limits = listener.limits;
  EXPECT_EQ(limits.max_connections, (Limit<int>{10000, true}));
  EXPECT_EQ(limits.max_connections_per_ip, (Limit<int>{10000, true}));
  EXPECT_EQ(limits.max_frame, (Limit<size_t>{1 << 20, true}));
  EXPECT_EQ(limits.max_pipeline, (Limit<int>{128, true}));
  EXPECT_EQ(limits.output_high, (Limit<size_t>{1 << 20, true}));
  EXPECT_EQ(limits.output_low, 256u << 10);
  EXPECT_EQ(limits.requests_per_second, (Limit<int>{0, true}));
  EXPECT_EQ(limits.requests_burst, 0);
  EXPECT_EQ(limits.max_requests, (Limit<int64_t>{0, true}));
  EXPECT_EQ(listener.timeouts.first_byte, (Limit<Duration>{seconds(30), true}));
  EXPECT_EQ(listener.timeouts.frame, (Limit<Duration>{seconds(10), true}));
  EXPECT_EQ(listener.timeouts.idle, (Limit<Duration>{minutes(5), true}));
  EXPECT_EQ(listener.timeouts.write, (Limit<Duration>{seconds(30), true}));
}

TEST(ConfigLimitsTest, EveryLimitAndTimeout) {
  const ListenerConfig listener = Load(R"(
limits: {max_connections: 1, max_connections_per_ip: 2, max_frame: 3, max_pipeline: 4,
         output_high: 6, output_low: 5, requests_per_second: 7, requests_burst: 8, max_requests: 9},
timeouts: {first_byte: 1ms, frame: 2s, idle: 3m, write: 8760h})");
  LimitsConfig limits;
  limits.max_connections.value = 1;
  limits.max_connections_per_ip.value = 2;
  limits.max_frame.value = 3;
  limits.max_pipeline.value = 4;
  limits.output_low = 5;
  limits.output_high.value = 6;
  limits.requests_per_second.value = 7;
  limits.requests_burst = 8;
  limits.max_requests.value = 9;
  EXPECT_EQ(listener.limits, limits);
  EXPECT_EQ(listener.timeouts.first_byte.value, milliseconds(1));
  EXPECT_EQ(listener.timeouts.frame.value, seconds(2));
  EXPECT_EQ(listener.timeouts.idle.value, minutes(3));
  EXPECT_EQ(listener.timeouts.write.value, hours(8760));
}

TEST(ConfigLimitsTest, TheLargest) {
  const LimitsConfig limits = Load(R"(
limits: {max_connections: 1048576, max_connections_per_ip: 1048576, max_frame: 1GiB,
         max_pipeline: 1048576, output_high: 1GiB, output_low: 1GiB,
         requests_per_second: 1000000000, requests_burst: 1000000000,
         max_requests: 9007199254740992})")
                                  .limits;
  EXPECT_EQ(limits.max_connections.value, kMaxConnectionsMax);
  EXPECT_EQ(limits.max_frame.value, kMaxFrameMax);
  EXPECT_EQ(limits.max_pipeline.value, kMaxPipelineMax);
  EXPECT_EQ(limits.output_low, kOutputMarkMax);
  EXPECT_EQ(limits.requests_burst, kRequestsPerSecondMax);
  EXPECT_EQ(limits.max_requests.value, kMaxRequestsMax);
}

TEST(ConfigLimitsTest, OutputLowFollowsOutputHigh) {
  const auto low = [](const std::string& high) {
    return Load("limits: {output_high: " + high + "}").limits.output_low;
  };
  EXPECT_EQ(low("1GiB"), 256u << 10);
  EXPECT_EQ(low("64KiB"), 16u << 10);
  EXPECT_EQ(low("1"), 1u);
  EXPECT_EQ(low("{value: 64KiB, enforce: false}"), 16u << 10);
}

TEST(ConfigLimitsTest, BurstIsOneSecondsWorth) {
  EXPECT_EQ(Load("limits: {requests_per_second: 50}").limits.requests_burst, 50);
  EXPECT_EQ(Load("limits: {requests_per_second: off}").limits.requests_burst, 0);
  EXPECT_EQ(Load("limits: {requests_burst: 5, requests_per_second: 50}").limits.requests_burst, 5);
  constexpr std::string_view kRate = "defaults: {limits: {requests_per_second: 50}}";
  EXPECT_EQ(Load("", kRate).limits.requests_burst, 50);
  EXPECT_EQ(Load("limits: {requests_burst: 5}", kRate).limits.requests_burst, 5);
  EXPECT_EQ(Load("limits: {requests_per_second: 9}", kRate).limits.requests_burst, 9);
}

TEST(ConfigLimitsTest, TriedOut) {
  const ListenerConfig listener = Load(R"(
limits: {max_connections: {value: 1, enforce: false}, max_connections_per_ip: {enforce: false, value: 2},
         max_frame: {value: 3, enforce: false}, max_pipeline: {value: 4, enforce: true},
         output_high: {value: 6, enforce: false}, output_low: {value: 5, enforce: false},
         requests_per_second: {value: 7, enforce: false}, requests_burst: {value: 8, enforce: false},
         max_requests: {value: off, enforce: false}},
timeouts: {first_byte: {value: 1s, enforce: False}, frame: {value: 2s, enforce: false},
           idle: {value: 3s, enforce: false}, write: {value: 4s}},
allow: {value: [10.0.0.0/8, "::1"], enforce: false}, deny: {value: 192.0.2.1, enforce: false},
peer: {value: {uid: root, gid: [1, 2]}, enforce: false})");
  const LimitsConfig& limits = listener.limits;
  EXPECT_EQ(limits.max_connections, (Limit<int>{1, false}));
  EXPECT_EQ(limits.max_connections_per_ip, (Limit<int>{2, false}));
  EXPECT_EQ(limits.max_frame, (Limit<size_t>{3, false}));
  EXPECT_EQ(limits.max_pipeline, (Limit<int>{4, true}));
  EXPECT_EQ(limits.output_high, (Limit<size_t>{6, false}));
  EXPECT_EQ(limits.output_low, 5u);
  EXPECT_EQ(limits.requests_per_second, (Limit<int>{7, false}));
  EXPECT_EQ(limits.requests_burst, 8);
  EXPECT_EQ(limits.max_requests, (Limit<int64_t>{0, false}));
  EXPECT_EQ(listener.timeouts.first_byte, (Limit<Duration>{seconds(1), false}));
  EXPECT_EQ(listener.timeouts.frame, (Limit<Duration>{seconds(2), false}));
  EXPECT_EQ(listener.timeouts.idle, (Limit<Duration>{seconds(3), false}));
  EXPECT_EQ(listener.timeouts.write, (Limit<Duration>{seconds(4), true}));
  EXPECT_EQ(listener.allow.value.size(), 2u);
  EXPECT_FALSE(listener.allow.enforce);
  EXPECT_EQ(listener.deny.value.size(), 1u);
  EXPECT_FALSE(listener.deny.enforce);
  EXPECT_EQ(listener.peer.value.groups, (std::vector<std::string>{"1", "2"}));
  EXPECT_FALSE(listener.peer.enforce);
}

TEST(ConfigLimitsTest, OfTheServer) {
  const Config config = MustLoad(R"(
handlers: {h: {reply: x}}
listeners: {a: {listen: "a:1", handler: h}}
server: {max_connections: {value: 5, enforce: false}, memory_limit: {value: 1MiB, enforce: false}}
)");
  EXPECT_EQ(config.server.max_connections, (Limit<int>{5, false}));
  EXPECT_EQ(config.server.memory_limit, (Limit<size_t>{1 << 20, false}));
  EXPECT_EQ(MustLoad("handlers: {h: {reply: x}}\nlisteners: {a: {listen: 'a:1', handler: h}}\n"
                     "server: {memory_limit: 1024GiB}\n")
                .server.memory_limit.value,
            kMemoryLimitMax);
}

TEST(ConfigLimitsTest, ConnectionsAreThoseOfTheServer) {
  constexpr std::string_view kServer = "server: {max_connections: {value: 77, enforce: false}}";
  for (const bool first : {false, true}) {
    const LimitsConfig neither = Load("", kServer, first).limits;
    EXPECT_EQ(neither.max_connections, (Limit<int>{77, false}));
    EXPECT_EQ(neither.max_connections_per_ip, (Limit<int>{77, false}));
    const LimitsConfig one = Load("limits: {max_connections: 5}", kServer, first).limits;
    EXPECT_EQ(one.max_connections, (Limit<int>{5, true}));
    EXPECT_EQ(one.max_connections_per_ip, (Limit<int>{77, false}));
    const LimitsConfig by_default =
        Load("limits: {max_connections: 5}",
             std::string(kServer) + "\ndefaults: {limits: {max_connections_per_ip: 6}}", first)
            .limits;
    EXPECT_EQ(by_default.max_connections, (Limit<int>{5, true}));
    EXPECT_EQ(by_default.max_connections_per_ip, (Limit<int>{6, true}));
  }
}

TEST(ConfigLimitsTest, DefaultsStandAnywhere) {
  constexpr std::string_view kDefaults = R"(
defaults:
  limits: {max_frame: {value: 64KiB, enforce: false}, max_pipeline: 3, requests_per_second: 10,
           requests_burst: 30}
  timeouts: {idle: 7s, frame: {value: 8s, enforce: false}}
  errors: close)";
  for (const bool first : {false, true}) {
    const ListenerConfig plain = Load("", kDefaults, first);
    EXPECT_EQ(plain.limits.max_frame, (Limit<size_t>{64 << 10, false}));
    EXPECT_EQ(plain.limits.max_pipeline.value, 3);
    EXPECT_EQ(plain.limits.requests_burst, 30);
    EXPECT_EQ(plain.timeouts.idle.value, seconds(7));
    EXPECT_EQ(plain.timeouts.frame, (Limit<Duration>{seconds(8), false}));
    EXPECT_EQ(plain.timeouts.write.value, seconds(30));
    EXPECT_FALSE(plain.reply_errors);
    // The listener's own keys win, one by one; a value comes with its enforcement.
    const ListenerConfig own = Load(
        "limits: {max_frame: 5, requests_per_second: 20}, timeouts: {frame: 1s}, errors: reply",
        kDefaults, first);
    EXPECT_EQ(own.limits.max_frame, (Limit<size_t>{5, true}));
    EXPECT_EQ(own.limits.max_pipeline.value, 3);
    EXPECT_EQ(own.limits.requests_per_second.value, 20);
    EXPECT_EQ(own.limits.requests_burst, 30);
    EXPECT_EQ(own.timeouts.frame, (Limit<Duration>{seconds(1), true}));
    EXPECT_EQ(own.timeouts.idle.value, seconds(7));
    EXPECT_TRUE(own.reply_errors);
    EXPECT_EQ(Load("limits: {requests_per_second: off}", kDefaults, first).limits.requests_burst,
              0);
  }
}

TEST(ConfigLimitsTest, OutputMarksAndDefaults) {
  constexpr std::string_view kHigh = "defaults: {limits: {output_high: 64KiB}}";
  EXPECT_EQ(Load("", kHigh).limits.output_low, 16u << 10);
  EXPECT_EQ(Load("limits: {output_high: 1MiB}", kHigh).limits.output_low, 256u << 10);
  EXPECT_EQ(Load("limits: {output_low: 64KiB}", kHigh).limits.output_low, 64u << 10);
  constexpr std::string_view kLow = "defaults: {limits: {output_low: 512KiB}}";
  EXPECT_EQ(Load("", kLow).limits.output_low, 512u << 10);
  EXPECT_EQ(Load("limits: {output_high: 512KiB}", kLow).limits.output_low, 512u << 10);
  EXPECT_EQ(Load("limits: {output_high: 4, output_low: 3}", kLow).limits.output_low, 3u);
}

TEST(ConfigLimitsTest, EmptyMapsSayNothing) {
  const ListenerConfig listener =
      Load("limits: , timeouts: , peer: , allow: [], deny: []", "defaults: {limits: , timeouts: }");
  EXPECT_EQ(listener.limits, LimitsConfig());
  EXPECT_EQ(listener.timeouts, TimeoutsConfig());
  EXPECT_EQ(listener.peer, Limit<PeerConfig>());
  EXPECT_EQ(listener.allow, Limit<std::vector<CidrBlock>>());
  EXPECT_EQ(Load("", "defaults:").limits, LimitsConfig());
}

std::vector<std::string> Texts(const Limit<std::vector<CidrBlock>>& blocks) {
  std::vector<std::string> texts;
  for (const CidrBlock& block : blocks.value) texts.push_back(block.ToString());
  return texts;
}

TEST(ConfigAccessTest, Blocks) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(Texts(Load("allow: 10.0.0.0/8").allow), Strings{"10.0.0.0/8"});
  EXPECT_EQ(Texts(Load("deny: [::1, 192.0.2.7, fe80::/10, ::ffff:1.2.3.4]").deny),
            (Strings{"::1", "192.0.2.7", "fe80::/10", "1.2.3.4"}));
  EXPECT_EQ(Texts(Load("allow: []").allow), Strings{});
  EXPECT_FALSE(Load("allow: {value: [], enforce: false}").allow.enforce);
}

std::string ManyBlocks(size_t count) {
  std::string list = "[";
  for (size_t i = 0; i < count; ++i) {
    list += "10." + std::to_string(i >> 8) + "." + std::to_string(i & 255) + ".1,";
  }
  return list + "]";
}

TEST(ConfigAccessTest, ListsAreBounded) {
  EXPECT_EQ(Load("allow: " + ManyBlocks(kAccessListMax)).allow.value.size(), kAccessListMax);
  const LoadedConfig loaded =
      LoadConfig("handlers: {h: {reply: x}}\nlisteners: {a: {listen: 'a:1', handler: h, deny: " +
                 ManyBlocks(kAccessListMax + 1) + "}}\n");
  ASSERT_EQ(loaded.errors.size(), 1u);
  EXPECT_EQ(loaded.errors[0].message, "10001 entries in deny are too many (at most 10000)");
}

TEST(ConfigAccessTest, Peers) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(Load("peer: {uid: 0}").peer.value.users, Strings{"0"});
  EXPECT_EQ(
      Load("peer: {uid: [0, '1000', 007, www-data, \"true\", no, 4294967294]}").peer.value.users,
      (Strings{"0", "1000", "7", "www-data", "true", "no", "4294967294"}));
  const PeerConfig groups = Load("peer: {gid: adm, uid: []}").peer.value;
  EXPECT_EQ(groups.users, Strings{});
  EXPECT_EQ(groups.groups, Strings{"adm"});
  EXPECT_EQ(Load("peer: {}").peer.value, PeerConfig());
}

}  // namespace
}  // namespace bsockd
