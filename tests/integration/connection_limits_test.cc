// How many connections there may be, of the server, of a listener and of an address: one more is
// told so at once, the others are left alone, and a place that becomes free is given away again.
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

bool IsFull(const Received& received) {
  return received.bytes.starts_with("ERR full ") && received.bytes.ends_with("\n") &&
         std::count(received.bytes.begin(), received.bytes.end(), '\n') == 1;
}

class ConnectionLimitsTest : public BackendTest {
 protected:
  // An echo service with `limits`, and with counters.
  std::unique_ptr<Daemon> StartEcho(std::string_view limits, std::string_view server = "",
                                    std::string_view more = "") const {
    DaemonOptions options;
    options.config =
        fmt::format("server: {{{}}}\n{}", server,
                    ListenerWithStats("{builtin: echo}", "line",
                                      fmt::format("    limits: {{{}}}\n{}", limits, more)));
    options.address_count = 2;
    return StartWith(std::move(options));
  }

  // Connections of `from` that are being served.
  static Streams Serve(const Daemon& daemon, int count, const std::string& from = "127.0.0.1") {
    Streams streams;
    for (int i = 0; i < count; ++i) {
      streams.push_back(Stream::ConnectFrom(from, daemon.address()));
      if (!streams.back()) return {};
      EXPECT_EQ(streams.back()->Call("hello\n", "hello\n"), "hello\n") << "connection " << i;
    }
    return streams;
  }
  static void ExpectServed(const Streams& streams) {
    for (const auto& stream : streams) EXPECT_EQ(stream->Call("still\n", "still\n"), "still\n");
  }
  // Connects once and tells what came of it.
  static Received TryOnce(const Daemon& daemon, const std::string& from = "127.0.0.1") {
    const auto stream = Stream::ConnectFrom(from, daemon.address());
    return stream ? stream->ReceiveToEnd() : Received();
  }
  static void ExpectAPlaceAgain(const Daemon& daemon, const std::string& from = "127.0.0.1") {
    EXPECT_TRUE(Eventually([&] {
      const auto next = Stream::ConnectFrom(from, daemon.address());
      return next != nullptr && next->Exchange("in\n") == Closed("in\n");
    })) << "the place of the closed connection is not given away again";
  }
};
INSTANTIATE_TEST_SUITE_P(, ConnectionLimitsTest, kBackends, BackendName);

TEST_P(ConnectionLimitsTest, OneMoreOfAListenerIsToldAtOnce) {
  const auto daemon = StartEcho("max_connections: 3");
  ASSERT_NE(daemon, nullptr);
  Streams streams = Serve(*daemon, 3);
  ASSERT_EQ(streams.size(), 3u);
  std::vector<Microseconds> waits;
  for (int i = 0; i < 101; ++i) {
    const auto start = Clock::now();
    const auto stream = Stream::Connect(daemon->address());
    ASSERT_NE(stream, nullptr);
    const std::string line = stream->ReceiveUntil("\n");
    waits.push_back(Since(start));
    ASSERT_TRUE(line.starts_with("ERR full ")) << line;
    ASSERT_EQ(stream->ReceiveToEnd(), Closed(""));
  }
  Tell("ERR full, median", Median(waits));
  Tell("ERR full, longest", Percentile(waits, 1));
  EXPECT_LT(Median(waits), milliseconds(Sanitized() ? 100 : 10));
  ExpectServed(streams);
  const auto stats = Stats::Connect(*daemon);  // Another listener, with places of its own.
  ASSERT_NE(stats, nullptr);
  EXPECT_EQ(stats->Count("refused", "max_connections"), 101);
  EXPECT_EQ(stats->Connections(), 3);
  EXPECT_EQ(stats->Value("bsockd_connections_total{listener=\"main\"}"), 3);

  streams.pop_back();
  ExpectAPlaceAgain(*daemon);
  ExpectServed(streams);
}

TEST_P(ConnectionLimitsTest, WhoIsRefusedIsToldAlsoIfItHasAskedAlready) {
  const auto daemon = StartEcho("max_connections: 1");
  ASSERT_NE(daemon, nullptr);
  const Streams streams = Serve(*daemon, 1);
  ASSERT_EQ(streams.size(), 1u);
  for (int i = 0; i < 20; ++i) {
    const auto stream = Stream::Connect(daemon->address());
    ASSERT_NE(stream, nullptr);
    const Received received = stream->Exchange(std::string(100000, 'x') + "\nmore\n");
    ASSERT_TRUE(IsFull(received)) << testing::PrintToString(received);
    ASSERT_EQ(received.end, Received::End::kClosed);
  }
  ExpectServed(streams);
}

TEST_P(ConnectionLimitsTest, AnAddressHasItsOwnPlaces) {
  const auto daemon = StartEcho("max_connections_per_ip: 2");
  ASSERT_NE(daemon, nullptr);
  Streams mine = Serve(*daemon, 2, "127.0.0.2");
  ASSERT_EQ(mine.size(), 2u);
  const Received refused = TryOnce(*daemon, "127.0.0.2");
  EXPECT_TRUE(IsFull(refused)) << testing::PrintToString(refused);
  const Streams others = Serve(*daemon, 2, "127.0.0.3");
  ASSERT_EQ(others.size(), 2u);
  const Received also_refused = TryOnce(*daemon, "127.0.0.3");
  EXPECT_TRUE(IsFull(also_refused)) << testing::PrintToString(also_refused);
  const auto stats = Stats::Connect(*daemon);
  ASSERT_NE(stats, nullptr);
  EXPECT_EQ(stats->Count("refused", "max_connections_per_ip"), 2);

  mine.pop_back();
  ExpectAPlaceAgain(*daemon, "127.0.0.2");
  ExpectServed(mine);
  ExpectServed(others);
}

TEST_P(ConnectionLimitsTest, AllListenersShareThePlacesOfTheServer) {
  const auto daemon = StartEcho("", "max_connections: 3");
  ASSERT_NE(daemon, nullptr);
  const auto stats = Stats::Connect(*daemon);
  ASSERT_NE(stats, nullptr);
  ASSERT_EQ(stats->Requests(), 0);  // It is being served: one place is taken.
  Streams streams = Serve(*daemon, 2);
  ASSERT_EQ(streams.size(), 2u);
  const Received refused = TryOnce(*daemon);
  EXPECT_TRUE(IsFull(refused)) << testing::PrintToString(refused);
  EXPECT_EQ(stats->Count("refused", "server_max_connections"), 1);
  EXPECT_EQ(stats->Count("refused", "max_connections"), 0);
  streams.pop_back();
  ExpectAPlaceAgain(*daemon);
}

TEST_P(ConnectionLimitsTest, WithoutErrorFramesARefusedConnectionIsClosedWithoutAWord) {
  const auto daemon = StartEcho("max_connections: 1", "", "    errors: close");
  ASSERT_NE(daemon, nullptr);
  const Streams streams = Serve(*daemon, 1);
  ASSERT_EQ(streams.size(), 1u);
  EXPECT_EQ(TryOnce(*daemon), Closed(""));
  ExpectServed(streams);
}

TEST_P(ConnectionLimitsTest, ARefusalIsFramedAsRepliesAre) {
  DaemonOptions options;
  options.config =
      ListenerWithStats("{builtin: echo}", "netstring", "    limits: {max_connections: 1}");
  options.address_count = 2;
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  const auto first = Stream::Connect(daemon->address());
  ASSERT_NE(first, nullptr);
  ASSERT_EQ(first->Call("2:hi,", "2:hi,"), "2:hi,");
  EXPECT_EQ(TryOnce(*daemon),
            Closed("58:ERR full this listener has all the connections it may have,"));
}

TEST_P(ConnectionLimitsTest, ACrowdThatIsRefusedLeavesNothingBehind) {
  const auto daemon = StartEcho("max_connections: 2");
  ASSERT_NE(daemon, nullptr);
  const Streams streams = Serve(*daemon, 2);
  ASSERT_EQ(streams.size(), 2u);
  const size_t descriptors = OpenDescriptors(daemon->pid());
  // None of them reads or closes: only so many are kept to be told, the others are closed.
  Streams crowd;
  for (int i = 0; i < 500; ++i) {
    crowd.push_back(Stream::Connect(daemon->address()));
    ASSERT_NE(crowd.back(), nullptr);
  }
  ExpectServed(streams);
  EXPECT_LE(OpenDescriptors(daemon->pid()), descriptors + 100);
  int told = 0;
  for (const auto& stream : crowd) {
    const Received received = stream->ReceiveToEnd();
    if (IsFull(received)) ++told;
    ASSERT_TRUE(IsFull(received) || received.bytes.empty()) << testing::PrintToString(received);
  }
  EXPECT_GT(told, 0);
  crowd.clear();
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors(daemon->pid()) <= descriptors; }))
      << OpenDescriptors(daemon->pid()) << " descriptors, before it were " << descriptors;
  const auto stats = Stats::Connect(*daemon);
  ASSERT_NE(stats, nullptr);
  EXPECT_EQ(stats->Count("refused", "max_connections"), 500);
}

TEST_P(ConnectionLimitsTest, PlacesComeBackHoweverAConnectionEnds) {
  const auto daemon = StartEcho("max_connections: 4, max_connections_per_ip: 3");
  ASSERT_NE(daemon, nullptr);
  for (int round = 0; round < 20; ++round) {
    Streams streams;
    for (int i = 0; i < 3; ++i) streams.push_back(Stream::Connect(daemon->address()));
    ASSERT_TRUE(streams[0] && streams[1] && streams[2]);
    ASSERT_EQ(streams[0]->Call("whole\n", "whole\n"), "whole\n");
    ASSERT_EQ(streams[0]->Exchange("bye\n"), Closed("bye\n"));
    ASSERT_TRUE(streams[1]->Send("half"));
    streams[1]->Reset();
    streams[2]->Close();
    ASSERT_TRUE(Eventually([&] {
      const auto next = Stream::Connect(daemon->address());
      return next != nullptr && next->Exchange("in\n") == Closed("in\n");
    })) << round;
  }
}

TEST_P(ConnectionLimitsTest, WhatIsNotEnforcedIsCountedAndToldAndRefusesNobody) {
  const auto daemon = StartEcho(
      "max_connections: {value: 3, enforce: false}, max_connections_per_ip: {value: 2, enforce: "
      "false}",
      "max_connections: {value: 5, enforce: false}");
  ASSERT_NE(daemon, nullptr);
  const auto stats = Stats::Connect(*daemon);
  ASSERT_NE(stats, nullptr);
  ASSERT_EQ(stats->Requests(), 0);
  const Streams streams = Serve(*daemon, 6);
  ASSERT_EQ(streams.size(), 6u);
  EXPECT_EQ(stats->ShadowCount("refused", "max_connections_per_ip"), 4);
  EXPECT_EQ(stats->ShadowCount("refused", "max_connections"), 3);
  EXPECT_EQ(stats->ShadowCount("refused", "server_max_connections"), 2);
  for (const std::string_view reason :
       {"max_connections", "max_connections_per_ip", "server_max_connections"}) {
    EXPECT_EQ(stats->Count("refused", reason), 0) << reason;
    EXPECT_TRUE(daemon->process().WaitForErrors(
        fmt::format("connections refused by {}, had it been enforced", reason)))
        << reason;
  }
}

}  // namespace
}  // namespace bsockd::integration
