// Clients that send as much as they can, and one that asks a question now and then: it is answered
// in time, although one worker serves them all.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/integration/daemon.h"
#include "tests/integration/measure.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

using std::chrono::milliseconds;

// What the greedy send, again and again, and how they are served.
struct Flood {
  std::string name;
  std::string handler;
  std::string framing;
  std::string limits;
  std::string bytes;
};

void PrintTo(const Flood& flood, std::ostream* out) { *out << flood.name; }

std::vector<Flood> Floods() {
  constexpr size_t kBytes = 256 * 1024;
  std::string lines;
  while (lines.size() < kBytes) lines += std::string(99, 'x') + "\n";
  std::vector<Flood> floods = {
      {"EmptyLines", "{builtin: echo}", "line", "", std::string(kBytes, '\n')},
      {"Lines", "{builtin: upper}", "line", "", lines},
      {"LargeLines", "{builtin: echo}", "line", "", std::string(kBytes, 'x') + "\n"},
      {"NoReplies", "{builtin: discard}", "{fixed: 1}", "", std::string(kBytes, 'x')},
      {"NoRepliesFewAtATime", "{builtin: discard}", "{fixed: 1}", "max_pipeline: 16",
       std::string(kBytes, 'x')},
      {"RawBytes", "{builtin: echo}", "raw", "max_frame: 1", std::string(kBytes, 'x')},
      {"ShortLinesWithLargeReplies", fmt::format("{{reply: \"{}\"}}", std::string(4096, 'r')),
       "line", "", std::string(kBytes, '\n')},
      {"AnEndlessLineThatIsSkipped", "{builtin: echo}", "{line: any, overlong: skip}",
       "max_frame: 16", std::string(kBytes, 'x')},
      {"OverlongLinesThatAreSkipped", "{builtin: echo}", "{line: any, overlong: skip}",
       "max_frame: 1", lines},
      {"TooManyLines", "{builtin: echo}", "line", "requests_per_second: 1",
       std::string(kBytes, '\n')},
  };
  return floods;
}

// Sends and reads as fast as it is served, from a thread of its own, until it is destroyed.
class Flooder {
 public:
  Flooder(std::unique_ptr<Stream> stream, std::string_view bytes)
      : stream_(std::move(stream)), thread_([this, bytes] { Run(bytes); }) {}
  ~Flooder() {
    Stop();
    stream_->Reset();  // What it has sent need not be executed to the end.
  }

  size_t sent() const { return sent_; }
  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  void Run(std::string_view bytes) {
    Received::End end = Received::End::kOpen;
    while (!stop_ && end == Received::End::kOpen) {
      pollfd polled = {stream_->fd(), POLLIN | POLLOUT, 0};
      poll(&polled, 1, 100);
      const ssize_t count = stream_->SendSome(bytes.substr(sent_ % bytes.size()));
      if (count > 0) sent_ += static_cast<size_t>(count);
      stream_->ReceiveSome(&end);
    }
  }

  const std::unique_ptr<Stream> stream_;
  std::atomic<bool> stop_ = false;
  std::atomic<size_t> sent_ = 0;
  std::thread thread_;  // Last: it uses the others.
};

class FairnessTest : public testing::TestWithParam<std::tuple<std::string, Flood>> {
 protected:
  void SetUp() override {
    if (std::get<0>(GetParam()) != "io_uring") return;
    if (const std::string why = WhyNoIoUring(); !why.empty()) GTEST_SKIP() << why;
  }
};

INSTANTIATE_TEST_SUITE_P(, FairnessTest, testing::Combine(kBackends, testing::ValuesIn(Floods())),
                         [](const auto& info) {
                           return std::get<0>(info.param) + std::get<1>(info.param).name;
                         });

TEST_P(FairnessTest, AClientThatAsksOneThingAtATimeIsAnsweredInTime) {
  constexpr int kFlooders = 4;
  const auto& [io, flood] = GetParam();
  DaemonOptions options;
  options.config = fmt::format(
      "server: {{workers: 1}}\n"
      "handlers:\n"
      "  flooded: {}\n"
      "  echo: {{builtin: echo}}\n"
      "listeners:\n"
      "  flooded:\n"
      "    listen: 127.0.0.1:0\n"
      "    handler: flooded\n"
      "    framing: {}\n"
      "    limits: {{{}}}\n"
      "    timeouts: {{frame: 60s}}\n"
      "  polite: {{listen: \"127.0.0.1:0\", handler: echo}}\n",
      flood.handler, flood.framing, flood.limits);
  options.address_count = 2;
  const auto daemon = Daemon::Start(io, std::move(options));
  ASSERT_NE(daemon, nullptr);
  const auto polite = Stream::Connect(daemon->address(1));
  ASSERT_NE(polite, nullptr);
  std::vector<std::unique_ptr<Flooder>> flooders;
  for (int i = 0; i < kFlooders; ++i) {
    auto stream = Stream::Connect(daemon->address(0));
    ASSERT_NE(stream, nullptr);
    flooders.push_back(std::make_unique<Flooder>(std::move(stream), flood.bytes));
  }
  for (const auto& flooder : flooders) {
    ASSERT_TRUE(Eventually([&] { return flooder->sent() > 0; }));
  }
  std::vector<Microseconds> waits;
  for (int i = 0; i < 200; ++i) {
    const auto start = Clock::now();
    ASSERT_EQ(polite->Call("ping\n", "ping\n"), "ping\n");
    waits.push_back(Since(start));
  }
  Tell("wait, median", Median(waits));
  Tell("wait, 99 %", Percentile(waits, 0.99));
  for (const auto& flooder : flooders) {
    EXPECT_TRUE(Eventually([&] { return flooder->sent() > 1024; }))
        << "they are not starved, either";
  }
  EXPECT_LT(Median(waits), milliseconds(Sanitized() ? 300 : 20));
}

class FloodEndTest : public BackendTest {};
INSTANTIATE_TEST_SUITE_P(, FloodEndTest, kBackends, BackendName);

// The reset comes with bytes that are still to be read; no timeout ends these connections here.
TEST_P(FloodEndTest, FloodsThatEndInAResetLeaveNothingBehind) {
  const auto daemon =
      Start("server: {workers: 1}\n" + OneListener("{builtin: echo}", "{line: any, overlong: skip}",
                                                   "    limits: {max_frame: 16}\n"
                                                   "    timeouts: {frame: 10m, idle: 10m}"));
  ASSERT_NE(daemon, nullptr);
  const size_t descriptors = OpenDescriptors(daemon->pid());
  const std::string bytes(256 * 1024, 'x');
  // So much that the daemon is behind.
  const size_t flood_bytes = (Sanitized() ? 8 : 64) * bytes.size();
  for (int round = 0; round < 5; ++round) {
    std::vector<std::unique_ptr<Flooder>> flooders;
    for (int i = 0; i < 4; ++i) {
      auto stream = Stream::Connect(daemon->address());
      ASSERT_NE(stream, nullptr);
      flooders.push_back(std::make_unique<Flooder>(std::move(stream), bytes));
    }
    for (const auto& flooder : flooders) {
      ASSERT_TRUE(Eventually([&] { return flooder->sent() > flood_bytes; }));
    }
    for (const auto& flooder : flooders) flooder->Stop();
    flooders.clear();  // Now all of them reset, with much on its way.
    ASSERT_TRUE(Eventually([&] { return OpenDescriptors(daemon->pid()) <= descriptors; }))
        << OpenDescriptors(daemon->pid()) << " descriptors, before it were " << descriptors
        << "; round " << round;
  }
}

}  // namespace
}  // namespace bsockd::integration
