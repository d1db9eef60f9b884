// How long a client may take: each timeout ends what it is meant to end, never early, and nothing
// else.
//
// The timeouts here are short and what is waited for may come late on a busy machine: so that
// something happened at all is what bounds a test above (kPatience), and the clock bounds it below.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
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

constexpr std::string_view kTimeoutError =
    "ERR timeout the request did not come to its end in time";

// All timeouts but those named are long. `timeouts` as in YAML: "frame: 300ms".
std::string Timeouts(std::string_view timeouts) {
  std::string all;
  for (const std::string_view name : {"first_byte", "frame", "idle", "write"}) {
    if (timeouts.find(name) == timeouts.npos) all += fmt::format("{}: 60s, ", name);
  }
  return fmt::format("    timeouts: {{{}{}}}", all, timeouts);
}

// Sends `byte` again and again, `pace` apart, until the daemon has ended the connection, and
// returns what it said.
Received Dribble(Stream& stream, std::string_view byte, milliseconds pace) {
  const auto deadline = Clock::now() + kPatience;
  Received received;
  while (received.end == Received::End::kOpen && Clock::now() < deadline) {
    stream.SendSome(byte);
    if (stream.ReadableWithin(pace)) received.bytes += stream.ReceiveSome(&received.end);
  }
  return received;
}

// Makes the socket's buffer for what is received small, so that what is not read is soon not taken.
void ReceiveLittle(Stream& stream) {
  const int bytes = 16 * 1024;
  setsockopt(stream.fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

class TimeoutsTest : public BackendTest {
 protected:
  // An echo service.
  std::unique_ptr<Daemon> StartEcho(std::string_view timeouts, std::string_view framing = "line",
                                    std::string_view more = "") const {
    return StartService("{builtin: echo}", timeouts, framing, more);
  }
  std::unique_ptr<Daemon> StartService(std::string_view handler, std::string_view timeouts,
                                       std::string_view framing = "line",
                                       std::string_view more = "") const {
    DaemonOptions options;
    options.config =
        ListenerWithStats(handler, framing, fmt::format("{}\n{}", Timeouts(timeouts), more));
    options.address_count = 2;
    return StartWith(std::move(options));
  }
};
INSTANTIATE_TEST_SUITE_P(, TimeoutsTest, kBackends, BackendName);

TEST_P(TimeoutsTest, WhoSaysNothingAtFirstIsClosedWithoutAWord) {
  const auto daemon = StartEcho("first_byte: 300ms");
  ASSERT_NE(daemon, nullptr);
  const auto start = Clock::now();
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->ReceiveToEnd(), Closed(""));
  EXPECT_GE(Since(start), milliseconds(300));
  const auto stats = Stats::Connect(*daemon);
  ASSERT_NE(stats, nullptr);
  EXPECT_EQ(stats->Count("cut", "first_byte"), 1);
}

TEST_P(TimeoutsTest, OneByteIsEnoughForTheFirstByte) {
  const auto daemon = StartEcho("first_byte: 200ms");
  ASSERT_NE(daemon, nullptr);
  const auto partial = Stream::Connect(daemon->address());
  const auto whole = Stream::Connect(daemon->address());
  ASSERT_TRUE(partial && whole);
  ASSERT_TRUE(partial->Send("h"));
  ASSERT_EQ(whole->Call("whole\n", "whole\n"), "whole\n");
  EXPECT_FALSE(partial->ReadableWithin(milliseconds(500)));
  EXPECT_EQ(partial->Exchange("ello\n"), Closed("hello\n"));
  EXPECT_EQ(whole->Exchange("again\n"), Closed("again\n"));
}

TEST_P(TimeoutsTest, AFrameThatDoesNotEndIsAnErrorHoweverItsBytesCome) {
  const auto daemon = StartEcho("frame: 400ms");
  ASSERT_NE(daemon, nullptr);
  for (const std::string_view before : {"", "a whole one\r\n"}) {
    const auto stream = Stream::Connect(daemon->address());
    ASSERT_NE(stream, nullptr);
    ASSERT_EQ(stream->Call(before, before), before);
    const auto start = Clock::now();
    const Received received = Dribble(*stream, "x", milliseconds(50));
    EXPECT_GE(Since(start), milliseconds(400));
    // In the ending of what it asked before.
    EXPECT_EQ(received, Closed(fmt::format("{}{}", kTimeoutError, before.empty() ? "\n" : "\r\n")));
  }
  // And where nothing more comes at all.
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  const auto start = Clock::now();
  EXPECT_EQ(stream->Exchange("half a requ", /*half_close=*/false),
            Closed(fmt::format("{}\n", kTimeoutError)));
  EXPECT_GE(Since(start), milliseconds(400));
  const auto stats = Stats::Connect(*daemon);
  ASSERT_NE(stats, nullptr);
  EXPECT_EQ(stats->Count("cut", "frame"), 3);
}

TEST_P(TimeoutsTest, ALengthAloneIsTheBeginningOfAFrame) {
  const auto daemon = StartEcho("frame: 300ms", "{length: u32be}");
  ASSERT_NE(daemon, nullptr);
  const std::string error = std::string("\0\0\0", 3) + static_cast<char>(kTimeoutError.size()) +
                            std::string(kTimeoutError);
  for (const std::string_view begun :
       {std::string_view("\0", 1), std::string_view("\0\0\0\5ab", 6)}) {
    const auto stream = Stream::Connect(daemon->address());
    ASSERT_NE(stream, nullptr);
    const auto start = Clock::now();
    EXPECT_EQ(stream->Exchange(begun, /*half_close=*/false), Closed(error));
    EXPECT_GE(Since(start), milliseconds(300));
  }
}

TEST_P(TimeoutsTest, AFrameThatIsWholeIsNotTimedAnyMore) {
  const auto daemon = StartEcho("frame: 300ms");
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  const auto start = Clock::now();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(stream->Send("in two "));
    // Half of the time for the rest of a request, more than all of it altogether.
    ASSERT_FALSE(stream->ReadableWithin(milliseconds(100))) << i;
    ASSERT_EQ(stream->Call("pieces\n", "in two pieces\n"), "in two pieces\n") << i;
    ASSERT_FALSE(stream->ReadableWithin(milliseconds(50))) << i;
  }
  EXPECT_FALSE(stream->ReadableWithin(milliseconds(500))) << "between requests it does not run";
  EXPECT_GE(Since(start), milliseconds(1200));
  EXPECT_EQ(stream->Exchange("last\n"), Closed("last\n"));
}

TEST_P(TimeoutsTest, TheNextFrameOfAPipelineHasTimeOfItsOwn) {
  const auto daemon = StartEcho("frame: 500ms");
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  ASSERT_TRUE(stream->Send("one, be"));
  ASSERT_FALSE(stream->ReadableWithin(milliseconds(300)));
  // The end of one frame and the beginning of the next, in one piece.
  const auto start = Clock::now();
  EXPECT_EQ(stream->Exchange("gun\ntwo\nthr", /*half_close=*/false),
            Closed(fmt::format("one, begun\ntwo\n{}\n", kTimeoutError)));
  EXPECT_GE(Since(start), milliseconds(500));
}

TEST_P(TimeoutsTest, AnOverlongFrameThatIsSkippedHasToEndInTimeToo) {
  const auto daemon =
      StartEcho("frame: 400ms", "{line: any, overlong: skip}", "    limits: {max_frame: 16}");
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  const auto start = Clock::now();
  const Received received = Dribble(*stream, "0123456789", milliseconds(50));
  EXPECT_GE(Since(start), milliseconds(400));
  // It has had its answer.
  EXPECT_EQ(received, Closed("ERR overlong a request has at most 16 bytes here\n"));
}

TEST_P(TimeoutsTest, WhoAsksNothingMoreIsClosedWithoutAWord) {
  const auto daemon = StartEcho("idle: 300ms");
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  // Each request begins it anew.
  const auto start = Clock::now();
  auto last = start;
  for (int i = 0; i < 5; ++i) {
    last = Clock::now();
    ASSERT_EQ(stream->Call("again\n", "again\n"), "again\n") << i;
    ASSERT_FALSE(stream->ReadableWithin(milliseconds(100))) << i;
  }
  EXPECT_GE(Since(start), milliseconds(500));
  EXPECT_EQ(stream->ReceiveToEnd(), Closed(""));
  EXPECT_GE(Since(last), milliseconds(300));
  const auto stats = Stats::Connect(*daemon);
  ASSERT_NE(stats, nullptr);
  EXPECT_EQ(stats->Count("cut", "idle"), 1);
  EXPECT_EQ(stats->Count("cut", "frame"), 0);
}

TEST_P(TimeoutsTest, ABegunFrameIsNotIdle) {
  const auto daemon = StartEcho("idle: 200ms");
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  ASSERT_EQ(stream->Call("one\nt", "one\n"), "one\n");
  EXPECT_FALSE(stream->ReadableWithin(milliseconds(500)));
  EXPECT_EQ(stream->Exchange("wo\n"), Closed("two\n"));
}

constexpr size_t kReplyBytes = 64 * 1024;
constexpr size_t kSlowRequests = 500;  // Replies of 32 MB: more than all the buffers on the way.

std::string LargeReply() { return fmt::format("{{reply: \"{}\"}}", std::string(kReplyBytes, 'r')); }

TEST_P(TimeoutsTest, WhoReadsNothingIsReset) {
  const auto daemon = StartService(LargeReply(), "idle: 100ms, write: 500ms");
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  ReceiveLittle(*stream);
  std::string requests;
  for (size_t i = 0; i < kSlowRequests; ++i) requests += "x\n";
  const auto start = Clock::now();
  ASSERT_TRUE(stream->Send(requests));
  ASSERT_TRUE(stream->WaitForReset());
  EXPECT_GE(Since(start), milliseconds(500));
  EXPECT_LT(Since(start), milliseconds(Sanitized() ? 10000 : 5000));
  EXPECT_EQ(stream->ReceiveToEnd().end, Received::End::kReset);
  const auto stats = Stats::Connect(*daemon);
  ASSERT_NE(stats, nullptr);
  EXPECT_EQ(stats->Count("cut", "write"), 1);
  EXPECT_EQ(stats->Count("cut", "idle"), 0) << "who has not read the replies is not idle";
}

TEST_P(TimeoutsTest, WhoStopsReadingHasAllOfTheTimeFromThenOn) {
  const milliseconds timeout(Sanitized() ? 2000 : 800);
  const auto daemon = StartService(LargeReply(), fmt::format("write: {}ms", timeout.count()));
  ASSERT_NE(daemon, nullptr);
  // At other points of what the daemon does to watch over it.
  for (const milliseconds reads_after : {timeout / 5, timeout * 2 / 5, timeout * 3 / 5}) {
    const auto stream = Stream::Connect(daemon->address());
    ASSERT_NE(stream, nullptr);
    ReceiveLittle(*stream);
    std::string requests;
    for (size_t i = 0; i < kSlowRequests; ++i) requests += "x\n";
    ASSERT_TRUE(stream->Send(requests));
    ASSERT_TRUE(stream->ReadableWithin(milliseconds(kPatience)));
    std::this_thread::sleep_for(reads_after);  // As the client would; nothing is waited for.
    Received::End end = Received::End::kOpen;
    const auto last_read = Clock::now();
    for (size_t read = 0; read < kReplyBytes && end == Received::End::kOpen;) {
      read += stream->ReceiveSome(&end).size();
    }
    ASSERT_EQ(end, Received::End::kOpen) << "it was too slow to read";
    ASSERT_TRUE(stream->WaitForReset());
    EXPECT_GE(Since(last_read), timeout) << reads_after.count();
  }
}

TEST_P(TimeoutsTest, WhoReadsSlowlyIsNotCut) {
  const auto daemon = StartService(LargeReply(), "write: 600ms");
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  std::string requests;
  for (size_t i = 0; i < kSlowRequests; ++i) requests += "x\n";
  ASSERT_TRUE(stream->Send(requests));
  // Much less than there is, for several times the timeout.
  Received received;
  const auto start = Clock::now();
  while (Since(start) < milliseconds(2500) && received.end == Received::End::kOpen) {
    for (int i = 0; i < 8; ++i) received.bytes += stream->ReceiveSome(&received.end);
    std::this_thread::sleep_for(milliseconds(100));  // This is its slowness.
  }
  ASSERT_EQ(received.end, Received::End::kOpen);
  ASSERT_LT(received.bytes.size(), kSlowRequests * (kReplyBytes + 1)) << "not slow";
  stream->HalfClose();
  const Received rest = stream->ReceiveToEnd();
  EXPECT_EQ(rest.end, Received::End::kClosed);
  EXPECT_EQ(received.bytes.size() + rest.bytes.size(), kSlowRequests * (kReplyBytes + 1));
}

TEST_P(TimeoutsTest, WithoutErrorFramesAFrameThatDoesNotEndIsClosedWithoutAWord) {
  const auto daemon = StartEcho("frame: 300ms", "line", "    errors: close");
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  const auto start = Clock::now();
  EXPECT_EQ(stream->Exchange("whole\nhalf", /*half_close=*/false), Closed("whole\n"));
  EXPECT_GE(Since(start), milliseconds(300));
}

TEST_P(TimeoutsTest, AConfiguredTimeoutOfOneListenerLeavesTheOtherAlone) {
  const auto daemon = StartEcho("first_byte: 100ms, idle: 100ms, frame: 100ms");
  ASSERT_NE(daemon, nullptr);
  const auto other = Stream::Connect(daemon->address(1));
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_TRUE(other && stream);
  EXPECT_EQ(stream->ReceiveToEnd(), Closed(""));
  EXPECT_FALSE(other->ReadableWithin(milliseconds(300)));
}

TEST_P(TimeoutsTest, TimeoutsThatAreNotEnforcedAreCountedAndToldAndCutNothing) {
  const std::string shadow = "{value: 200ms, enforce: false}";
  const auto daemon = StartService(
      LargeReply(), fmt::format("first_byte: {0}, frame: {0}, idle: {0}, write: {0}", shadow));
  ASSERT_NE(daemon, nullptr);
  const auto stats = Stats::Connect(*daemon);
  ASSERT_NE(stats, nullptr);
  const auto start = Clock::now();
  constexpr int kSilent = 20;
  std::vector<std::unique_ptr<Stream>> silent;
  for (int i = 0; i < kSilent; ++i) silent.push_back(Stream::Connect(daemon->address()));
  const auto begun = Stream::Connect(daemon->address());
  const auto idle = Stream::Connect(daemon->address());
  const auto slow = Stream::Connect(daemon->address());
  ASSERT_TRUE(begun && idle && slow);
  const std::string reply = std::string(kReplyBytes, 'r') + "\n";
  ASSERT_TRUE(begun->Send("half"));
  ASSERT_EQ(idle->Call("x\n", reply), reply);
  ReceiveLittle(*slow);
  std::string requests;
  for (size_t i = 0; i < kSlowRequests; ++i) requests += "x\n";
  ASSERT_TRUE(slow->Send(requests));

  for (const std::string_view reason : {"first_byte", "frame", "idle", "write"}) {
    EXPECT_TRUE(Eventually([&] {
      return stats->ShadowCount("cut", reason) >= (reason == "first_byte" ? kSilent : 1);
    })) << reason;
    EXPECT_EQ(stats->Count("cut", reason), 0) << reason;
    EXPECT_TRUE(daemon->process().WaitForErrors(
        fmt::format("connections ended by {}, had it been enforced", reason)))
        << reason;
  }
  const auto lines = LinesWith("first_byte, had it been enforced", daemon->process().errors());
  EXPECT_LE(lines.size(), static_cast<size_t>(Since(start) / std::chrono::seconds(1)) + 1);

  for (const auto& stream : silent) ASSERT_EQ(stream->Call("x\n", reply), reply);
  EXPECT_EQ(begun->Exchange("whole\n"), Closed(reply));
  EXPECT_EQ(idle->Exchange("x\n"), Closed(reply));
  slow->HalfClose();
  const Received received = slow->ReceiveToEnd();
  EXPECT_EQ(received.end, Received::End::kClosed);
  EXPECT_EQ(received.bytes.size(), kSlowRequests * reply.size());
}

}  // namespace
}  // namespace bsockd::integration
