// How much one client may ask: in a second, altogether, and before it has read the replies.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/integration/daemon.h"
#include "tests/integration/measure.h"
#include "tests/integration/process.h"
#include "tests/integration/stats.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

using std::chrono::milliseconds;

size_t Count(const std::string& text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

std::string Repeat(std::string_view text, size_t times) {
  std::string result;
  for (size_t i = 0; i < times; ++i) result += text;
  return result;
}

class RequestLimitsTest : public BackendTest {
 protected:
  std::unique_ptr<Daemon> StartService(std::string_view limits,
                                       std::string_view handler = "{builtin: echo}",
                                       std::string_view framing = "line",
                                       std::string_view server = "") const {
    DaemonOptions options;
    options.config =
        fmt::format("server: {{{}}}\n{}", server,
                    ListenerWithStats(handler, framing, fmt::format("    limits: {{{}}}", limits)));
    options.address_count = 2;
    return StartWith(std::move(options));
  }
};
INSTANTIATE_TEST_SUITE_P(, RequestLimitsTest, kBackends, BackendName);

TEST_P(RequestLimitsTest, WhoAsksTooFastIsToldSoAndMayAskAgainLater) {
  const auto daemon = StartService("requests_per_second: 5, requests_burst: 3");
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  const auto start = Clock::now();
  ASSERT_TRUE(stream->Send(Repeat("ok\n", 20)));
  std::string replies;
  for (int i = 0; i < 20; ++i) replies += stream->ReceiveUntil("\n");
  const auto more = static_cast<size_t>(Since(start) / milliseconds(200)) + 1;
  const size_t served = Count(replies, "ok\n");
  const size_t refused = Count(replies, "ERR busy a client may ask 5 times a second here\n");
  EXPECT_GE(served, 3u);
  EXPECT_LE(served, 3 + more);
  EXPECT_EQ(served + refused, 20u) << replies;
  EXPECT_TRUE(replies.starts_with("ok\nok\nok\n")) << replies;

  // A request that is refused costs no token: one comes every 200 ms however often it is tried.
  size_t tries = 0;
  const auto waiting = Clock::now();
  while (stream->Send("ok\n") && stream->ReceiveUntil("\n") != "ok\n") {
    ASSERT_LT(Since(waiting), kPatience) << "no token comes back";
    ++tries;
  }
  EXPECT_GE(Since(start), milliseconds(200) * (static_cast<int>(served) + 1 - 3));
  const auto stats = Stats::Connect(*daemon);
  ASSERT_NE(stats, nullptr);
  EXPECT_EQ(stats->Count("shed", "requests_per_second"), static_cast<int64_t>(refused + tries));
  EXPECT_EQ(stats->Requests(), static_cast<int64_t>(served + 1));
}

TEST_P(RequestLimitsTest, AnAddressHasOneRateForAllItsConnectionsAndOthersHaveTheirOwn) {
  constexpr int kRate = 20;
  constexpr int kBurst = 10;
  const auto daemon =
      StartService(fmt::format("requests_per_second: {}, requests_burst: {}", kRate, kBurst),
                   "{builtin: echo}", "line", "workers: 4");
  ASSERT_NE(daemon, nullptr);
  const auto start = Clock::now();
  size_t served = 0;
  size_t asked = 0;
  // Two connections for each worker, and new ones all the time: neither gives anything.
  for (int round = 0; round < 5; ++round) {
    std::vector<std::unique_ptr<Stream>> streams;
    for (int i = 0; i < 8; ++i) {
      streams.push_back(Stream::ConnectFrom("127.0.0.2", daemon->address()));
      ASSERT_NE(streams.back(), nullptr);
      ASSERT_TRUE(streams.back()->Send(Repeat("ok\n", 10)));
      asked += 10;
    }
    for (const auto& stream : streams) {
      for (int i = 0; i < 10; ++i) served += stream->ReceiveUntil("\n") == "ok\n" ? 1 : 0;
    }
    std::this_thread::sleep_for(milliseconds(50));  // The clients' own leisure.
  }
  const double seconds = std::chrono::duration<double>(Since(start)).count();
  EXPECT_LE(static_cast<double>(served), kBurst + kRate * seconds + 1);
  EXPECT_GE(served, static_cast<size_t>(kBurst));
  EXPECT_LT(served, asked);

  const auto other = Stream::ConnectFrom("127.0.0.3", daemon->address());
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(other->Exchange(Repeat("ok\n", kBurst)), Closed(Repeat("ok\n", kBurst)));
}

TEST_P(RequestLimitsTest, WithoutABurstItIsAsManyAsInOneSecond) {
  const auto daemon = StartService("requests_per_second: 50");
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Call(Repeat("ok\n", 50), Repeat("ok\n", 50)), Repeat("ok\n", 50));
}

TEST_P(RequestLimitsTest, WithoutErrorFramesWhoAsksTooFastIsClosed) {
  DaemonOptions options;
  options.config = OneListener("{builtin: echo}", "line",
                               "    limits: {requests_per_second: 1, requests_burst: 2}\n"
                               "    errors: close");
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Exchange(Repeat("ok\n", 10), /*half_close=*/false), Closed("ok\nok\n"));
}

TEST_P(RequestLimitsTest, AfterItsLastRequestAConnectionIsClosed) {
  const auto daemon = StartService("max_requests: 3");
  ASSERT_NE(daemon, nullptr);
  const auto stats = Stats::Connect(*daemon);
  ASSERT_NE(stats, nullptr);
  const auto pipelined = Stream::Connect(daemon->address());
  ASSERT_NE(pipelined, nullptr);
  EXPECT_EQ(pipelined->Exchange("1\n2\n3\n4\n5\n", /*half_close=*/false), Closed("1\n2\n3\n"));
  EXPECT_EQ(stats->Requests(), 3) << "what comes behind is not executed";

  const auto one_by_one = Stream::Connect(daemon->address());
  ASSERT_NE(one_by_one, nullptr);
  ASSERT_EQ(one_by_one->Call("1\n", "1\n"), "1\n");
  ASSERT_EQ(one_by_one->Call("2\n", "2\n"), "2\n");
  EXPECT_EQ(one_by_one->Exchange("3\n", /*half_close=*/false), Closed("3\n"));
  EXPECT_EQ(stats->Count("cut", "max_requests"), 2);
  EXPECT_EQ(stats->Requests(), 6);
}

TEST_P(RequestLimitsTest, DeepPipelinesAreAnsweredInOrderHoweverFewMayBeUnderWay) {
  const size_t lines = Sanitized() ? 10'000 : 100'000;
  std::string numbers;
  for (size_t i = 0; i < lines; ++i) numbers += fmt::format("{}\n", i);
  const std::string empty(lines, '\n');
  for (const int max : {1, 2, 128}) {
    const auto daemon = StartService(fmt::format("max_pipeline: {}", max));
    ASSERT_NE(daemon, nullptr);
    const auto start = Clock::now();
    for (const std::string& requests : {numbers, empty}) {
      const auto stream = Stream::Connect(daemon->address());
      ASSERT_NE(stream, nullptr);
      const Received received = stream->Exchange(requests);
      EXPECT_EQ(received.end, Received::End::kClosed);
      // Not EXPECT_EQ, which would print all of it.
      EXPECT_TRUE(received.bytes == requests) << received.bytes.size() << " of " << requests.size();
    }
    Tell(fmt::format("2 times {} lines, max_pipeline {}", lines, max), Since(start));
  }
}

TEST_P(RequestLimitsTest, ADeepPipelineWhoseRepliesAreEmptyIsExecutedToTheEnd) {
  const size_t requests = Sanitized() ? 10'000 : 100'000;
  for (const int max : {1, 2, 128}) {
    const auto daemon =
        StartService(fmt::format("max_pipeline: {}", max), "{builtin: discard}", "{fixed: 1}");
    ASSERT_NE(daemon, nullptr);
    const auto stats = Stats::Connect(*daemon);
    const auto stream = Stream::Connect(daemon->address());
    ASSERT_TRUE(stats && stream);
    EXPECT_EQ(stream->Exchange(std::string(requests, 'x')), Closed(""));
    EXPECT_EQ(stats->Requests(), static_cast<int64_t>(requests));
  }
}

TEST_P(RequestLimitsTest, RepliesThatAreEmptyNowAndThenHoldNothingUp) {
  // Under raw framing a read is a request; each of them waits until the one before is answered.
  const auto daemon = StartService("max_pipeline: 1, max_frame: 1", "{builtin: discard}", "raw");
  ASSERT_NE(daemon, nullptr);
  const auto stats = Stats::Connect(*daemon);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_TRUE(stats && stream);
  EXPECT_EQ(stream->Exchange(std::string(5000, 'x')), Closed(""));
  EXPECT_EQ(stats->Requests(), 5000);
}

// Replies of 64 KiB to a client that reads nothing, on a socket whose buffer holds but a few.
constexpr size_t kReplyBytes = 64 * 1024;

TEST_P(RequestLimitsTest, NoMoreRequestsAreExecutedThanMayBeUnderWay) {
  TemporaryFolder folder;
  DaemonOptions options;
  options.config = ListenerWithStats(
      fmt::format("{{reply: \"{}\"}}", std::string(kReplyBytes, 'r')), "line",
      "    limits: {max_pipeline: 4, output_high: 256MiB}", "unix:" + folder.File("s"));
  options.address_count = 2;
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  const auto stats = Stats::Connect(*daemon);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_TRUE(stats && stream);
  constexpr int64_t kRequests = 1000;
  ASSERT_TRUE(stream->Send(Repeat("x\n", kRequests)));
  EXPECT_TRUE(Eventually([&] { return stats->Count("held", "max_pipeline") > 0; }));
  // It is one worker's or the other's turn again and again; what more there was to do would be
  // done.
  int64_t executed = 0;
  for (int i = 0; i < 100; ++i) executed = stats->Requests();
  EXPECT_LT(executed, 50);
  const Received received = stream->Exchange("");
  EXPECT_EQ(received.end, Received::End::kClosed);
  EXPECT_EQ(received.bytes.size(), kRequests * (kReplyBytes + 1));
  EXPECT_EQ(stats->Requests(), kRequests);
}

TEST_P(RequestLimitsTest, WhatIsNotEnforcedIsCountedAndToldAndHoldsNothingUp) {
  TemporaryFolder folder;
  DaemonOptions options;
  options.config = ListenerWithStats("{builtin: echo}", "line",
                                     "    limits:\n"
                                     "      requests_per_second: {value: 5, enforce: false}\n"
                                     "      requests_burst: 5\n"
                                     "      max_requests: {value: 100, enforce: false}\n"
                                     "      max_frame: {value: 1KiB, enforce: false}\n"
                                     "      max_pipeline: {value: 2, enforce: false}\n"
                                     "      output_high: {value: 8KiB, enforce: false}");
  options.address_count = 2;
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  const auto stats = Stats::Connect(*daemon);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_TRUE(stats && stream);
  const std::string requests =
      Repeat("short\n", 500) + Repeat(std::string(16 * 1024, 'x') + "\n", 500);
  const Received received = stream->Exchange(requests);
  EXPECT_EQ(received.end, Received::End::kClosed);
  EXPECT_TRUE(received.bytes == requests) << received.bytes.size();
  EXPECT_EQ(stats->Requests(), 1000);

  EXPECT_GT(stats->ShadowCount("shed", "requests_per_second"), 0);
  EXPECT_EQ(stats->ShadowCount("shed", "max_frame"), 500);
  EXPECT_EQ(stats->ShadowCount("cut", "max_requests"), 1);
  EXPECT_GT(stats->ShadowCount("held", "max_pipeline"), 0);
  EXPECT_GT(stats->ShadowCount("held", "output_high"), 0);
  for (const std::string_view reason : {"requests_per_second", "max_frame"}) {
    EXPECT_EQ(stats->Count("shed", reason), 0) << reason;
  }
  EXPECT_EQ(stats->Count("cut", "max_requests"), 0);
  EXPECT_EQ(stats->Count("held", "max_pipeline"), 0);
  EXPECT_EQ(stats->Count("held", "output_high"), 0);
  for (const std::string_view text :
       {"requests not executed by requests_per_second", "requests not executed by max_frame",
        "connections ended by max_requests", "connections held by max_pipeline",
        "connections held by output_high"}) {
    EXPECT_TRUE(daemon->process().WaitForErrors(fmt::format("{}, had it been enforced", text)))
        << text;
  }
}

TEST_P(RequestLimitsTest, ListenersHaveWhatTheDefaultsSayUnlessTheySayOtherwise) {
  DaemonOptions options;
  options.config =
      "defaults:\n"
      "  limits: {max_frame: 16, max_requests: 2}\n"
      "  timeouts: {idle: 200ms}\n"
      "  errors: close\n"
      "handlers:\n"
      "  echo: {builtin: echo}\n"
      "listeners:\n"
      "  as_the_defaults: {listen: \"127.0.0.1:0\", handler: echo}\n"
      "  otherwise:\n"
      "    listen: 127.0.0.1:0\n"
      "    handler: echo\n"
      "    limits: {max_frame: 32}\n"
      "    timeouts: {idle: 60s}\n"
      "    errors: reply\n";
  options.address_count = 2;
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  const std::string long_line = std::string(20, 'x') + "\n";
  const auto exchange = [&](size_t listener, const std::string& requests) {
    const auto stream = Stream::Connect(daemon->address(listener));
    return stream ? stream->Exchange(requests, /*half_close=*/false) : Received();
  };
  EXPECT_EQ(exchange(0, "a\nb\nc\n"), Closed("a\nb\n"));
  EXPECT_EQ(exchange(0, "a\n" + long_line), Closed("a\n"));
  EXPECT_EQ(exchange(0, "a\n"), Closed("a\n")) << "idle";

  EXPECT_EQ(exchange(1, long_line + "b\nc\n"), Closed(long_line + "b\n"));
  EXPECT_EQ(exchange(1, "a\n" + std::string(40, 'x') + "\n"),
            Closed("a\nERR overlong a request has at most 32 bytes here\n"));
  const auto idle = Stream::Connect(daemon->address(1));
  ASSERT_NE(idle, nullptr);
  ASSERT_EQ(idle->Call("a\n", "a\n"), "a\n");
  EXPECT_FALSE(idle->ReadableWithin(milliseconds(500)));
}

}  // namespace
}  // namespace bsockd::integration
