// What somebody sees who starts the quick form or a small configuration and sends requests.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "tests/integration/daemon.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

using std::chrono::milliseconds;

constexpr char kPrompt[] = "CLIENT: Enter text to send to the server, and then hit enter: ";
constexpr char kAnswer[] =
    "CLIENT: I received this from the server: \"I am the server, and I got your message\"\n";
constexpr char kServerLine[] = "SERVER: I received this from the client: \"AWESOMESAUCE\"";

class QuickFormTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    if (IsSkipped()) return;
    DaemonOptions options;
    options.address_count = 2;
    daemon_ = StartWith(std::move(options));
    ASSERT_NE(daemon_, nullptr);
  }

  std::unique_ptr<Daemon> daemon_;
};
INSTANTIATE_TEST_SUITE_P(, QuickFormTest, kBackends, BackendName);

TEST_P(QuickFormTest, ListensOnBothLoopbackAddresses) {
  EXPECT_TRUE(daemon_->address(0).starts_with("127.0.0.1:")) << daemon_->address(0);
  EXPECT_TRUE(daemon_->address(1).starts_with("[::1]:")) << daemon_->address(1);
  for (const size_t i : {0, 1}) {
    const auto stream = Stream::Connect(daemon_->address(i));
    ASSERT_NE(stream, nullptr);
    EXPECT_EQ(stream->Exchange("hello\n"), Closed(fmt::format("{}\n", kGreeting)));
  }
}

TEST_P(QuickFormTest, GivesTheLecturesTranscriptWithTheBundledClientOnATerminal) {
  ProcessOptions options;
  options.command = {ProgramFromEnvironment("BSOCK"), "localhost", daemon_->port()};
  options.terminal = true;
  const auto client = Process::Start(options);
  ASSERT_NE(client, nullptr);
  ASSERT_TRUE(client->WaitForOutput(kPrompt)) << client->output() << client->errors();
  client->WriteInput("AWESOMESAUCE\n");
  EXPECT_EQ(daemon_->process().ReadLine(), kServerLine);
  ASSERT_TRUE(client->WaitForOutput(std::string(kAnswer) + kPrompt))
      << client->output() << client->errors();
  client->WriteInput("\x04");  // Ctrl-D
  EXPECT_EQ(client->Wait(), Exited(0)) << client->errors();
  EXPECT_TRUE(client->output().starts_with(std::string(kPrompt) + kAnswer + kPrompt))
      << client->output();
}

TEST_P(QuickFormTest, AnswersTheBundledClientOnAPipe) {
  ProcessOptions options;
  options.command = {ProgramFromEnvironment("BSOCK"), "localhost:" + daemon_->port()};
  const Outcome outcome = RunToEnd(options, "AWESOMESAUCE\nmore\n");
  EXPECT_EQ(outcome.end, Exited(0)) << outcome.errors;
  EXPECT_EQ(outcome.output, std::string(kAnswer) + kAnswer);
  EXPECT_EQ(daemon_->process().ReadLine(), kServerLine);
}

TEST_P(QuickFormTest, AnswersTheLecturesOwnClient) {
  ProcessOptions options;
  options.command = {ProgramFromEnvironment("LECTURE_CLIENT"), "127.0.0.1", daemon_->port()};
  const Outcome outcome = RunToEnd(options, "AWESOMESAUCE\n");
  EXPECT_EQ(outcome.end, Exited(0)) << outcome.errors;
  // No terminator before the closing quotation mark: the request had none either.
  EXPECT_EQ(outcome.output, std::string(kPrompt) + kAnswer);
  EXPECT_EQ(daemon_->process().ReadLine(), kServerLine);
}

TEST_P(QuickFormTest, AnswersAnUnterminatedRequestWithinHalfASecond) {
  milliseconds best = milliseconds::max();
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto stream = Stream::Connect(daemon_->address());
    ASSERT_NE(stream, nullptr);
    const auto start = Clock::now();
    ASSERT_EQ(stream->Call("AWESOMESAUCE", kGreeting), kGreeting);
    const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
    EXPECT_GE(took, milliseconds(199)) << "earlier than flush_after";
    best = std::min(best, took);
    EXPECT_EQ(stream->Exchange(""), Closed("")) << "something followed the reply";
  }
  EXPECT_LT(best, Sanitized() ? milliseconds(5000) : milliseconds(500));
}

TEST_P(QuickFormTest, WaitsForTheRestOfARequestThatKeepsComing) {
  const auto stream = Stream::Connect(daemon_->address());
  ASSERT_NE(stream, nullptr);
  ASSERT_EQ(stream->Call("one\n", fmt::format("{}\n", kGreeting)), fmt::format("{}\n", kGreeting));
  // Piece by piece, with pauses shorter than flush_after, for longer than flush_after.
  if (Sanitized()) GTEST_SKIP() << "the pauses cannot be held";
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(stream->Send("x"));
    Received::End end = Received::End::kOpen;
    std::this_thread::sleep_for(milliseconds(60));
    ASSERT_EQ(stream->ReceiveSome(&end), "") << "answered before the request was whole";
  }
  EXPECT_EQ(stream->Exchange("\n"), Closed(fmt::format("{}\n", kGreeting)));
}

TEST_P(QuickFormTest, EndsEachReplyAsItsRequestEnded) {
  const auto stream = Stream::Connect(daemon_->address());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Exchange("a@@b\r\nc\n@@last"),
            Closed(fmt::format("{0}@@{0}\r\n{0}\n{0}@@{0}", kGreeting)));
  for (const char* request : {"a", "b", "c", "", "last"}) {
    EXPECT_EQ(daemon_->process().ReadLine(),
              fmt::format("SERVER: I received this from the client: \"{}\"", request));
  }
}

class RequestsTest : public BackendTest {};
INSTANTIATE_TEST_SUITE_P(, RequestsTest, kBackends, BackendName);

TEST_P(RequestsTest, ThreeRequestsInOnePacketGetThreeRepliesInOrder) {
  const auto daemon = Start(OneListener("{builtin: upper}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Call("one\ntwo\r\nthree\n", "ONE\nTWO\r\nTHREE\n"), "ONE\nTWO\r\nTHREE\n");
  EXPECT_EQ(stream->Exchange("four\n"), Closed("FOUR\n")) << "the connection went on";
}

TEST_P(RequestsTest, OneRequestInAHundredPacketsIsOneRequest) {
  const auto daemon = Start(OneListener("{builtin: upper}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  for (const char c : std::string(98, 'x') + "\r\n") ASSERT_TRUE(stream->Send({&c, 1}));
  EXPECT_EQ(stream->Exchange(""), Closed(std::string(98, 'X') + "\r\n"));
}

TEST_P(RequestsTest, BytesOfEveryValueComeBackUnchanged) {
  const auto daemon = Start(OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  std::string all;
  for (int value = 0; value < 256; ++value) {
    if (value != '\n') all.push_back(static_cast<char>(value));
  }
  const std::string request = all + "\n" + std::string(3, '\0') + "\r\n\xE2\x82\xAC uro\n\n\r\n";
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Exchange(request), Closed(request));
}

TEST_P(RequestsTest, ThousandsOfPipelinedRequestsAreAllAnsweredInOrder) {
  const auto daemon = Start(OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  const int count = Sanitized() ? 20'000 : 200'000;
  std::string requests;
  for (int i = 0; i < count; ++i) requests += fmt::format("request {}\n", i);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  const Received received = stream->Exchange(requests);
  EXPECT_EQ(received.end, Received::End::kClosed);
  EXPECT_TRUE(received.bytes == requests)  // Not EXPECT_EQ: it would print megabytes.
      << received.bytes.size() << " of " << requests.size() << " bytes came back, or others";
}

TEST_P(RequestsTest, LargeRequestsUpToMaxFrameAreAnswered) {
  const auto daemon = Start(OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  const std::string request =
      std::string(1 << 20, 'a') + "\n" + std::string((1 << 20) - 1, 'b') + "\r\nend\n";
  const Received received = stream->Exchange(request);
  EXPECT_EQ(received.end, Received::End::kClosed);
  EXPECT_TRUE(received.bytes == request) << received.bytes.size() << " of " << request.size();
}

TEST_P(RequestsTest, TheConnectionStaysOpenBetweenRequests) {
  const auto daemon = Start(OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  for (int i = 0; i < 1000; ++i) {
    const std::string request = fmt::format("{}\n", i);
    ASSERT_EQ(stream->Call(request, request), request);
  }
  EXPECT_EQ(stream->Exchange(""), Closed(""));
}

TEST_P(RequestsTest, EveryRequestSentBeforeTheHalfCloseIsAnswered) {
  const auto daemon = Start(OneListener("{builtin: upper}"));
  ASSERT_NE(daemon, nullptr);
  for (int i = 0; i < 50; ++i) {  // Whether the end comes with the request or after it.
    const auto stream = Stream::Connect(daemon->address());
    ASSERT_NE(stream, nullptr);
    ASSERT_EQ(stream->Exchange("a\nb\ntail"), Closed("A\nB\nTAIL"));
  }
}

TEST_P(RequestsTest, TheUnterminatedTailIsDroppedWhereTheConfigurationSaysSo) {
  const auto daemon =
      Start(OneListener("{builtin: upper}", "{delimiter: [\"\\n\"], eof: discard}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Exchange("a\ntail"), Closed("A\n"));
}

TEST_P(RequestsTest, DiscardAnswersWithAnEmptyReply) {
  const auto daemon = Start(OneListener("{builtin: discard}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Exchange("a\nb\r\nc"), Closed("\n\r\n"));
}

TEST_P(RequestsTest, TimeAnswersWithTheTimeInRfc3339) {
  const auto daemon = Start(OneListener("{builtin: time}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_NE(stream, nullptr);
  const Received received = stream->Exchange("\n");
  EXPECT_TRUE(Matches(received.bytes,
                      "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?Z\n"))
      << received.bytes;
}

TEST_P(RequestsTest, ManyConnectionsAtOnceEachGetTheirOwnReplies) {
  const auto daemon = Start(OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 500; ++i) {
    streams.push_back(Stream::Connect(daemon->address()));
    ASSERT_NE(streams.back(), nullptr);
    ASSERT_TRUE(streams.back()->Send(fmt::format("connection {}\n", i)));
  }
  for (int i = 499; i >= 0; --i) {
    EXPECT_EQ(streams[i]->Exchange(""), Closed(fmt::format("connection {}\n", i)));
  }
}

}  // namespace
}  // namespace bsockd::integration
