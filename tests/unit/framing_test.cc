// What a frame is: by hand, case by case. framing_property_test.cc has every cut and random
// streams.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/framing/framer.h"
#include "tests/fuzz/framing_driver.h"

namespace bsockd {
namespace {

using testing::Event;
using testing::Feed;
using testing::MakeCase;
using ::testing::TestWithParam;
using ::testing::ValuesIn;
using Kind = FrameResult::Kind;
using namespace std::string_literals;       // NOLINT: for NUL bytes.
using namespace std::string_view_literals;  // NOLINT: for NUL bytes.

constexpr size_t kPlenty = 1000;
constexpr FrameEnding kRest = kUnterminated;

FramingConfig Line() { return {}; }

FramingConfig Delimiters(std::vector<std::string> delimiters) {
  FramingConfig config;
  config.kind = FramingConfig::Kind::kDelimiter;
  config.delimiters = std::move(delimiters);
  return config;
}

FramingConfig Raw() {
  FramingConfig config;
  config.kind = FramingConfig::Kind::kRaw;
  return config;
}

FramingConfig Discarding(FramingConfig config) {
  config.eof = FramingConfig::AtEof::kDiscard;
  return config;
}

FramingConfig Skipping(FramingConfig config) {
  config.overlong = FramingConfig::Overlong::kSkip;
  return config;
}

const Event kOverlong{.error = FrameError::kOverlong};
const Event kSkipped{.error = FrameError::kOverlong, .resumable = true};

struct Case {
  std::string name;
  FramingConfig framing;
  size_t max_frame;
  std::vector<std::string> parts;  // A silence between each two, the end of input after the last.
  std::vector<Event> events;
};

std::ostream& operator<<(std::ostream& out, const Case& test) { return out << test.name; }

const std::vector<std::string> kLecture = {"@@", "\r\n", "\n"};

std::vector<Case> Cases() {
  return {
      // line: up to LF, one CR before it dropped. Ending 0 is LF, 1 is CRLF.
      {"LineLf", Line(), kPlenty, {"one\ntwo\n"}, {{"one", 0}, {"two", 0}}},
      {"LineCrLf", Line(), kPlenty, {"one\r\ntwo\r\n"}, {{"one", 1}, {"two", 1}}},
      {"LineMixed", Line(), kPlenty, {"one\r\ntwo\n"}, {{"one", 1}, {"two", 0}}},
      {"LineOneCrOnly", Line(), kPlenty, {"one\r\r\n"}, {{"one\r", 1}}},
      {"LineCrWithin", Line(), kPlenty, {"o\rne\n"}, {{"o\rne", 0}}},
      {"LineEmpty", Line(), kPlenty, {"\n\r\n\n"}, {{"", 0}, {"", 1}, {"", 0}}},
      {"LineNul", Line(), kPlenty, {"a\0b\n"s}, {{"a\0b"sv, 0}}},
      {"LineHighBytes", Line(), kPlenty, {"\xFF\x80\n"}, {{"\xFF\x80", 0}}},
      {"NothingAtAll", Line(), kPlenty, {""}, {}},

      // The end of input, and silence.
      {"RestAtEof", Line(), kPlenty, {"one\ntwo"}, {{"one", 0}, {"two", kRest}}},
      {"RestWithCr", Line(), kPlenty, {"one\r"}, {{"one\r", kRest}}},
      {"RestDiscarded", Discarding(Line()), kPlenty, {"one\ntwo"}, {{"one", 0}}},
      {"NoEmptyRest", Line(), kPlenty, {"one\n"}, {{"one", 0}}},
      {"Flush", Line(), kPlenty, {"one", "two\n"}, {{"one", kRest}, {"two", 0}}},
      {"FlushThenEof", Line(), kPlenty, {"one", ""}, {{"one", kRest}}},
      {"FlushOfNothing", Line(), kPlenty, {"one\n", "", "two\n"}, {{"one", 0}, {"two", 0}}},
      {"FlushDeliversThoughEofDiscards",
       Discarding(Line()),
       kPlenty,
       {"one", "two"},
       {{"one", kRest}}},
      {"FlushWithinDelimiter",
       Delimiters({"@@"}),
       kPlenty,
       {"a@", "@b@@"},
       {{"a@", kRest}, {"@b", 0}}},

      // delimiter.
      {"One", Delimiters({"@@"}), kPlenty, {"a@@b@@"}, {{"a", 0}, {"b", 0}}},
      {"Half", Delimiters({"@@"}), kPlenty, {"a@b@@"}, {{"a@b", 0}}},
      {"Overlapping", Delimiters({"@@"}), kPlenty, {"@@@"}, {{"", 0}, {"@", kRest}}},
      {"OverlappingFour", Delimiters({"@@"}), kPlenty, {"a@@@@"}, {{"a", 0}, {"", 0}}},
      {"FalseStart", Delimiters({"aab"}), kPlenty, {"aaab"}, {{"a", 0}}},
      {"PeriodicDelimiter", Delimiters({"abab"}), kPlenty, {"abaabab"}, {{"aba", 0}}},
      {"Several",
       Delimiters(kLecture),
       kPlenty,
       {"a@@b\r\nc\nd"},
       {{"a", 0}, {"b", 1}, {"c", 2}, {"d", kRest}}},
      {"FirstToEndWins",
       Delimiters({"-----", "+"}),
       kPlenty,
       {"a--+--"},
       {{"a--", 1}, {"--", kRest}}},
      {"LongestOfThoseEndingTogether",
       Delimiters({"c", "bc", "abc"}),
       kPlenty,
       {"xabcxbcxc"},
       {{"x", 2}, {"x", 1}, {"x", 0}}},
      {"LongestWhateverTheOrder",
       Delimiters({"abc", "c", "bc"}),
       kPlenty,
       {"xabcxbcxc"},
       {{"x", 0}, {"x", 2}, {"x", 1}}},
      {"DelimiterNotAcrossFrames",  // The first frame's LF is no part of the second's ending.
       Delimiters({"\n", "\n\n"}),
       kPlenty,
       {"a\n\nb"},
       {{"a", 0}, {"", 0}, {"b", kRest}}},
      {"NulDelimiter", Delimiters({"\0"s}), kPlenty, {"a\0b\0"s}, {{"a", 0}, {"b", 0}}},
      {"HighDelimiter", Delimiters({"\xFF\xFE"}), kPlenty, {"a\xFF\xFE"}, {{"a", 0}}},

      // max_frame counts the payload alone.
      {"ExactlyMaxFrame", Line(), 4, {"1234\n1234\r\n"}, {{"1234", 0}, {"1234", 1}}},
      {"OneOverMaxFrame", Line(), 4, {"1234\n12345\n"}, {{"1234", 0}, kOverlong}},
      {"OneOverWithCr", Line(), 4, {"1234\r\r\n"}, {kOverlong}},
      {"OverlongBeforeItsEnd", Line(), 4, {"123456"}, {kOverlong}},
      {"RestOfMaxFrame", Line(), 4, {"1234"}, {{"1234", kRest}}},
      {"RestOverMaxFrame", Line(), 4, {"12345"}, {kOverlong}},
      {"FlushOverMaxFrame", Line(), 4, {"12345", "\n"}, {kOverlong}},
      {"MaxFrameAndHalfADelimiter", Delimiters({"@@"}), 4, {"1234@"}, {kOverlong}},
      {"MaxFrameAndWholeDelimiter", Delimiters({"@@"}), 4, {"1234@@"}, {{"1234", 0}}},
      {"FramesBeforeTheOverlongOne",
       Line(),
       2,
       {"a\n\nb\nccc\nd\n"},
       {{"a", 0}, {"", 0}, {"b", 0}, kOverlong}},

      // overlong: skip.
      {"SkipsToTheEnding",
       Skipping(Line()),
       4,
       {"hello\nok\r\n0123456789\r\n"},
       {kSkipped, {"ok", 1}, kSkipped}},
      {"SkipsToTheFirstOfSeveralEndings",
       Skipping(Delimiters(kLecture)),
       4,
       {"hello@@ok\nhello@\nok@@0123456789\r\n"},
       {kSkipped, {"ok", 2}, kSkipped, {"ok", 0}, kSkipped}},
      {"SkipsOneFrameOnly",
       Skipping(Line()),
       4,
       {"hello\n\nhello\n"},
       {kSkipped, {"", 0}, kSkipped}},
      {"SkippedAtEof", Skipping(Line()), 4, {"ok\nhello, world"}, {{"ok", 0}, kSkipped}},
      {"SkippedAtEofThatDiscards", Discarding(Skipping(Line())), 4, {"hello, world"}, {kSkipped}},
      {"SkipOfRestAtSilence",
       Skipping(Delimiters({"@@"})),
       4,
       {"hello", "ok@@"},
       {kSkipped, {"ok", 0}}},
      {"SilenceEndsASkip",
       Skipping(Line()),
       4,
       {"hello, world", "ok", "hello, world", "", "ok\n"},
       {kSkipped, {"ok", kRest}, kSkipped, {"ok", 0}}},
      {"SkipsThroughHalfDelimiters",
       Skipping(Delimiters({"--end--"})),
       4,
       {"01234567--end-end----end--ok--end--"},
       {kSkipped, {"ok", 0}}},
  };
}

class FramesOf : public TestWithParam<Case> {};

TEST_P(FramesOf, Stream) {
  const Case& test = GetParam();
  const auto framer = MakeFramer(test.framing, test.max_frame);
  const auto stream = MakeCase(test.framing, test.max_frame, test.parts);
  std::string problem;
  EXPECT_EQ(Describe(Feed(*framer, stream, {}, &problem)), Describe(test.events));
  EXPECT_EQ(problem, "");
  EXPECT_EQ(CheckEveryCut(stream), "");
}

INSTANTIATE_TEST_SUITE_P(Framing, FramesOf, ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

TEST(Framer, NoInputIsNoFrame) {
  for (const FramingConfig& config : {Line(), Delimiters({"@@"}), Raw()}) {
    FramerState state;
    EXPECT_EQ(MakeFramer(config, kPlenty)->Next("", state).kind, Kind::kNeedMore);
    EXPECT_EQ(state.scanned, 0u);
  }
}

TEST(Framer, DelimiterCutInTwo) {
  const auto framer = MakeFramer(Delimiters({"--end--"}), kPlenty);
  const std::string whole = "payload--end--next";
  for (size_t cut = 0; cut <= 14; ++cut) {
    FramerState state;
    const FrameResult first = framer->Next(std::string_view(whole).substr(0, cut), state);
    if (cut < 14) {
      EXPECT_EQ(first.kind, Kind::kNeedMore) << cut;
      EXPECT_EQ(state.scanned, cut);
    }
    const FrameResult result = cut < 14 ? framer->Next(whole, state) : first;
    EXPECT_EQ(result.kind, Kind::kFrame) << cut;
    EXPECT_EQ(result.payload, "payload");
    EXPECT_EQ(result.consumed, 14u);
    EXPECT_EQ(state.scanned, 0u);
  }
}

TEST(Framer, PayloadLiesInTheInput) {
  const auto framer = MakeFramer(Line(), kPlenty);
  const std::string input = "not copied\r\n";
  FramerState state;
  const FrameResult result = framer->Next(input, state);
  EXPECT_EQ(result.payload.data(), input.data());
}

TEST(Framer, LooksAtNoBeginningTwice) {
  // What is before `scanned` does not count any more: it is known not to end the frame.
  const auto framer = MakeFramer(Delimiters({"\n", "@@"}), kPlenty);
  FramerState state;
  EXPECT_EQ(framer->Next("abc@", state).kind, Kind::kNeedMore);
  EXPECT_EQ(state.scanned, 4u);
  const FrameResult result = framer->Next("\nbc@@", state);
  EXPECT_EQ(result.payload, "\nbc");
  EXPECT_EQ(result.ending, 1);
}

// While the rest of a frame is skipped, no more is kept than may begin a delimiter.
TEST(Framer, SkippingKeepsNoMoreThanTheBeginningOfADelimiter) {
  for (const auto& [config, kept] : std::vector<std::pair<FramingConfig, size_t>>{
           {Delimiters({"\n"}), 1}, {Line(), 1}, {Delimiters({"--end--"}), 6}}) {
    const auto framer = MakeFramer(Skipping(config), 4);
    FramerState state;
    const std::string bytes(100, 'x');
    const FrameResult error = framer->Next(bytes, state);
    EXPECT_EQ(error.kind, Kind::kError);
    EXPECT_TRUE(error.resumable);
    EXPECT_EQ(error.consumed, bytes.size() - kept);
    const FrameResult discard = framer->Next(bytes, state);
    EXPECT_EQ(discard.kind, Kind::kDiscard);
    EXPECT_EQ(discard.consumed, bytes.size() - kept);
    EXPECT_EQ(framer->Next(std::string_view(bytes).substr(0, kept), state).kind, Kind::kNeedMore);
  }
}

// A byte at a time, a frame of a megabyte must not cost a megabyte of looking for each of them.
TEST(Framer, OneByteAtATimeIsLinear) {
  constexpr size_t kBytes = 1 << 20;
  const std::vector<FramingConfig> framings = {Line(), Delimiters({"@@"}), Delimiters(kLecture),
                                               // Its last byte comes all the time, the whole never.
                                               Delimiters({"b" + std::string(63, 'a')}),
                                               Delimiters({std::string(63, 'a') + "ba", "ca"})};
  for (const FramingConfig& config : framings) {
    const auto framer = MakeFramer(config, kBytes);
    const std::string stream(kBytes, 'a');
    FramerState state;
    size_t looked_at = 0;
    for (size_t come = 1; come <= kBytes; ++come) {
      looked_at += come - state.scanned;
      ASSERT_EQ(framer->Next(std::string_view(stream).substr(0, come), state).kind,
                Kind::kNeedMore);
    }
    EXPECT_EQ(looked_at, kBytes);
  }
}

TEST(Framer, OverlongIsKnownBeforeItsEnd) {
  // Nothing beyond max_frame and the longest delimiter is ever asked for.
  const auto framer = MakeFramer(Delimiters({"\n", "12345"}), 100);
  const std::string bytes(105, 'x');
  FramerState state;
  EXPECT_EQ(framer->Next(std::string_view(bytes).substr(0, 104), state).kind, Kind::kNeedMore);
  const FrameResult result = framer->Next(bytes, state);
  EXPECT_EQ(result.kind, Kind::kError);
  EXPECT_EQ(result.error, FrameError::kOverlong);
}

TEST(Framer, RestDiscardsWhatItIsToldTo) {
  const auto framer = MakeFramer(Discarding(Line()), kPlenty);
  FramerState state{.scanned = 3};
  const FrameResult result = framer->Rest("abc", state, /*eof=*/true);
  EXPECT_EQ(result.kind, Kind::kDiscard);
  EXPECT_EQ(result.consumed, 3u);
  EXPECT_EQ(state.scanned, 0u);
}

TEST(RawFramer, AFrameIsWhatCame) {
  const auto framer = MakeFramer(Raw(), kPlenty);
  FramerState state;
  const FrameResult result = framer->Next("a\nb\0"s, state);
  EXPECT_EQ(result.kind, Kind::kFrame);
  EXPECT_EQ(result.consumed, 4u);
  EXPECT_EQ(result.payload.size(), 4u);
  EXPECT_EQ(result.ending, kUnterminated);
}

TEST(RawFramer, MoreThanMaxFrameIsSeveral) {
  std::string problem;
  const auto stream = MakeCase(Raw(), 4, {"123456789"});
  const std::vector<Event> got = Feed(*MakeFramer(Raw(), 4), stream, {}, &problem);
  EXPECT_EQ(problem, "");
  const std::vector<Event> expected = {{"1234", kRest}, {"5678", kRest}, {"9", kRest}};
  EXPECT_EQ(got, expected);
}

std::string Reply(const FramingConfig& config, std::string_view payload, FrameEnding ending) {
  const auto framer = MakeFramer(config, kPlenty);
  std::string out = "before|";
  const size_t start = framer->BeginFrame(&out);
  EXPECT_EQ(start, 7u);
  out += payload;
  EXPECT_TRUE(framer->EndFrame(start, ending, &out).ok());
  return out.substr(7);
}

TEST(Reply, EndsAsTheRequestDid) {
  EXPECT_EQ(Reply(Line(), "hello", 0), "hello\n");
  EXPECT_EQ(Reply(Line(), "hello", 1), "hello\r\n");
  EXPECT_EQ(Reply(Line(), "hello", kUnterminated), "hello");
  EXPECT_EQ(Reply(Delimiters(kLecture), "hello", 0), "hello@@");
  EXPECT_EQ(Reply(Delimiters(kLecture), "hello", 1), "hello\r\n");
  EXPECT_EQ(Reply(Delimiters(kLecture), "hello", 2), "hello\n");
  EXPECT_EQ(Reply(Delimiters(kLecture), "hello", kUnterminated), "hello");
  EXPECT_EQ(Reply(Delimiters(kLecture), "", 0), "@@");
  EXPECT_EQ(Reply(Raw(), "hello", kUnterminated), "hello");
}

TEST(Reply, ToNoRequestEndsInTheFirstWay) {
  EXPECT_EQ(MakeFramer(Line(), kPlenty)->canonical_ending(), 0);
  EXPECT_EQ(MakeFramer(Delimiters(kLecture), kPlenty)->canonical_ending(), 0);
  EXPECT_EQ(MakeFramer(Raw(), kPlenty)->canonical_ending(), kUnterminated);
}

}  // namespace
}  // namespace bsockd
