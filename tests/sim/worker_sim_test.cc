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

constexpr uint32_t kSeedsDefault = 2000;

// A world made from a seed: a listener, and clients with what they ought to receive.
struct World {
  FramingConfig framing;
  HandlerConfig handler;
  LimitsConfig limits;
  std::shared_ptr<const Listener> listener;
  std::unique_ptr<Metrics> metrics = std::make_unique<Metrics>(/*threads=*/1);
  SimNetwork network;
  std::map<int, std::string> expected;  // By descriptor, as SimNetwork::clients.
};

// `payload` as one frame; a rest without its end, where `ending` is kUnterminated.
std::string Framed(const Framer& framer, std::string_view payload, FrameEnding ending) {
  std::string frame;
  const size_t start = framer.BeginFrame(&frame);
  frame += payload;
  EXPECT_TRUE(framer.EndFrame(start, ending, &frame).ok());
  return frame;
}

FramingConfig MakeFraming(std::mt19937& random) {
  FramingConfig framing;
  framing.kind = static_cast<FramingConfig::Kind>(random() % 7);
  framing.delimiters = {"@@", "\r\n", "\n"};
  framing.length.width = random() % 2 == 0 ? 2 : 4;
  framing.length.strip = static_cast<size_t>(framing.length.width);
  framing.length.in_replies = true;
  framing.fixed_bytes = 1 + random() % 50;
  // Flushed messages may end anywhere in the simulation's time, so clients that leave a message
  // unterminated and open are told apart below.
  const bool delimited =
      framing.kind == FramingConfig::Kind::kLine || framing.kind == FramingConfig::Kind::kDelimiter;
  if (delimited && random() % 2 == 0) framing.flush_after = std::chrono::seconds(5);
  return framing;
}

std::shared_ptr<const Listener> MakeListener(const World& world, std::string name) {
  auto listener = std::make_shared<Listener>();
  listener->name = std::move(name);
  listener->metrics = world.metrics->Of(listener->name);
  listener->framing = world.framing;
  listener->framer = MakeFramer(world.framing, world.limits.max_frame.value);
  listener->flush_after = world.framing.flush_after;
  listener->handler = MakeHandler(world.handler, nullptr, nullptr);
  listener->limits = world.limits;
  return listener;
}

// A reload that nobody may notice: other limits for the connections that there are; or another
// framing, with a handler that answers otherwise, which is not for them.
WorkerMessage MakeReload(const World& world, std::mt19937& random) {
  World other;
  other.framing = world.framing;
  other.handler = world.handler;
  other.limits = world.limits;
  other.limits.output_high.value = 1 + random() % 600;
  other.limits.output_low = random() % other.limits.output_high.value;
  other.limits.max_pipeline.value = static_cast<int>(1 + random() % 20);
  if (random() % 3 == 0) {
    other.limits.max_frame.value += 1;
    other.handler.builtin = Builtin::kTime;
  }
  Reconfigure reload;
  auto listener = MakeListener(other, "sim");
  std::const_pointer_cast<Listener>(listener)->metrics = world.metrics->Of("sim");
  reload.listeners = std::make_shared<const ListenersByName>(ListenersByName{{"sim", listener}});
  reload.memory_limit = ServerConfig().memory_limit;
  return reload;
}

World MakeWorld(uint32_t seed) {
  std::mt19937 random(seed ^ 0x9e3779b9u);
  const auto below = [&](size_t n) { return random() % n; };
  World world;
  const FramingConfig framing = world.framing = MakeFraming(random);
  const bool delimited =
      framing.kind == FramingConfig::Kind::kLine || framing.kind == FramingConfig::Kind::kDelimiter;
  const size_t endings = framing.kind == FramingConfig::Kind::kDelimiter ? 3 : 2;
  HandlerConfig& handler = world.handler;
  handler.builtin = below(2) == 0 ? Builtin::kEcho : Builtin::kUpper;
  LimitsConfig& limits = world.limits;
  limits.max_frame.value = 100 + below(400);
  limits.output_high.value = 1 + below(600);
  limits.output_low = below(limits.output_high.value);
  if (below(2) == 0) limits.max_pipeline.value = static_cast<int>(1 + below(20));
  if (below(4) == 0 && framing.kind != FramingConfig::Kind::kRaw) {
    limits.max_requests.value = static_cast<int64_t>(1 + below(20));
  }
  world.listener = MakeListener(world, "sim");
  const Listener& listener = *world.listener;

  const size_t count = 1 + below(6);
  for (size_t i = 0; i < count; ++i) {
    SimClient client;
    client.window = 1 + below(300);
    client.end = static_cast<SimClient::End>(below(3));
    std::string expected;
    int64_t answered = 0;
    const size_t requests = below(20) == 0 ? 600 : below(30);
    for (size_t r = 0; r <= requests; ++r) {
      const bool last = r == requests;
      if (last && below(3) > 0) break;  // Often no unterminated tail.
      std::string payload;
      size_t size = below(10) == 0 ? limits.max_frame.value : below(60);
      if (framing.kind == FramingConfig::Kind::kFixed) size = framing.fixed_bytes;
      for (size_t b = 0; b < size; ++b) payload += "abcxyz \0\xff"[below(9)];
      FrameEnding ending = delimited ? static_cast<FrameEnding>(below(endings)) : FrameEnding{0};
      // A tail without an end is answered at the end of input or, with flush_after, after it. Where
      // neither comes, it keeps the drain waiting, which is what a drain timeout is for.
      const bool ends = client.end == SimClient::End::kHalfClose || listener.flush_after;
      if (last && delimited && ends) ending = kUnterminated;
      const std::string request = Framed(*listener.framer, payload, ending);
      client.to_send += request;
      if (handler.builtin == Builtin::kUpper) {
        for (char& c : payload) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
      }
      const bool in_time = limits.max_requests.value == 0 || answered < limits.max_requests.value;
      if (request.empty() || !in_time) continue;
      ++answered;
      expected += Framed(listener.reply_framer(), payload, ending);
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
  const auto events = Mailbox<WorkerEvent>::Create();
  Metrics& metrics = *world->metrics;
  Worker worker(*std::move(mailbox), events->get(), &metrics, /*thread=*/0, /*workers=*/1,
                ServerConfig().memory_limit);
  if (seed % 2 == 0) {
    world->network.interrupt = [world](std::mt19937& random) { return MakeReload(*world, random); };
  }
  for (const auto& [fd, client] : world->network.clients) {
    worker.mailbox().Post(
        NewConnection{.fd = UniqueFd(fd), .listener = world->listener, .peer = nullptr});
  }
  const auto make_io = [&](int) -> absl::StatusOr<std::unique_ptr<Io>> {
    return std::make_unique<SimIo>(seed, &world->network, &worker.mailbox());
  };
  worker.Run(make_io, [](absl::Status) {});
  EXPECT_EQ(metrics.buffer_bytes(), 0) << "memory that nobody holds any more";
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
  const char* wanted = std::getenv("BSOCKD_SEEDS");  // How many.
  const uint32_t seeds =
      wanted != nullptr ? static_cast<uint32_t>(std::strtoul(wanted, nullptr, 10)) : kSeedsDefault;
  const uint32_t first = std::random_device()();
  std::printf("first seed %u\n", first);
  for (uint32_t i = 0; i < seeds && !testing::Test::HasFailure(); ++i) Check(first + i);
}

TEST(WorkerSim, TheSameSeedGivesTheSameTrace) {
  for (uint32_t seed = 1; seed <= 50; ++seed) {
    EXPECT_EQ(Trace(seed), Trace(seed)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace bsockd
