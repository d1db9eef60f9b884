// server.memory_limit: clients that make the daemon keep much are not read from any more, nobody
// new is taken, those who need little are served as before, and all that ends when the memory comes
// back.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/integration/daemon.h"
#include "tests/integration/measure.h"
#include "tests/integration/process.h"
#include "tests/integration/stats.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

using std::chrono::milliseconds;
using Streams = std::vector<std::unique_ptr<Stream>>;

constexpr size_t kMiB = 1 << 20;
constexpr size_t kLimit = 16 * kMiB;
constexpr size_t kReplyBytes = 64 * 1024;
constexpr std::string_view kShort = "ERR full this server is short of memory\n";

class MemoryLimitTest : public BackendTest {
 protected:
  // Unix sockets, because the kernel buffers little there: what is not read is soon the daemon's.
  std::unique_ptr<Daemon> StartService(std::string_view handler, std::string_view memory_limit,
                                       std::string_view more = "") {
    DaemonOptions options;
    options.config =
        fmt::format("server: {{workers: 2, memory_limit: {}}}\n{}", memory_limit,
                    ListenerWithStats(handler, "line", more, "unix:" + folder_.File("s")));
    options.address_count = 2;
    if (Sanitized()) options.process.environment = {"ASAN_OPTIONS=quarantine_size_mb=1"};
    return StartWith(std::move(options));
  }

  static Streams Connect(const Daemon& daemon, int count) {
    Streams streams;
    for (int i = 0; i < count; ++i) {
      streams.push_back(Stream::Connect(daemon.address()));
      if (!streams.back()) return {};
    }
    return streams;
  }
  static bool IsRefused(const Daemon& daemon) {
    const auto stream = Stream::Connect(daemon.address());
    // Whoever is taken hears nothing: it has not asked.
    return stream != nullptr && stream->ReadableWithin(milliseconds(100)) &&
           stream->ReceiveToEnd() == Closed(kShort);
  }
  static void ExpectMemoryAgain(const Daemon& daemon, Stats& stats) {
    EXPECT_TRUE(Eventually([&] {
      const auto next = Stream::Connect(daemon.address());
      return next != nullptr && next->Exchange("in\n").bytes.find("ERR full") == std::string::npos;
    })) << "nobody is taken any more";
    EXPECT_TRUE(Eventually([&] {
      return stats.Value("bsockd_buffer_bytes") < static_cast<int64_t>(kLimit / 8);
    })) << stats.Value("bsockd_buffer_bytes");
  }
  // Above `before`, which was measured when nobody had asked for much: the limit, and what one
  // turn may bring on top of it before it is noticed.
  static void ExpectBounded(const Daemon& daemon, size_t before) {
    const size_t peak = PeakResidentBytes(daemon.pid());
    Tell("memory above the start, peak", fmt::format("{:.1f} MiB", (peak - before) / double{kMiB}));
    EXPECT_LT(peak, before + 2 * kLimit + (Sanitized() ? 256 : 0) * kMiB);
  }

  TemporaryFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(, MemoryLimitTest, kBackends, BackendName);

TEST_P(MemoryLimitTest, SlowReadersAreHeldAndTheOthersServed) {
  const auto daemon = StartService(fmt::format("{{reply: \"{}\"}}", std::string(kReplyBytes, 'r')),
                                   fmt::format("{}", kLimit));
  ASSERT_NE(daemon, nullptr);
  const auto stats = Stats::Connect(*daemon);
  const std::string reply = std::string(kReplyBytes, 'r') + "\n";
  const Streams others = Connect(*daemon, 4);
  ASSERT_TRUE(stats && others.size() == 4);
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(others[i % 4]->Call("x\n", reply) == reply) << i;
  }
  const size_t before = ResidentBytes(daemon->pid());
  ForgetPeak(daemon->pid());

  // Each wants 2.5 MiB and would be given 1 MiB (output_high): 128 MiB together.
  Streams slow = Connect(*daemon, 128);
  ASSERT_EQ(slow.size(), 128u);
  for (const auto& stream : slow) ASSERT_TRUE(stream->Call("x\n", reply) == reply);  // Accepted.
  std::string requests;
  for (int i = 0; i < 40; ++i) requests += "x\n";
  for (size_t i = 0; i < slow.size(); ++i) {
    ASSERT_TRUE(slow[i]->Send(requests));
    if (i % 4 == 1) slow[i]->HalfClose();  // What it has asked is owed to it all the same.
  }
  ASSERT_TRUE(Eventually([&] { return IsRefused(*daemon); }));
  EXPECT_GT(stats->Count("held", "memory_limit"), 0);
  EXPECT_GT(stats->Count("refused", "memory_limit"), 0);

  std::vector<Microseconds> waits;
  for (int i = 0; i < 100; ++i) {
    const auto start = Clock::now();
    ASSERT_TRUE(others[i % 4]->Call("x\n", reply) == reply) << "who reads is served: " << i;
    waits.push_back(Since(start));
  }
  Tell("wait of the others, median", Median(waits));
  EXPECT_TRUE(Eventually([&] { return IsRefused(*daemon); }))
      << "the slow readers hold what they have";
  ExpectBounded(*daemon, before);

  // Some go, the others read on: all the replies come.
  for (size_t i = 0; i < slow.size(); i += 2) slow[i]->Reset();
  for (size_t i = 1; i < slow.size(); i += 2) {
    slow[i]->HalfClose();
    const Received received = slow[i]->ReceiveToEnd();
    ASSERT_EQ(received.end, Received::End::kClosed) << i;
    ASSERT_EQ(received.bytes.size(), 40 * reply.size()) << i;
  }
  slow.clear();
  ExpectMemoryAgain(*daemon, *stats);
  ExpectBounded(*daemon, before);
}

TEST_P(MemoryLimitTest, LargeBegunFramesAreHeldAndEndedInTime) {
  const auto daemon =
      StartService("{builtin: echo}", fmt::format("{}", kLimit), "    timeouts: {frame: 2s}");
  ASSERT_NE(daemon, nullptr);
  const auto stats = Stats::Connect(*daemon);
  const Streams others = Connect(*daemon, 4);
  ASSERT_TRUE(stats && others.size() == 4);
  for (const auto& other : others) ASSERT_EQ(other->Call("hello\n", "hello\n"), "hello\n");
  const size_t before = ResidentBytes(daemon->pid());
  ForgetPeak(daemon->pid());

  // Almost a whole max_frame each, without its end: 96 MiB together.
  Streams large = Connect(*daemon, 100);
  ASSERT_EQ(large.size(), 100u);
  const std::string most(1000 * 1000, 'x');
  std::vector<size_t> sent(large.size());
  const auto start = Clock::now();
  while (Since(start) < milliseconds(1500)) {
    for (size_t i = 0; i < large.size(); ++i) {
      const ssize_t count = large[i]->SendSome(std::string_view(most).substr(sent[i]));
      if (count > 0) sent[i] += static_cast<size_t>(count);
    }
    for (const auto& other : others) ASSERT_EQ(other->Call("hello\n", "hello\n"), "hello\n");
  }
  EXPECT_GT(stats->Count("held", "memory_limit"), 0);
  int told_busy = 0;
  for (const auto& stream : large) {
    const Received received = stream->ReceiveToEnd();
    const bool busy = received.bytes == "ERR busy the server is short of memory\n";
    ASSERT_TRUE(busy || received.bytes.starts_with("ERR timeout "))
        << testing::PrintToString(received);
    told_busy += busy ? 1 : 0;
  }
  EXPECT_GT(told_busy, 0);
  EXPECT_EQ(stats->Count("shed", "memory_limit"), told_busy);
  ExpectBounded(*daemon, before);
  ExpectMemoryAgain(*daemon, *stats);
}

TEST_P(MemoryLimitTest, ALimitThatIsNotEnforcedIsCountedAndToldAndHoldsNobody) {
  const auto daemon = StartService(fmt::format("{{reply: \"{}\"}}", std::string(kReplyBytes, 'r')),
                                   "{value: 2MiB, enforce: false}");
  ASSERT_NE(daemon, nullptr);
  const auto stats = Stats::Connect(*daemon);
  const Streams slow = Connect(*daemon, 16);
  ASSERT_TRUE(stats && slow.size() == 16);
  std::string requests;
  for (int i = 0; i < 40; ++i) requests += "x\n";
  for (const auto& stream : slow) ASSERT_TRUE(stream->Send(requests));
  EXPECT_TRUE(Eventually([&] { return stats->ShadowCount("held", "memory_limit") > 0; }));
  EXPECT_TRUE(Eventually([&] { return stats->Value("bsockd_buffer_bytes") > 4 << 20; }));
  const auto next = Stream::Connect(daemon->address());
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(next->Exchange("x\n").bytes.size(), kReplyBytes + 1);
  EXPECT_GT(stats->ShadowCount("refused", "memory_limit"), 0);
  EXPECT_EQ(stats->Count("held", "memory_limit"), 0);
  EXPECT_EQ(stats->Count("refused", "memory_limit"), 0);
  EXPECT_TRUE(
      daemon->process().WaitForErrors("connections refused by memory_limit, had it been enforced"));
  for (const auto& stream : slow) {
    EXPECT_EQ(stream->Exchange("").bytes.size(), 40 * (kReplyBytes + 1));
  }
}

}  // namespace
}  // namespace bsockd::integration
