// The public suites of other projects, and our own corpus: in every cut.

#include "tests/support/framing_corpus.h"

#include <gtest/gtest.h>

#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "lib/config/load.h"
#include "tests/fuzz/framing_driver.h"

namespace bsockd::testing {

void PrintTo(const CorpusCase& test, std::ostream* out) { *out << test.name; }

namespace {

std::optional<FrameError> ErrorNamed(const std::string& code) {
  if (code == "overlong") return FrameError::kOverlong;
  if (code == "malformed") return FrameError::kMalformed;
  if (code == "truncated") return FrameError::kTruncated;
  return std::nullopt;
}

// The answers as text, and each reply as the framer writes it.
class FramingCorpusTest : public ::testing::TestWithParam<CorpusCase> {};

TEST_P(FramingCorpusTest, EveryCut) {
  const CorpusCase& corpus = GetParam();
  const absl::StatusOr<FramingConfig> framing = ParseFraming(corpus.framing);
  ASSERT_TRUE(framing.ok()) << framing.status();
  const FramingCase test{*framing, corpus.max_frame, corpus.input, {}};
  const auto framer = MakeFramer(*framing, corpus.max_frame);
  std::string problem;
  const std::vector<Event> events = Feed(*framer, test, {}, &problem);
  EXPECT_EQ(problem, "");
  ASSERT_EQ(events.size(), corpus.answers.size()) << Describe(events);
  for (size_t i = 0; i < events.size(); ++i) {
    const CorpusAnswer& answer = corpus.answers[i];
    ASSERT_EQ(events[i].error, ErrorNamed(answer.error)) << Describe(events);
    ASSERT_EQ(answer.error.empty(), !events[i].error.has_value());
    EXPECT_EQ(events[i].payload, answer.payload);
    if (events[i].error.has_value()) continue;
    std::string reply;
    const size_t start = framer->BeginFrame(&reply);
    reply += answer.payload;
    EXPECT_TRUE(framer->EndFrame(start, events[i].ending, &reply).ok());
    EXPECT_EQ(reply, answer.reply);
  }
  EXPECT_EQ(CheckEveryCut(test), "");
}

INSTANTIATE_TEST_SUITE_P(, FramingCorpusTest, ::testing::ValuesIn(FramingCorpus()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace bsockd::testing
