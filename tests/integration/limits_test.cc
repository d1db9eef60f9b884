// What the daemon's limits are good for: whatever a client does, memory, descriptors and CPU time
// stay where they were.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/daemon.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMiB = 1 << 20;

// How much more memory than before is still "flat". Sanitizers keep a shadow of what was touched.
size_t FlatBytes() { return (Sanitized() ? 64 : 8) * kMiB; }

// Sanitizers are told to give memory back, as far as they can.
DaemonOptions MeasuredOptions(std::string config) {
  DaemonOptions options;
  options.config = "server: {workers: 1}\n" + std::move(config);
  if (Sanitized()) options.process.environment = {"ASAN_OPTIONS=quarantine_size_mb=1"};
  return options;
}

class LimitsTest : public BackendTest {
 protected:
  // The memory in use once the fixed buffers of the worker have all been used: they are shared by
  // its connections and do not grow, but count as resident only from their first use on. One
  // request after the other, so that nothing piles up. `reply` is the reply to every request,
  // unless empty.
  static size_t SteadyBytes(const Daemon& daemon, std::string_view reply = "") {
    constexpr int kRequests = 1000;
    const std::string request = std::string(16 * 1024 - 1, 'w') + "\n";
    if (reply.empty()) reply = request;
    const auto stream = Stream::Connect(daemon.address());
    if (!stream) return 0;
    for (int i = 0; i < kRequests; ++i) EXPECT_TRUE(stream->Call(request, reply) == reply) << i;
    ForgetPeak(daemon.pid());
    return ResidentBytes(daemon.pid());
  }
};
INSTANTIATE_TEST_SUITE_P(, LimitsTest, kBackends, BackendName);

TEST_P(LimitsTest, AGibibyteWithoutANewlineIsRefusedAndMemoryStaysFlat) {
  const auto daemon = StartWith(MeasuredOptions(OneListener("{builtin: echo}")));
  ASSERT_NE(daemon, nullptr);
  const auto first = Stream::Connect(daemon->address());
  ASSERT_NE(first, nullptr);
  ASSERT_EQ(first->Call("hello\n", "hello\n"), "hello\n");
  const size_t before = SteadyBytes(*daemon);

  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  const std::string block(kMiB, 'x');
  const size_t blocks = Sanitized() ? 64 : 1024;
  Received received;
  bool taken = true;
  for (size_t i = 0; i < blocks && taken; ++i) {
    // As `head -c 1G /dev/zero | nc` does: what can be read is read in between.
    if (received.end == Received::End::kOpen) received.bytes += stream->ReceiveSome(&received.end);
    taken = stream->Send(block);
  }
  if (received.end == Received::End::kOpen) {
    const Received rest = stream->ReceiveToEnd();
    received = {received.bytes + rest.bytes, rest.end};
  }
  EXPECT_TRUE(received.bytes.starts_with("ERR overlong ")) << testing::PrintToString(received);
  EXPECT_TRUE(received.bytes.ends_with("\n")) << testing::PrintToString(received);
  EXPECT_EQ(received.end, Received::End::kClosed);
  EXPECT_LT(PeakResidentBytes(daemon->pid()), before + FlatBytes());
  EXPECT_EQ(first->Exchange("still here\n"), Closed("still here\n"));
}

TEST_P(LimitsTest, AClientThatReadsOnlyAfterAllItsSendingStillSeesTheError) {
  const auto daemon =
      Start(OneListener("{builtin: echo}", "line", "    limits: {max_frame: 64KiB}"));
  ASSERT_NE(daemon, nullptr);
  for (int i = 0; i < 10; ++i) {
    const auto stream = Stream::Connect(daemon->address());
    ASSERT_NE(stream, nullptr);
    ASSERT_TRUE(stream->Send(std::string(8 * kMiB, 'x')));
    const Received received = stream->ReceiveToEnd();
    ASSERT_TRUE(received.bytes.starts_with("ERR overlong ")) << testing::PrintToString(received);
  }
}

TEST_P(LimitsTest, ASlowReaderCostsNoMoreThanOutputHighAndGetsEveryReply) {
  constexpr size_t kReplyBytes = 64 * 1024;
  constexpr size_t kRequests = 1000;  // Replies of 64 MB in all.
  const auto daemon = StartWith(
      MeasuredOptions(OneListener(fmt::format("{{reply: \"{}\"}}", std::string(kReplyBytes, 'r')),
                                  "line", "    limits: {output_high: 1MiB, output_low: 256KiB}")));
  ASSERT_NE(daemon, nullptr);
  const std::string reply = std::string(kReplyBytes, 'r') + "\n";
  const auto other = Stream::Connect(daemon->address());
  ASSERT_NE(other, nullptr);
  const size_t before = SteadyBytes(*daemon, reply);

  const auto slow = Stream::Connect(daemon->address());
  ASSERT_NE(slow, nullptr);
  std::string requests;
  for (size_t i = 0; i < kRequests; ++i) requests += "x\n";
  ASSERT_TRUE(slow->Send(requests));
  // The one worker has taken its turns over the slow connection, too, when it answers this one.
  for (int i = 0; i < 100; ++i) ASSERT_EQ(other->Call("x\n", reply), reply);
  EXPECT_LT(PeakResidentBytes(daemon->pid()), before + FlatBytes());

  const Received received = slow->Exchange("");
  EXPECT_EQ(received.end, Received::End::kClosed);
  EXPECT_EQ(received.bytes.size(), kRequests * reply.size());
  EXPECT_EQ(std::count(received.bytes.begin(), received.bytes.end(), '\n'), kRequests);
  EXPECT_LT(PeakResidentBytes(daemon->pid()), before + FlatBytes());
}

TEST_P(LimitsTest, ASlowReaderThatKeepsSendingIsNotReadFrom) {
  const auto daemon = StartWith(MeasuredOptions(OneListener("{builtin: echo}")));
  ASSERT_NE(daemon, nullptr);
  const auto other = Stream::Connect(daemon->address());
  const auto slow = Stream::Connect(daemon->address());
  ASSERT_TRUE(other && slow);
  const size_t before = SteadyBytes(*daemon);
  const std::string line = std::string(16383, 'y') + "\n";
  // Without a limit all of this would go through; with it the sockets' buffers fill up.
  const size_t most = 64 * kMiB;
  size_t sent = 0;
  int refused = 0;
  while (sent < most && refused < 20) {
    const std::string_view rest = std::string_view(line).substr(sent % line.size());
    const ssize_t count = slow->SendSome(rest);
    ASSERT_GE(count, 0);
    sent += static_cast<size_t>(count);
    refused = count > 0 ? 0 : refused + 1;
    if (count == 0) {
      ASSERT_EQ(other->Call("x\n", "x\n"), "x\n") << "others are served all the time";
    }
  }
  EXPECT_LT(sent, most) << "reading never stopped";
  EXPECT_LT(PeakResidentBytes(daemon->pid()), before + FlatBytes());
  // Reading goes on where it stopped, once the replies are taken.
  const std::string rest(std::string_view(line).substr(sent % line.size()));
  const Received received = slow->Exchange(rest);
  EXPECT_EQ(received.end, Received::End::kClosed);
  EXPECT_EQ(received.bytes.size(), sent + rest.size());
}

TEST_P(LimitsTest, OneConnectionAboveTheLimitGetsAnErrorAndTheOthersAreLeftAlone) {
  const auto daemon = Start("server: {max_connections: 2}\n" + OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  const auto first = Stream::Connect(daemon->address());
  auto second = Stream::Connect(daemon->address());
  ASSERT_TRUE(first && second);
  ASSERT_EQ(first->Call("1\n", "1\n"), "1\n");
  ASSERT_EQ(second->Call("2\n", "2\n"), "2\n");
  for (int i = 0; i < 20; ++i) {
    const auto third = Stream::Connect(daemon->address());
    ASSERT_NE(third, nullptr);
    const Received received = i % 2 == 0 ? third->ReceiveToEnd() : third->Exchange("3\n", false);
    ASSERT_TRUE(received.bytes.starts_with("ERR full ")) << testing::PrintToString(received);
    ASSERT_TRUE(received.bytes.ends_with("\n")) << testing::PrintToString(received);
  }
  EXPECT_EQ(first->Call("1\n", "1\n"), "1\n");
  EXPECT_EQ(second->Exchange("2\n"), Closed("2\n"));
  second.reset();
  EXPECT_TRUE(Eventually([&] {
    const auto next = Stream::Connect(daemon->address());
    return next != nullptr && next->Exchange("4\n") == Closed("4\n");
  })) << "the place of the closed connection is not given away again";
}

TEST_P(LimitsTest, OutOfDescriptorsItNeitherSpinsNorDiesAndGoesOnAfterwards) {
  constexpr size_t kDescriptorsMax = 100;
  DaemonOptions options;
  options.config = OneListener("{builtin: echo}");
  options.process.descriptors_max = kDescriptorsMax;
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  // UBSan opens a pipe when it sees an object of a class for the first time, and takes a failure
  // for a bad object: so it is to see all of them before.
  const auto warm_up = Stream::Connect(daemon->address());
  ASSERT_NE(warm_up, nullptr);
  ASSERT_EQ(warm_up->Exchange("hello\n"), Closed("hello\n"));
  std::vector<std::unique_ptr<Stream>> streams;
  for (size_t i = 0; i < kDescriptorsMax + 20; ++i) {
    streams.push_back(Stream::Connect(daemon->address()));
    ASSERT_NE(streams.back(), nullptr);
  }
  // It may keep a few in reserve.
  ASSERT_TRUE(Eventually([&] { return OpenDescriptors(daemon->pid()) >= kDescriptorsMax - 4; }))
      << OpenDescriptors(daemon->pid());
  ASSERT_EQ(streams.front()->Call("first\n", "first\n"), "first\n") << "the accepted are served";
  const std::string errors_before = daemon->process().errors();

  // Not a wait for something to happen, but the time over which the measurement is taken.
  const milliseconds cpu_before = CpuTime(daemon->pid());
  const milliseconds measured(1000);
  std::this_thread::sleep_for(measured);
  const milliseconds cpu = CpuTime(daemon->pid()) - cpu_before;
  EXPECT_LE(cpu.count(), measured.count() / (Sanitized() ? 5 : 10)) << "ms of CPU time";
  const std::string said = daemon->process().errors().substr(errors_before.size());
  EXPECT_LE(std::count(said.begin(), said.end(), '\n'), 2) << "one line a second:\n" << said;

  // Those that wait in the backlog are accepted as soon as there is room.
  const auto last = std::move(streams.back());
  streams.clear();
  EXPECT_EQ(last->Exchange("last\n"), Closed("last\n"));
  const auto next = Stream::Connect(daemon->address());
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(next->Exchange("next\n"), Closed("next\n"));
}

TEST_P(LimitsTest, PeersThatResetInTheMiddleOfARequestLeaveNothingBehind) {
  const auto daemon = Start(OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  const size_t before_descriptors = OpenDescriptors(daemon->pid()) + 1;  // With the one below.
  const auto witness = Stream::Connect(daemon->address());
  ASSERT_NE(witness, nullptr);
  ASSERT_EQ(witness->Call("hello\n", "hello\n"), "hello\n");
  for (int round = 0; round < 5; ++round) {
    std::vector<std::unique_ptr<Stream>> streams;
    for (int i = 0; i < 100; ++i) {
      streams.push_back(Stream::Connect(daemon->address()));
      ASSERT_NE(streams.back(), nullptr);
      ASSERT_TRUE(streams.back()->Send(i % 2 == 0 ? "half a requ" : "one\ntwo\nthr"));
    }
    // Some of them when their replies are already there to read, others before.
    for (size_t i = 1; i < streams.size(); i += 4) streams[i]->ReceiveUntil("two\n");
    for (const auto& stream : streams) stream->Reset();
  }
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors(daemon->pid()) <= before_descriptors; }))
      << OpenDescriptors(daemon->pid()) << " descriptors, before it were " << before_descriptors;
  EXPECT_EQ(witness->Exchange("hello\n"), Closed("hello\n"));
}

TEST_P(LimitsTest, ManyConnectionsThatComeAndGoLeaveNothingBehind) {
  const auto daemon = StartWith(MeasuredOptions(OneListener("{builtin: echo}")));
  ASSERT_NE(daemon, nullptr);
  const size_t descriptors = OpenDescriptors(daemon->pid());
  const auto come_and_go = [&] {
    const auto stream = Stream::Connect(daemon->address());
    return stream && stream->Exchange("hello\n") == Closed("hello\n");
  };
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(come_and_go());
  const size_t memory = SteadyBytes(*daemon);
  for (int i = 0; i < (Sanitized() ? 300 : 3000); ++i) ASSERT_TRUE(come_and_go());
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors(daemon->pid()) <= descriptors; }))
      << OpenDescriptors(daemon->pid()) << " descriptors, before it were " << descriptors;
  EXPECT_LT(ResidentBytes(daemon->pid()), memory + (Sanitized() ? 32 : 1) * kMiB);
}

}  // namespace
}  // namespace bsockd::integration
