// Every framing of the configuration, on the wire.
#include <gtest/gtest.h>

#include <string>

#include "tests/integration/daemon.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

class FramingsTest : public BackendTest {
 protected:
  // What an upper-casing listener with this framing sends in answer to `bytes` and the half-close:
  // once with the bytes in one piece, once one by one; fails the test where that is not the same.
  Received Upper(const std::string& framing, const std::string& bytes) {
    const auto daemon = Start(OneListener("{builtin: upper}", framing));
    if (!daemon) return {};
    const auto whole = Stream::Connect(daemon->address());
    const auto pieces = Stream::Connect(daemon->address());
    if (!whole || !pieces) return {};
    const Received received = whole->Exchange(bytes);
    for (const char& byte : bytes) EXPECT_TRUE(pieces->Send({&byte, 1}));
    EXPECT_EQ(pieces->Exchange(""), received);
    return received;
  }
};
INSTANTIATE_TEST_SUITE_P(, FramingsTest, kBackends, BackendName);

TEST_P(FramingsTest, LineTakesBothEndingsAndDropsOneCarriageReturn) {
  EXPECT_EQ(Upper("line", "a\nb\r\nc\r\r\nd\re\n\n\r\nf"), Closed("A\nB\r\nC\r\r\nD\rE\n\n\r\nF"));
}

TEST_P(FramingsTest, LineLfKeepsTheCarriageReturn) {
  EXPECT_EQ(Upper("{line: lf}", "a\r\nb\n"), Closed("A\r\nB\n"));
}

TEST_P(FramingsTest, LineCrlfTakesABareLineFeedForContent) {
  EXPECT_EQ(Upper("{line: crlf}", "a\nb\r\nc\rd\r\n"), Closed("A\nB\r\nC\rD\r\n"));
}

TEST_P(FramingsTest, ADelimiterOfTwoBytesMayBeCutInTwo) {
  EXPECT_EQ(Upper("{delimiter: \"@@\"}", "a@@b@@c@@"), Closed("A@@B@@C@@"));
  EXPECT_EQ(Upper("{delimiter: \"@@\"}", "a@b@@@@@c@"), Closed("A@B@@@@@C@"));
}

TEST_P(FramingsTest, OfSeveralDelimitersTheFirstThatIsCompleteEndsTheRequest) {
  EXPECT_EQ(Upper("{delimiter: [\"@@\", \"\\r\\n\", \"\\n\"]}", "a@\r\nb@@\nc\rd\n@@e"),
            Closed("A@\r\nB@@\nC\rD\n@@E"));
}

TEST_P(FramingsTest, OfDelimitersThatEndTogetherTheLongestCounts) {
  // With "END\n" the request would be "x", with "\n" it would be "xEND".
  const auto daemon = Start(OneListener("{reply: r}", "{delimiter: [\"\\n\", \"END\\n\"]}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Exchange("xEND\ny\n"), Closed("rEND\nr\n"));
}

TEST_P(FramingsTest, ANulByteCanBeTheDelimiter) {
  const std::string bytes("a\0b\n\0\0", 6);
  const std::string replies("A\0B\n\0\0", 6);
  EXPECT_EQ(Upper("{delimiter: \"\\0\"}", bytes), Closed(replies));
}

TEST_P(FramingsTest, RawAnswersWhateverComes) {
  const std::string bytes("a\nb\0c@@", 7);
  const std::string replies("A\nB\0C@@", 7);
  EXPECT_EQ(Upper("raw", bytes), Closed(replies));
}

TEST_P(FramingsTest, RawSendsAnAnswerToEveryRead) {
  const auto daemon = Start(OneListener("{reply: \"ok.\"}", "raw"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(stream->Call("x", "ok."), "ok.");
  EXPECT_EQ(stream->Exchange(""), Closed("")) << "the end of input is no request";
}

TEST_P(FramingsTest, FlushAfterAnswersALineWithoutItsEndAndTheConnectionGoesOn) {
  const auto daemon = Start(OneListener("{builtin: upper}", "{line: lf, flush_after: 50ms}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Call("one", "ONE"), "ONE");
  EXPECT_EQ(stream->Call("two", "TWO"), "TWO");
  EXPECT_EQ(stream->Exchange("three\n"), Closed("THREE\n"));
}

TEST_P(FramingsTest, WithoutFlushAfterAnUnterminatedRequestIsWaitedFor) {
  const auto daemon = Start(OneListener("{builtin: upper}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  const auto other = Stream::Connect(daemon->address());
  ASSERT_TRUE(stream && other);
  ASSERT_TRUE(stream->Send("one"));
  for (int i = 0; i < 100; ++i) ASSERT_EQ(other->Call("x\n", "X\n"), "X\n");
  Received::End end = Received::End::kOpen;
  EXPECT_EQ(stream->ReceiveSome(&end), "");
  EXPECT_EQ(stream->Exchange(" two\n"), Closed("ONE TWO\n"));
}

TEST_P(FramingsTest, ARequestAboveMaxFrameGetsAnErrorFrameAndTheEnd) {
  const auto daemon =
      Start(OneListener("{builtin: echo}", "{delimiter: \"@@\"}", "    limits: {max_frame: 10}"));
  ASSERT_NE(daemon, nullptr);
  const auto exact = Stream::Connect(daemon->address());
  ASSERT_NE(exact, nullptr);
  EXPECT_EQ(exact->Exchange("0123456789@@"), Closed("0123456789@@"));
  const auto longer = Stream::Connect(daemon->address());
  ASSERT_NE(longer, nullptr);
  const Received received = longer->Exchange("a@@0123456789a@@b@@", /*half_close=*/false);
  EXPECT_TRUE(received.bytes.starts_with("a@@ERR overlong ")) << received.bytes;
  EXPECT_TRUE(received.bytes.ends_with("@@")) << "the error is framed as replies are";
  EXPECT_EQ(received.bytes.find("@@b"), std::string::npos) << "nothing follows the error";
  EXPECT_EQ(received.end, Received::End::kClosed);
}

TEST_P(FramingsTest, ARequestAboveMaxFrameIsRefusedBeforeItsEnd) {
  const auto daemon =
      Start(OneListener("{builtin: echo}", "line", "    limits: {max_frame: 1KiB}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  const Received received = stream->Exchange(std::string(2048, 'x'), /*half_close=*/false);
  EXPECT_TRUE(received.bytes.starts_with("ERR overlong ")) << received.bytes;
  EXPECT_TRUE(received.bytes.ends_with("\n")) << received.bytes;
  EXPECT_EQ(received.end, Received::End::kClosed);
}

}  // namespace
}  // namespace bsockd::integration
