// What the daemon counts, and how it tells: by the handler `stats`, in the log on SIGUSR1, and by
// itself, once a second, what its limits have done.
#include "tests/integration/stats.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/integration/counters.h"
#include "tests/integration/daemon.h"
#include "tests/integration/measure.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

using std::chrono::milliseconds;

class StatsTest : public BackendTest {
 protected:
  std::unique_ptr<Daemon> StartService(std::string_view handler, std::string_view framing,
                                       std::string_view more = "") const {
    DaemonOptions options;
    options.config = ListenerWithStats(handler, framing, more);
    options.address_count = 2;
    return StartWith(std::move(options));
  }
};
INSTANTIATE_TEST_SUITE_P(, StatsTest, kBackends, BackendName);

// Those of "main" that are not 0, without their listener.
Counters CountersOfMain(const Counters& counters) {
  constexpr std::string_view kMain = "{listener=\"main\"";
  Counters result;
  for (const auto& [name, value] : counters) {
    const size_t at = name.find(kMain);
    if (at == name.npos || value == 0) continue;
    std::string reason = name.substr(at + kMain.size());
    result[name.substr(0, at) + reason] = value;
  }
  return result;
}

TEST_P(StatsTest, EveryEventIsCountedOnceWhereItHappened) {
  const auto daemon = StartService("{builtin: echo}", "netstring", "    limits: {max_frame: 16}");
  ASSERT_NE(daemon, nullptr);
  const auto stats = Stats::Connect(*daemon);
  ASSERT_NE(stats, nullptr);
  EXPECT_EQ(CountersOfMain(stats->All()), Counters());

  const auto exchange = [&](std::string_view bytes) {
    const auto stream = Stream::Connect(daemon->address());
    ASSERT_NE(stream, nullptr);
    EXPECT_EQ(stream->Exchange(bytes).end, Received::End::kClosed);
  };
  exchange("1:a,2:bb,0:,");
  exchange("1:a,17:12345678901234567,");
  exchange("1:a,no netstring");
  exchange("1:a,5:hel");
  exchange("");
  const auto reset = Stream::Connect(daemon->address());
  const auto open = Stream::Connect(daemon->address());
  ASSERT_TRUE(reset && open);
  ASSERT_EQ(open->Call("4:open,", "4:open,"), "4:open,");
  ASSERT_EQ(reset->Call("5:reset,", "5:reset,"), "5:reset,");
  reset->Reset();
  // Closed connections are counted when nothing of them is left, a moment after their end is seen.
  const Counters expected = {
      {"bsockd_connections}", 1},
      {"bsockd_connections_total}", 7},
      {"bsockd_connections_closed_total}", 6},
      {"bsockd_requests_total}", 8},
      {"bsockd_cut_total,reason=\"max_frame\"}", 1},
      {"bsockd_cut_total,reason=\"malformed\"}", 1},
      {"bsockd_cut_total,reason=\"truncated\"}", 1},
      {"bsockd_cut_total,reason=\"reset\"}", 1},
  };
  Counters counters;
  EXPECT_TRUE(Eventually([&] {
    counters = CountersOfMain(stats->All());
    return counters == expected;
  })) << testing::PrintToString(counters);
  const Counters all = stats->All();
  EXPECT_EQ(all.at("bsockd_connections{listener=\"stats\"}"), 1u);
  EXPECT_EQ(all.at("bsockd_connections_total{listener=\"stats\"}"), 1u);
  EXPECT_EQ(all.count("bsockd_uptime_seconds"), 1u);
  EXPECT_EQ(all.count("bsockd_buffer_bytes"), 1u);
}

TEST_P(StatsTest, RequestsThatFailOrAreSkippedAreCounted) {
  const auto daemon = StartService(fmt::format("{{reply: \"{}\"}}", std::string(300, 'r')),
                                   "{line: any, overlong: skip, reply_framing: {length: u8}}",
                                   "    limits: {max_frame: 16}");
  ASSERT_NE(daemon, nullptr);
  const auto stats = Stats::Connect(*daemon);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_TRUE(stats && stream);
  const Received received = stream->Exchange("x\n12345678901234567\nx\n");
  EXPECT_EQ(received.end, Received::End::kClosed);
  EXPECT_NE(received.bytes.find("ERR failed "), std::string::npos);
  EXPECT_EQ(stats->Requests(), 2);
  EXPECT_EQ(stats->Value("bsockd_failed_total{listener=\"main\"}"), 2);
  EXPECT_EQ(stats->Count("shed", "max_frame"), 1);
  EXPECT_EQ(stats->Count("cut", "max_frame"), 0);
}

TEST_P(StatsTest, BuffersAreCountedWhileTheyAreHeld) {
  const auto daemon = StartService("{builtin: echo}", "line");
  ASSERT_NE(daemon, nullptr);
  const auto stats = Stats::Connect(*daemon);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_TRUE(stats && stream);
  const int64_t before = stats->Value("bsockd_buffer_bytes");
  ASSERT_TRUE(stream->Send(std::string(500 * 1000, 'x')));
  EXPECT_TRUE(
      Eventually([&] { return stats->Value("bsockd_buffer_bytes") >= before + 500 * 1000; }));
  EXPECT_LT(stats->Value("bsockd_buffer_bytes"), before + 2 * 1024 * 1024);
  EXPECT_EQ(stream->Exchange("\n").bytes.size(), 500u * 1000 + 1);
  EXPECT_TRUE(Eventually([&] { return stats->Value("bsockd_buffer_bytes") <= before + 65536; }));
}

TEST_P(StatsTest, ASignalWritesTheCountersToTheLog) {
  const auto daemon = StartService("{builtin: echo}", "line");
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  ASSERT_EQ(stream->Call("a\nb\n", "a\nb\n"), "a\nb\n");
  daemon->process().Signal(SIGUSR1);
  EXPECT_TRUE(daemon->process().WaitForErrors("bsockd_requests_total{listener=\"main\"} 2\n"))
      << daemon->process().errors();
  ASSERT_EQ(stream->Call("c\n", "c\n"), "c\n");
  daemon->process().Signal(SIGUSR1);
  EXPECT_TRUE(daemon->process().WaitForErrors("bsockd_requests_total{listener=\"main\"} 3\n"))
      << daemon->process().errors();
  const std::string log = daemon->process().errors();
  EXPECT_EQ(LinesWith("bsockd_connections{listener=\"main\"} 1", log).size(), 2u) << log;
  EXPECT_EQ(LinesWith("_total{listener=\"main\",reason=\"idle\"}", log).size(), 0u)
      << "what has not happened is not listed:\n"
      << log;
  EXPECT_EQ(stream->Exchange("d\n"), Closed("d\n"));
}

TEST_P(StatsTest, ASignalWritesThemAlsoInADrainAndDoesNotEndIt) {
  const auto daemon = StartService("{builtin: echo}", "line");
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  ASSERT_EQ(stream->Call("a\nbeg", "a\n"), "a\n");
  daemon->process().Signal(SIGTERM);
  ASSERT_TRUE(daemon->WaitUntilDraining());
  daemon->process().Signal(SIGUSR1);
  EXPECT_TRUE(daemon->process().WaitForErrors("bsockd_requests_total{listener=\"main\"} 1\n"))
      << daemon->process().errors();
  EXPECT_EQ(stream->Exchange("un\n", /*half_close=*/false), Closed("begun\n"));
  daemon->ExpectEnd(Exited(0));
}

// "... main: 12 connections refused by max_connections": 12, of all such lines together.
int64_t SumOf(const std::vector<std::string>& lines) {
  constexpr std::string_view kBefore = "listener main: ";
  int64_t sum = 0;
  for (const std::string& line : lines) {
    const size_t at = line.find(kBefore);
    if (at == line.npos) return -1;
    sum += std::stoll(line.substr(at + kBefore.size()));
  }
  return sum;
}

TEST_P(StatsTest, TheLogTellsOnceASecondWhatTheLimitsHaveDone) {
  const auto daemon =
      StartService("{builtin: echo}", "line",
                   "    limits: {max_connections: 1, max_requests: {value: 2, enforce: false}}");
  ASSERT_NE(daemon, nullptr);
  const auto start = Clock::now();
  auto only = Stream::Connect(daemon->address());
  ASSERT_NE(only, nullptr);
  ASSERT_EQ(only->Call("1\n2\n3\n", "1\n2\n3\n"), "1\n2\n3\n");
  int refused = 0;
  while (Since(start) < milliseconds(2500)) {
    const auto stream = Stream::Connect(daemon->address());
    ASSERT_NE(stream, nullptr);
    const Received received = stream->ReceiveToEnd();
    ASSERT_TRUE(received.bytes.starts_with("ERR full ")) << testing::PrintToString(received);
    ++refused;
    std::this_thread::sleep_for(milliseconds(5));
  }
  only.reset();
  daemon->Stop();  // At the end it tells what it has not told yet.
  const auto seconds = static_cast<size_t>(Since(start) / std::chrono::seconds(1));
  const std::string log = daemon->process().errors();
  const auto lines = LinesWith("connections refused by max_connections", log);
  EXPECT_GE(lines.size(), 2u) << log;
  EXPECT_LE(lines.size(), seconds + 2) << log;  // And one at the end.
  EXPECT_EQ(SumOf(lines), refused) << log;
  for (const std::string& line : lines) {
    EXPECT_TRUE(Matches(line,
                        ".* warn  listener main: [0-9]+ connections refused by "
                        "max_connections"))
        << line;
  }
  const auto shadow = LinesWith("ended by max_requests, had it been enforced", log);
  EXPECT_EQ(shadow.size(), 1u) << log;
  EXPECT_EQ(SumOf(shadow), 1) << log;
}

}  // namespace
}  // namespace bsockd::integration
