// SIGTERM and SIGINT: what was asked is answered, then the daemon ends.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <string>
#include <string_view>
#include <vector>

#include "tests/integration/daemon.h"
#include "tests/integration/process.h"
#include "tests/integration/stats.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

using std::chrono::milliseconds;

constexpr size_t kManyRequests = 1000;
constexpr size_t kLargeReplies = 300;
constexpr size_t kLargeReplyBytes = 65'536;  // With its newline.

class StopTest : public BackendTest {
 protected:
  // An upper-casing daemon; `drain_timeout` is long where the test is not about it.
  std::unique_ptr<Daemon> StartUpper(const std::string& drain_timeout = "60s",
                                     const std::string& framing = "line") {
    return Start(fmt::format("server: {{drain_timeout: {}}}\n", drain_timeout) +
                 OneListener("{builtin: upper}", framing));
  }

  // A daemon that has been asked on `*stream` for more than any socket holds: kLargeReplies of
  // kLargeReplyBytes each.
  std::unique_ptr<Daemon> StartWithLargeReplies(const std::string& drain_timeout,
                                                std::unique_ptr<Stream>* stream) {
    const std::string reply(kLargeReplyBytes - 1, 'r');
    auto daemon = Start(fmt::format("server: {{drain_timeout: {}}}\n", drain_timeout) +
                        OneListener(fmt::format("{{reply: \"{}\"}}", reply)));
    if (!daemon) return nullptr;
    *stream = Stream::Connect(daemon->address());
    std::string requests;
    for (size_t i = 0; i < kLargeReplies; ++i) requests += "x\n";
    if (!*stream || !(*stream)->Send(requests)) return nullptr;
    return daemon;
  }
};
INSTANTIATE_TEST_SUITE_P(, StopTest, kBackends, BackendName);

// While one of these lives the daemon stands still: what is sent meanwhile it finds all at once
// when it goes on, together with the signals that it was sent.
class Standstill {
 public:
  explicit Standstill(Daemon& daemon) : daemon_(daemon) { daemon_.process().Signal(SIGSTOP); }
  ~Standstill() { daemon_.process().Signal(SIGCONT); }
  Standstill(const Standstill&) = delete;
  Standstill& operator=(const Standstill&) = delete;

 private:
  Daemon& daemon_;
};

TEST_P(StopTest, IdleConnectionsDoNotHoldUpTheEnd) {
  for (const int signal : {SIGTERM, SIGINT}) {
    const auto daemon = StartUpper();
    ASSERT_NE(daemon, nullptr);
    const auto fresh = Stream::Connect(daemon->address());
    const auto used = Stream::Connect(daemon->address());
    ASSERT_TRUE(fresh && used);
    ASSERT_EQ(used->Call("hello\n", "HELLO\n"), "HELLO\n");
    daemon->process().Signal(signal);
    EXPECT_EQ(used->ReceiveToEnd(), Closed("")) << "no reset, and nothing more to read";
    EXPECT_EQ(fresh->ReceiveToEnd(), Closed(""));
    daemon->ExpectEnd(Exited(0));
  }
}

TEST_P(StopTest, RequestsThatWereSentBeforeTheSignalAreAnswered) {
  const auto daemon = StartUpper();
  ASSERT_NE(daemon, nullptr);
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 50; ++i) {
    streams.push_back(Stream::Connect(daemon->address()));
    ASSERT_NE(streams.back(), nullptr);
    ASSERT_EQ(streams.back()->Call("first\n", "FIRST\n"), "FIRST\n");
  }
  for (const auto& stream : streams) ASSERT_TRUE(stream->Send("second\nthird\n"));
  daemon->process().Signal(SIGTERM);
  for (const auto& stream : streams) EXPECT_EQ(stream->ReceiveToEnd(), Closed("SECOND\nTHIRD\n"));
  daemon->ExpectEnd(Exited(0));
}

TEST_P(StopTest, AThousandRequestsInFlightOnAThousandConnectionsAreAllAnswered) {
  const auto daemon = StartUpper();
  ASSERT_NE(daemon, nullptr);
  std::vector<std::unique_ptr<Stream>> streams;
  for (size_t i = 0; i < kManyRequests; ++i) {
    streams.push_back(Stream::Connect(daemon->address()));
    ASSERT_NE(streams.back(), nullptr);
  }
  for (const auto& stream : streams) ASSERT_EQ(stream->Call("a\n", "A\n"), "A\n");
  {
    const Standstill standstill(*daemon);
    for (const auto& stream : streams) ASSERT_TRUE(stream->Send("in flight\n"));
    daemon->process().Signal(SIGTERM);
  }
  size_t answered = 0;
  for (const auto& stream : streams) {
    const Received received = stream->ReceiveToEnd();
    answered += received == Closed("IN FLIGHT\n") ? 1 : 0;
  }
  EXPECT_EQ(answered, kManyRequests);
  daemon->ExpectEnd(Exited(0));
}

// How many connections the log says were cut, in all.
size_t LoggedCuts(const std::string& log) {
  constexpr std::string_view kAfter = " connections were cut unfinished";
  size_t cuts = 0;
  for (const std::string& line : LinesWith(kAfter, log)) {
    const size_t end = line.find(kAfter);
    const size_t begin = line.find_last_of(' ', end - 1) + 1;
    cuts += std::stoul(line.substr(begin, end - begin));
  }
  return cuts;
}

constexpr std::string_view kCutText =
    "ERR draining the server stops, and has not executed this request\n";

TEST_P(StopTest, WhatIsInFlightFinishesInsideTheGraceAndStragglersAreCutAtItsEnd) {
  constexpr milliseconds kGrace(2000);
  constexpr size_t kStragglers = 20;
  const auto daemon = StartUpper("2s");
  ASSERT_NE(daemon, nullptr);
  std::vector<std::unique_ptr<Stream>> streams;
  for (size_t i = 0; i < kManyRequests + kStragglers; ++i) {
    streams.push_back(Stream::Connect(daemon->address()));
    ASSERT_NE(streams.back(), nullptr);
  }
  for (const auto& stream : streams) ASSERT_EQ(stream->Call("a\n", "A\n"), "A\n");
  const auto began = Clock::now();
  {
    const Standstill standstill(*daemon);
    for (size_t i = 0; i < kManyRequests; ++i) ASSERT_TRUE(streams[i]->Send("in flight\n"));
    for (size_t i = kManyRequests; i < streams.size(); ++i) ASSERT_TRUE(streams[i]->Send("in fl"));
    daemon->process().Signal(SIGTERM);
  }
  for (size_t i = 0; i < kManyRequests; ++i) {
    ASSERT_EQ(streams[i]->ReceiveToEnd(), Closed("IN FLIGHT\n"));
  }
  const auto answered = Clock::now() - began;
  EXPECT_LT(answered, kGrace);
  for (size_t i = kManyRequests; i < streams.size(); ++i) {
    EXPECT_EQ(streams[i]->ReceiveToEnd().bytes, kCutText);
  }
  const auto cut = Clock::now() - began;
  EXPECT_GE(cut, kGrace);
  EXPECT_LT(cut, kGrace + milliseconds(Sanitized() ? 10'000 : 1000));
  daemon->ExpectEnd(Exited(0));
  EXPECT_EQ(LoggedCuts(daemon->process().errors()), kStragglers) << daemon->process().errors();
}

// A byte that comes after the socket is closed would make the kernel throw away what is not taken.
TEST_P(StopTest, RepliesThatTheClientIsSlowToTakeAreNotLost) {
  constexpr size_t kRequests = 900;  // Less than output_high in all.
  const std::string request = std::string(1023, 'x') + "\n";
  DaemonOptions options;
  options.config = ListenerWithStats("{builtin: echo}");
  options.address_count = 2;
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  const auto slow = Stream::Connect(daemon->address(0));
  const auto amid = Stream::Connect(daemon->address(0));
  ASSERT_TRUE(amid->Send("be"));
  std::string requests;
  for (size_t i = 0; i < kRequests; ++i) requests += request;
  ASSERT_TRUE(slow->Send(requests));
  {
    const auto stats = Stats::Connect(*daemon);
    ASSERT_TRUE(Eventually([&] { return stats->Requests() == int64_t{kRequests}; }));
  }
  daemon->process().Signal(SIGTERM);
  ASSERT_TRUE(daemon->WaitUntilDraining());
  EXPECT_FALSE(amid->ReadableWithin(milliseconds(1500))) << "it is waited for";
  (void)slow->SendSome("more\n");
  (void)slow->SendSome("more\n");
  EXPECT_EQ(slow->ReceiveExactly(requests.size()).size(), requests.size());
  slow->Close();
  EXPECT_EQ(amid->Exchange("gun\n"), Closed("begun\n"));
  daemon->ExpectEnd(Exited(0));
}

TEST_P(StopTest, IdleConnectionsEndOneAfterTheOther) {
  constexpr size_t kIdle = 300;
  const auto daemon =
      Start("server: {drain_timeout: 4s, workers: 1}\n" + OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  std::vector<std::unique_ptr<Stream>> streams;
  for (size_t i = 0; i < kIdle; ++i) {
    streams.push_back(Stream::Connect(daemon->address()));
    ASSERT_NE(streams.back(), nullptr);
    ASSERT_EQ(streams.back()->Call("a\n", "a\n"), "a\n");
  }
  daemon->process().Signal(SIGTERM);
  std::vector<Clock::time_point> ends;
  for (const auto& stream : streams) {
    ASSERT_EQ(stream->ReceiveToEnd(), Closed(""));
    ends.push_back(Clock::now());
    stream->Close();
  }
  // One a millisecond; a machine that is busy only makes it longer.
  EXPECT_GE(ends.back() - ends.front(), milliseconds(200));
  EXPECT_LT(ends.back() - ends.front(), milliseconds(Sanitized() ? 10'000 : 2000));
  daemon->ExpectEnd(Exited(0));
}

TEST_P(StopTest, AThousandRequestsInFlightOnOneConnectionAreAllAnswered) {
  const auto daemon = StartUpper();
  ASSERT_NE(daemon, nullptr);
  std::string requests;
  std::string replies;
  for (size_t i = 0; i < kManyRequests; ++i) {
    // More than one read takes, less than a receive buffer holds: all of it has reached the daemon.
    requests += fmt::format("request {:030}\n", i);
    replies += fmt::format("REQUEST {:030}\n", i);
  }
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  ASSERT_EQ(stream->Call("first\n", "FIRST\n"), "FIRST\n");
  {
    const Standstill standstill(*daemon);
    ASSERT_TRUE(stream->Send(requests));
    daemon->process().Signal(SIGTERM);
  }
  EXPECT_EQ(stream->ReceiveToEnd(), Closed(replies));
  daemon->ExpectEnd(Exited(0));
}

TEST_P(StopTest, ConnectionsThatWaitToBeAcceptedAreServed) {
  const auto daemon = StartUpper();
  ASSERT_NE(daemon, nullptr);
  std::vector<std::unique_ptr<Stream>> streams;
  {
    const Standstill standstill(*daemon);
    for (int i = 0; i < 200; ++i) {
      streams.push_back(Stream::Connect(daemon->address()));
      ASSERT_NE(streams.back(), nullptr);
      ASSERT_TRUE(streams.back()->Send("hello\n"));
    }
    daemon->process().Signal(SIGTERM);
  }
  for (const auto& stream : streams) EXPECT_EQ(stream->ReceiveToEnd(), Closed("HELLO\n"));
  daemon->ExpectEnd(Exited(0));
}

TEST_P(StopTest, AClientThatNeverStopsSendingIsCutBetweenTwoReplies) {
  const auto daemon = StartUpper();
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  ASSERT_EQ(stream->Call("first\n", "FIRST\n"), "FIRST\n");
  std::string requests;
  std::string replies;
  for (size_t i = 0; i < 50 * kManyRequests; ++i) {
    requests += fmt::format("request {}\n", i);
    replies += fmt::format("REQUEST {}\n", i);
  }
  daemon->process().Signal(SIGTERM);
  const Received received = stream->Exchange(requests, /*half_close=*/false);
  EXPECT_EQ(received.end, Received::End::kClosed);
  EXPECT_TRUE(replies.starts_with(received.bytes)) << received.bytes.size() << " bytes came";
  EXPECT_TRUE(received.bytes.empty() || received.bytes.ends_with("\n")) << "a reply is cut short";
  daemon->ExpectEnd(Exited(0));
}

TEST_P(StopTest, NewConnectionsAreRefusedWhileItDrains) {
  const auto daemon = StartUpper();
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  ASSERT_EQ(stream->Call("first\nsec", "FIRST\n"), "FIRST\n");
  daemon->process().Signal(SIGTERM);
  EXPECT_TRUE(daemon->WaitUntilDraining());
  EXPECT_EQ(stream->Exchange("ond\n", /*half_close=*/false), Closed("SECOND\n"))
      << "the request that had begun is waited for, and then the connection closes";
  daemon->ExpectEnd(Exited(0));
}

TEST_P(StopTest, ARequestThatNeverEndsIsWaitedForNoLongerThanDrainTimeout) {
  const auto daemon = StartUpper("300ms");
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  ASSERT_EQ(stream->Call("first\nsec", "FIRST\n"), "FIRST\n");
  const auto start = Clock::now();
  daemon->process().Signal(SIGTERM);
  const Received received = stream->ReceiveToEnd();
  const auto took = Clock::now() - start;
  EXPECT_EQ(received.bytes, kCutText);
  EXPECT_NE(received.end, Received::End::kTimeout);
  EXPECT_GE(took, milliseconds(300));
  EXPECT_LT(took, milliseconds(Sanitized() ? 10'000 : 1300));
  daemon->ExpectEnd(Exited(0));
}

TEST_P(StopTest, AnUnterminatedRequestIsStillFlushedWhileItDrains) {
  const auto daemon = StartUpper("60s", "{line: lf, flush_after: 300ms}");
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  ASSERT_EQ(stream->Call("first\nsec", "FIRST\n"), "FIRST\n");
  daemon->process().Signal(SIGTERM);
  EXPECT_EQ(stream->ReceiveToEnd(), Closed("SEC"));
  daemon->ExpectEnd(Exited(0));
}

TEST_P(StopTest, RepliesThatAreNotYetReadAreWaitedFor) {
  std::unique_ptr<Stream> stream;
  const auto daemon = StartWithLargeReplies("60s", &stream);
  ASSERT_NE(daemon, nullptr);
  ASSERT_EQ(stream->ReceiveExactly(kLargeReplyBytes).size(), kLargeReplyBytes);
  daemon->process().Signal(SIGTERM);
  ASSERT_TRUE(daemon->WaitUntilDraining());
  const Received received = stream->ReceiveToEnd();
  EXPECT_EQ(received.end, Received::End::kClosed);
  EXPECT_EQ(received.bytes.size(), (kLargeReplies - 1) * kLargeReplyBytes);
  daemon->ExpectEnd(Exited(0));
}

TEST_P(StopTest, AClientThatNeverReadsDoesNotHoldUpTheEndLongerThanDrainTimeout) {
  std::unique_ptr<Stream> stream;
  const auto daemon = StartWithLargeReplies("300ms", &stream);
  ASSERT_NE(daemon, nullptr);
  ASSERT_EQ(stream->ReceiveExactly(1), "r");
  daemon->Stop();  // Exit status 0 within the test's patience.
}

TEST_P(StopTest, ASecondSignalEndsItAtOnce) {
  for (const int second : {SIGTERM, SIGINT}) {
    const auto daemon = StartUpper();
    ASSERT_NE(daemon, nullptr);
    const auto stream = Stream::Connect(daemon->address());
    ASSERT_NE(stream, nullptr);
    ASSERT_EQ(stream->Call("first\nsec", "FIRST\n"), "FIRST\n");
    daemon->process().Signal(SIGTERM);
    ASSERT_TRUE(daemon->WaitUntilDraining());
    EXPECT_EQ(daemon->process().Wait(milliseconds(100)), std::nullopt) << "it waits for the rest";
    daemon->process().Signal(second);
    daemon->ExpectEnd(KilledBy(second));
  }
}

// After an error frame its input is read and dropped for a while; the end of the daemon cuts that
// short.
TEST_P(StopTest, AClientThatGoesOnSendingAfterAnErrorDoesNotHoldUpTheEnd) {
  const auto daemon = Start(OneListener("{builtin: upper}", "line", "    limits: {max_frame: 10}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  ASSERT_TRUE(stream->Send("more than ten bytes\n"));
  EXPECT_NE(stream->ReceiveUntil("\n").find("ERR overlong"), std::string::npos);
  const auto began = Clock::now();
  daemon->process().Signal(SIGTERM);
  EXPECT_TRUE(Eventually([&] { return stream->SendSome("more") < 0; }));
  daemon->ExpectEnd(Exited(0));
  EXPECT_LT(Clock::now() - began, std::chrono::seconds(5));
}

TEST_P(StopTest, ClientsThatGoAwayWithoutReadingDoNotEndIt) {
  const auto daemon = StartUpper();
  ASSERT_NE(daemon, nullptr);
  std::string requests;
  for (int i = 0; i < 2000; ++i) requests += "some request\n";
  for (int i = 0; i < 20; ++i) {
    const auto stream = Stream::Connect(daemon->address());
    ASSERT_NE(stream, nullptr);
    ASSERT_TRUE(stream->Send(requests));
    if (i % 2 == 0) {
      stream->Reset();
    } else {
      stream->Close();  // With replies unread, which is a reset, too, but a later one.
    }
  }
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Exchange("hello\n"), Closed("HELLO\n"));
  daemon->process().Signal(SIGPIPE);
  const auto after = Stream::Connect(daemon->address());
  ASSERT_NE(after, nullptr);
  EXPECT_EQ(after->Exchange("hello\n"), Closed("HELLO\n"));
}

TEST_P(StopTest, AReaderOfItsRequestLogThatGoesAwayDoesNotEndIt) {
  const auto daemon = Start(OneListener("{builtin: upper, log_requests: true}"));
  ASSERT_NE(daemon, nullptr);
  daemon->process().CloseOutput();
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(stream->Call("hello\n", "HELLO\n"), "HELLO\n");
  EXPECT_EQ(stream->Exchange("hello\n"), Closed("HELLO\n"));
}

}  // namespace
}  // namespace bsockd::integration
