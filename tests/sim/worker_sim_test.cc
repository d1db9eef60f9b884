// A real worker on a simulated network: whatever the network and the clients do, every client gets
// exactly its replies, in order, or a prefix of them if it was the one to break off.

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "lib/handler/registry.h"
#include "lib/server/worker.h"
#include "tests/sim/sim_io.h"

namespace bsockd {
namespace {

constexpr int kSeedsDefault = 2000;

// A world made from a seed: a listener, and clients with what they ought to receive.
struct World {
  std::shared_ptr<Listener> listener = std::make_shared<Listener>();
  SimNetwork network;
  std::map<int, std::string> expected;  // By descriptor, as SimNetwork::clients.
};

std::string Delimited(const FramingConfig& framing, std::string_view ending) {
  return framing.kind == FramingConfig::Kind::kRaw ? "" : std::string(ending);
}

World MakeWorld(uint32_t seed) {
  std::mt19937 random(seed ^ 0x9e3779b9u);
  const auto below = [&](size_t n) { return random() % n; };
  World world;
  FramingConfig framing;
  framing.kind = static_cast<FramingConfig::Kind>(below(3));
  framing.delimiters = {"@@", "\r\n", "\n"};
  // Flushed messages may end anywhere in the simulation's time, so clients that leave a message
  // unterminated and open are told apart below.
  if (below(2) == 0) framing.flush_after = std::chrono::seconds(5);
  HandlerConfig handler;
  handler.builtin = below(2) == 0 ? Builtin::kEcho : Builtin::kUpper;
  Listener& listener = *world.listener;
  listener.name = "sim";
  listener.limits.max_frame.value = 100 + below(400);
  listener.limits.output_high.value = 1 + below(600);
  listener.limits.output_low = below(listener.limits.output_high.value);
  listener.framer = MakeFramer(framing, listener.limits.max_frame.value);
  listener.handler = MakeHandler(handler, nullptr);
  listener.flush_after =
      framing.kind == FramingConfig::Kind::kRaw ? std::nullopt : framing.flush_after;

  const std::vector<std::string> endings = framing.kind == FramingConfig::Kind::kDelimiter
                                               ? std::vector<std::string>{"@@", "\r\n", "\n"}
                                               : std::vector<std::string>{"\n", "\r\n"};
  const size_t count = 1 + below(6);
  for (size_t i = 0; i < count; ++i) {
    SimClient client;
    client.window = 1 + below(300);
    client.end = static_cast<SimClient::End>(below(3));
    std::string expected;
    const size_t requests = below(30);
    for (size_t r = 0; r <= requests; ++r) {
      std::string payload;
      const size_t size = below(10) == 0 ? listener.limits.max_frame.value : below(60);
      for (size_t b = 0; b < size; ++b) payload += "abcxyz \0\xff"[below(9)];
      const bool last = r == requests;
      if (last && below(3) > 0) break;  // Often no unterminated tail.
      std::string ending = Delimited(framing, endings[below(endings.size())]);
      // A tail without an end is answered at the end of input or, with flush_after, after it. Where
      // neither comes, it keeps the drain waiting, which is what a drain timeout is for.
      if (last && (client.end == SimClient::End::kHalfClose || listener.flush_after))
        ending.clear();
      client.to_send += payload + ending;
      if (handler.builtin == Builtin::kUpper) {
        for (char& c : payload) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
      }
      if (!payload.empty() || !ending.empty()) expected += payload + ending;
    }
    const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    world.expected[fd] = expected;
    world.network.clients[fd] = std::move(client);
  }
  return world;
}

// Lets a worker serve the world until nothing is left of it. Returns how many connections it
// closed.
size_t Simulate(uint32_t seed, World* world) {
  auto mailbox = Mailbox<WorkerMessage>::Create();
  Worker worker(*std::move(mailbox));
  for (const auto& [fd, client] : world->network.clients) {
    worker.mailbox().Post(NewConnection{.fd = UniqueFd(fd), .listener = world->listener});
  }
  const auto make_io = [&](int) -> absl::StatusOr<std::unique_ptr<Io>> {
    return std::make_unique<SimIo>(seed, &world->network, &worker.mailbox());
  };
  worker.Run(make_io, [](absl::Status) {});
  return worker.connections_closed();
}

uint64_t Trace(uint32_t seed) {
  World world = MakeWorld(seed);
  Simulate(seed, &world);
  return world.network.trace_hash;
}

void Check(uint32_t seed) {
  World world = MakeWorld(seed);
  const size_t closed = Simulate(seed, &world);
  SCOPED_TRACE(testing::Message() << "seed " << seed << " (BSOCKD_SEED=" << seed << ")");
  const std::vector<std::string>& complaints = world.network.complaints;
  EXPECT_TRUE(complaints.empty()) << complaints.front();
  EXPECT_EQ(closed, world.network.clients.size());
  for (const auto& [fd, client] : world.network.clients) {
    const std::string& expected = world.expected.at(fd);
    EXPECT_TRUE(client.closed);
    if (client.was_reset) {
      EXPECT_EQ(client.received, expected.substr(0, client.received.size()));
    } else {
      EXPECT_EQ(client.received, expected);
    }
  }
}

TEST(WorkerSim, EveryClientGetsItsReplies) {
  if (const char* seed = std::getenv("BSOCKD_SEED")) {
    Check(static_cast<uint32_t>(std::strtoul(seed, nullptr, 10)));
    return;
  }
  const uint32_t first = std::random_device()();
  std::printf("first seed %u\n", first);
  for (uint32_t i = 0; i < kSeedsDefault && !testing::Test::HasFailure(); ++i) Check(first + i);
}

TEST(WorkerSim, TheSameSeedGivesTheSameTrace) {
  for (uint32_t seed = 1; seed <= 50; ++seed) {
    EXPECT_EQ(Trace(seed), Trace(seed)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace bsockd
