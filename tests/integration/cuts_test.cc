// Where the bytes are cut on their way never changes what comes back: the corpus of framings
// through real sockets, at once, byte by byte and at every point in two.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/integration/daemon.h"
#include "tests/integration/stream.h"
#include "tests/support/framing_corpus.h"

namespace bsockd::integration {
namespace {

using bsockd::testing::CorpusAnswer;
using bsockd::testing::CorpusCase;

// Longer inputs are cut only where a reader may take them for something: at both ends.
constexpr size_t kCutsMax = 64;

class CutsTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    if (IsSkipped()) return;
    corpus_ = bsockd::testing::FramingCorpus();
    DaemonOptions options;
    options.config = "server: {workers: 1}\nhandlers: {echo: {builtin: echo}}\nlisteners:\n";
    for (size_t i = 0; i < corpus_.size(); ++i) {
      // A Unix socket tells the sender what has been read.
      options.config += fmt::format(
          "  c{0}: {{listen: \"unix:{1}\", handler: echo, framing: {2}, "
          "limits: {{max_frame: {3}}}}}\n",
          i, folder_.File(fmt::format("c{}", i)), corpus_[i].framing, corpus_[i].max_frame);
    }
    options.address_count = corpus_.size();
    daemon_ = StartWith(std::move(options));
    ASSERT_NE(daemon_, nullptr);
  }

  // Sends the pieces of the input that end at `cuts`, each only when the one before has been read.
  Received Send(size_t index, const std::vector<size_t>& cuts) const {
    const auto stream = Stream::Connect(daemon_->address(index));
    if (!stream) return {};
    std::string_view rest = corpus_[index].input;
    size_t sent = 0;
    for (const size_t cut : cuts) {
      // After an error the server may have closed its side already.
      if (!stream->Send(rest.substr(0, cut - sent))) break;
      EXPECT_TRUE(stream->WaitUntilTaken());
      rest.remove_prefix(cut - sent);
      sent = cut;
    }
    return stream->Exchange(rest);
  }

  const TemporaryFolder folder_;
  std::vector<CorpusCase> corpus_;
  std::unique_ptr<Daemon> daemon_;
};
INSTANTIATE_TEST_SUITE_P(, CutsTest, kBackends, BackendName);

// The code that the server has for an error of the corpus.
std::string CodeOf(const CorpusAnswer& answer) {
  return answer.error == "truncated" ? "malformed" : answer.error;
}

TEST_P(CutsTest, TheRepliesAreTheSameInEveryCut) {
  for (size_t i = 0; i < corpus_.size(); ++i) {
    const CorpusCase& test = corpus_[i];
    SCOPED_TRACE(test.name);
    const Received whole = Send(i, {});
    EXPECT_EQ(whole.end, Received::End::kClosed);
    std::string_view rest = whole.bytes;
    for (const CorpusAnswer& answer : test.answers) {
      if (answer.error.empty()) {
        ASSERT_TRUE(rest.starts_with(answer.reply)) << ::testing::PrintToString(whole);
        rest.remove_prefix(answer.reply.size());
        continue;
      }
      // Its frame is known but for its text, which is the server's.
      const std::string start = "ERR " + CodeOf(answer) + " ";
      const size_t at = rest.find(start);
      ASSERT_LT(at, 12u) << ::testing::PrintToString(whole);
      rest.remove_prefix(at + start.size());
      if (&answer == &test.answers.back()) {
        rest = {};
        break;
      }
      const CorpusAnswer& next = *(&answer + 1);
      const std::string next_start = next.error.empty() ? next.reply : "ERR " + CodeOf(next) + " ";
      const size_t next_at = rest.find(next_start);
      ASSERT_NE(next_at, rest.npos) << ::testing::PrintToString(whole);
      rest.remove_prefix(next_at - (next.error.empty() ? 0 : std::min<size_t>(next_at, 8)));
    }
    EXPECT_EQ(rest, "") << ::testing::PrintToString(whole);

    std::vector<size_t> cuts;
    for (size_t cut = 1; cut < test.input.size(); ++cut) {
      if (cut < kCutsMax / 2 || test.input.size() - cut < kCutsMax / 2) cuts.push_back(cut);
    }
    ASSERT_EQ(Send(i, cuts), whole) << "in many pieces";
    for (const size_t cut : cuts) ASSERT_EQ(Send(i, {cut}), whole) << "cut at " << cut;
  }
}

}  // namespace
}  // namespace bsockd::integration
