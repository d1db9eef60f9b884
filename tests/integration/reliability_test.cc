// Crowds of hostile and of unlucky clients: what they may cost, in figures.
//
// A crowd is 10,000, at which both this process and the daemon stay below the 20,000 descriptors
// that a process may have; fewer where fewer may be open. What is scaled: slow senders send their
// bytes once in 10 s and have 2 s for a frame, so that they are seen to be cut within a test.
// Sanitizers make everything slower and larger; there the crowds are small, and times and memory
// are not judged by the same figures.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/integration/daemon.h"
#include "tests/integration/measure.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMiB = size_t{1} << 20;

// The other descriptors of either process.
constexpr rlim_t kOtherDescriptors = 200;

size_t CrowdSize() {
  if (Sanitized()) return 300;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return std::min<size_t>(10000, limit.rlim_max - kOtherDescriptors);
}

// With room for a crowd, and for those who are not of it.
std::string ForACrowd(std::string_view config) {
  return fmt::format("server: {{max_connections: 12000}}\n{}", config);
}

class ReliabilityTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    rlimit limit{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  }

  static std::vector<std::unique_ptr<Stream>> Crowd(const Daemon& daemon, size_t count) {
    std::vector<std::unique_ptr<Stream>> crowd;
    for (size_t i = 0; i < count; ++i) {
      crowd.push_back(Stream::Connect(daemon.address()));
      if (!crowd.back()) return {};
    }
    return crowd;
  }

  // How long a client that asks one thing at a time waits, while `condition` holds.
  template <typename Condition>
  static std::vector<Microseconds> Waits(const Daemon& daemon, Condition condition) {
    const auto stream = Stream::Connect(daemon.address());
    std::vector<Microseconds> waits;
    while (stream && condition(waits.size())) {
      const auto start = Clock::now();
      if (stream->Call("hello\n", "hello\n") != "hello\n") break;
      waits.push_back(Since(start));
    }
    return waits;
  }
};
INSTANTIATE_TEST_SUITE_P(, ReliabilityTest, kBackends, BackendName);

// Scenario 8, with a frame timeout of 2 s, in which a sender of a byte in 10 s sends one.
TEST_P(ReliabilityTest, SlowSendersAreCutInTimeAndNobodyElseNotices) {
  constexpr milliseconds kFrameTimeout(2000);
  const auto daemon =
      Start(ForACrowd(OneListener("{builtin: echo}", "line", "    timeouts: {frame: 2s}")));
  ASSERT_NE(daemon, nullptr);
  const auto pause = [] {  // One of many clients, not a flood itself.
    std::this_thread::sleep_for(milliseconds(1));
    return true;
  };
  const auto before = Waits(*daemon, [&](size_t count) { return pause() && count < 1000; });
  ASSERT_EQ(before.size(), 1000u);

  std::vector<std::unique_ptr<Stream>> crowd = Crowd(*daemon, CrowdSize());
  ASSERT_EQ(crowd.size(), CrowdSize());
  std::vector<Clock::time_point> began;
  for (const auto& stream : crowd) {
    EXPECT_TRUE(stream->Send("x"));
    began.push_back(Clock::now());
  }
  // Not while the crowd's first bytes are being read, and until shortly before the first is cut.
  Waits(*daemon, [&](size_t) { return pause() && Since(began.back()) < milliseconds(200); });
  const auto during = Waits(*daemon, [&](size_t) {
    return pause() && Since(began.front()) < kFrameTimeout - milliseconds(100);
  });
  std::atomic<bool> over{false};
  std::vector<Microseconds> amid_cuts;
  std::thread witness([&] { amid_cuts = Waits(*daemon, [&](size_t) { return !over.load(); }); });
  std::vector<pollfd> waiting;
  for (const auto& stream : crowd) waiting.push_back({stream->fd(), POLLIN, 0});
  size_t in_time = 0;
  size_t early = 0;
  size_t ended = 0;
  while (ended < crowd.size() && Since(began.back()) < milliseconds(10000)) {
    ASSERT_GE(poll(waiting.data(), waiting.size(), 1000), 0);
    for (size_t i = 0; i < waiting.size(); ++i) {
      if (waiting[i].revents == 0) continue;
      const auto time = Since(began[i]);
      early += time < kFrameTimeout;
      in_time += time <= kFrameTimeout + milliseconds(1000);
      const Received received = crowd[i]->ReceiveToEnd();
      EXPECT_TRUE(received.bytes.starts_with("ERR timeout ")) << received.bytes;
      waiting[i].fd = -1;
      ++ended;
    }
  }
  over = true;
  witness.join();
  Tell("slow senders cut within the frame timeout and a second",
       fmt::format("{} of {}", in_time, crowd.size()));
  EXPECT_EQ(early, 0u);
  EXPECT_EQ(ended, crowd.size());
  if (!Sanitized()) {
    EXPECT_GE(in_time * 100, crowd.size() * 99);
  }

  ASSERT_GT(during.size(), 100u);
  const auto p99_before = Percentile(before, 0.99);
  const auto p99_during = Percentile(during, 0.99);
  Tell("a client's p99 without slow senders", p99_before);
  Tell("a client's p99 among them", p99_during);
  ASSERT_FALSE(amid_cuts.empty());
  Tell("a client's longest wait while they are cut", Percentile(amid_cuts, 1));
  // At most doubled, and what a machine of two cores that does other things, too, adds to both.
  if (!Sanitized()) {
    EXPECT_LE(p99_during, 2 * p99_before + milliseconds(10));
  }
}

// Scenario 9. Each holds the replies up to output_high and the one that crosses it, and what it has
// asked ahead. Unix sockets, whose buffers in the kernel do not grow: so the replies fill up ours.
TEST_P(ReliabilityTest, SlowReadersCostNoMoreThanTheirCaps) {
  constexpr size_t kReplyBytes = 2048;
  constexpr size_t kOutputHigh = 64 * 1024;
  constexpr size_t kRequests = 200;
  const TemporaryFolder folder;
  const auto daemon = Start(ForACrowd(OneListener(
      fmt::format("{{reply: \"{}\"}}", std::string(kReplyBytes, 'r')), "line",
      "    limits: {output_high: 64KiB, output_low: 16KiB}", "unix:" + folder.File("s"))));
  ASSERT_NE(daemon, nullptr);
  const std::string reply = std::string(kReplyBytes, 'r') + "\n";
  const auto other = Stream::Connect(daemon->address());
  ASSERT_NE(other, nullptr);
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(other->Call("x\n", reply), reply);
  const size_t base = ResidentBytes(daemon->pid());

  const size_t count = CrowdSize();
  std::vector<std::unique_ptr<Stream>> crowd = Crowd(*daemon, count);
  ASSERT_EQ(crowd.size(), count);
  std::string requests;
  for (size_t i = 0; i < kRequests; ++i) requests += "x\n";
  for (const auto& stream : crowd) EXPECT_TRUE(stream->Send(requests));
  for (int i = 0; i < 200; ++i) ASSERT_EQ(other->Call("x\n", reply), reply);
  const size_t peak = PeakResidentBytes(daemon->pid());
  const size_t caps = count * (kOutputHigh + reply.size() + requests.size());
  Tell("memory with slow readers",
       fmt::format("{:.1f} MiB above {:.1f} MiB, caps {:.1f} MiB",
                   static_cast<double>(peak - base) / kMiB, static_cast<double>(base) / kMiB,
                   static_cast<double>(caps) / kMiB));
  if (!Sanitized()) {
    EXPECT_LE(peak, base + caps + caps / 10);
    EXPECT_GE(peak, base + caps / 2) << "the replies did not wait here";
  }
  // Whoever reads at last gets every reply.
  for (size_t i = 0; i < crowd.size(); ++i) {
    if (i % 20 != 0) {
      crowd[i]->Reset();
      continue;
    }
    const Received received = crowd[i]->Exchange("");
    ASSERT_EQ(received.end, Received::End::kClosed);
    ASSERT_EQ(received.bytes.size(), kRequests * reply.size());
  }
}

// Scenario 11.
TEST_P(ReliabilityTest, FiftyThousandConnectionsLeaveNothingBehind) {
  const auto daemon = Start(OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  const auto come_and_go = [&](int i) {
    const auto stream = Stream::Connect(daemon->address());
    if (!stream) return false;
    if (i % 10 != 0) return true;  // Most say nothing; a tenth asks.
    return stream->Exchange("hello\n") == Closed("hello\n");
  };
  // The workers' fixed buffers count as resident from their first use on.
  const int warm_up = Sanitized() ? 200 : 10000;
  const int count = Sanitized() ? 1000 : 50000;
  const size_t descriptors = OpenDescriptors(daemon->pid());
  for (int i = 0; i < warm_up; ++i) ASSERT_TRUE(come_and_go(i));
  ASSERT_TRUE(Eventually([&] { return OpenDescriptors(daemon->pid()) == descriptors; }));
  const size_t memory = ResidentBytes(daemon->pid());
  for (int i = 0; i < count; ++i) ASSERT_TRUE(come_and_go(i));
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors(daemon->pid()) == descriptors; }))
      << OpenDescriptors(daemon->pid()) << " descriptors, before it were " << descriptors;
  const size_t after = ResidentBytes(daemon->pid());
  Tell("resident memory before and after",
       fmt::format("{} and {} KiB", memory / 1024, after / 1024));
  if (!Sanitized()) {
    EXPECT_LE(after, memory + memory / 100 + 16 * 4096);  // And some pages.
  }
}

// Scenario 13.
TEST_P(ReliabilityTest, HalfClosesResetsAndZeroWindowsLeakNothing) {
  const auto daemon = Start(OneListener("{builtin: echo}", "{length: u32be}"));
  ASSERT_NE(daemon, nullptr);
  const size_t descriptors = OpenDescriptors(daemon->pid());
  const std::string frame("\0\0\0\5hello", 9);
  const std::string large = std::string("\0\4\0\0", 4) + std::string(256 * 1024, 'l');
  for (int round = 0; round < (Sanitized() ? 20 : 200); ++round) {
    const auto half = Stream::Connect(daemon->address());
    const auto cut = Stream::Connect(daemon->address());
    const auto reset = Stream::Connect(daemon->address());
    ASSERT_TRUE(half && cut && reset);
    EXPECT_EQ(half->Exchange(frame + frame), Closed(frame + frame));
    // An end inside a frame: what was whole is answered, then the error.
    const Received received = cut->Exchange(frame + frame.substr(0, 6));
    EXPECT_EQ(received.end, Received::End::kClosed);
    EXPECT_TRUE(received.bytes.starts_with(frame));
    EXPECT_NE(received.bytes.find("ERR malformed "), std::string::npos);
    EXPECT_TRUE(reset->Send(frame + frame.substr(0, 3)));
    reset->Reset();
  }
  // A window of nothing for a while: the replies wait, and then all of them come.
  const auto stalled = Stream::Connect(daemon->address());
  ASSERT_NE(stalled, nullptr);
  std::string all;
  for (int i = 0; i < 32; ++i) all += large;
  size_t sent = 0;
  while (sent < all.size()) {
    const ssize_t count = stalled->SendSome(std::string_view(all).substr(sent));
    ASSERT_GE(count, 0);
    if (count == 0) break;
    sent += static_cast<size_t>(count);
  }
  EXPECT_TRUE(stalled->Exchange(std::string_view(all).substr(sent)) == Closed(all));
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors(daemon->pid()) == descriptors; }))
      << OpenDescriptors(daemon->pid()) << " descriptors, before it were " << descriptors;
}

// Scenario 14, for each framing that says how long a frame is.
TEST_P(ReliabilityTest, LengthsThatLieGetAnErrorAndTakeNoMemory) {
  struct Lie {
    std::string_view framing;
    std::string bytes;
    std::string_view code;
  };
  const std::vector<Lie> lies = {
      {"{length: u32be}", std::string("\x7f\xff\xff\xff", 4), "overlong"},
      {"{length: u32be}", std::string("\0\0\0\12ab", 6), "malformed"},
      {"{length: u32be}", std::string("\0\0", 2), "malformed"},
      {"{length: u64be}", std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8), "malformed"},
      {"{length: u64le}", std::string("\0\0\0\0\0\0\0\x40", 8), "overlong"},
      {"{length: {width: 2, adjust: -10}}", std::string("\0\3abc", 5), "malformed"},
      {"{packet: 4}", std::string("\x80\0\0\0", 4), "overlong"},
      {"netstring", "99999999999:", "overlong"},
      {"netstring", "-1:", "malformed"},
      {"netstring", "5:hel", "malformed"},
      {"varint", "\xff\xff\xff\xff\x07", "overlong"},
      {"varint", "\xff\xff\xff\xff\xff\xff", "malformed"},
      {"varint", "\x80", "malformed"},
      {"{fixed: 16}", "short", "malformed"},
  };
  std::string config = "handlers: {echo: {builtin: echo}}\nlisteners:\n";
  for (size_t i = 0; i < lies.size(); ++i) {
    config += fmt::format("  l{}: {{listen: 127.0.0.1:0, handler: echo, framing: {}}}\n", i,
                          lies[i].framing);
  }
  DaemonOptions options;
  options.config = config;
  options.address_count = lies.size();
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  const size_t base = ResidentBytes(daemon->pid());
  for (size_t i = 0; i < lies.size(); ++i) {
    SCOPED_TRACE(fmt::format("{} {}", lies[i].framing, testing::PrintToString(lies[i].bytes)));
    const auto stream = Stream::Connect(daemon->address(i));
    ASSERT_NE(stream, nullptr);
    const Received received = stream->Exchange(lies[i].bytes);
    EXPECT_EQ(received.end, Received::End::kClosed);
    EXPECT_NE(received.bytes.find(fmt::format("ERR {} ", lies[i].code)), std::string::npos)
        << testing::PrintToString(received);
  }
  // Three hundred headers that promise a mebibyte each, and nothing behind them.
  std::vector<std::unique_ptr<Stream>> promises;
  for (int i = 0; i < 300; ++i) {
    promises.push_back(Stream::Connect(daemon->address(0)));
    ASSERT_NE(promises.back(), nullptr);
    ASSERT_TRUE(promises.back()->Send(std::string("\0\x10\0\0promise", 11)));
  }
  const auto other = Stream::Connect(daemon->address(0));
  ASSERT_NE(other, nullptr);
  const std::string frame("\0\0\0\5hello", 9);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(other->Call(frame, frame), frame);
  const size_t peak = PeakResidentBytes(daemon->pid());
  Tell("memory for 300 headers of 1 MiB", fmt::format("{} KiB", (peak - base) / 1024));
  EXPECT_LT(peak, base + (Sanitized() ? 64 : 4) * kMiB);
}

}  // namespace
}  // namespace bsockd::integration
