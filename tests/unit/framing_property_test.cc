// Where the bytes are cut never changes the result, and the result is the definition's.
//
// BSOCKD_SEED=N repeats a run.

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/framing_driver.h"

namespace bsockd::testing {
namespace {

using Kind = FramingConfig::Kind;
using Random = std::mt19937_64;

constexpr int kRandomCases = 10000;
constexpr int kRoundsEach = 4;

uint64_t Seed() {
  const char* given = std::getenv("BSOCKD_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::cout << "BSOCKD_SEED=" << seed << std::endl;
  return seed;
}

// No delimiters: `line`.
FramingCase Case(std::vector<std::string> delimiters, size_t max_frame,
                 std::vector<std::string> parts) {
  FramingConfig framing;
  if (!delimiters.empty()) framing.kind = Kind::kDelimiter;
  framing.delimiters = std::move(delimiters);
  return MakeCase(framing, max_frame, parts);
}

std::vector<FramingCase> Corpus() {
  const std::vector<std::string> lecture = {"@@", "\r\n", "\n"};
  return {
      Case({}, 100, {"hello\n"}),
      Case({}, 100, {"one\r\ntwo\n\r\n\n\r\r\nrest\r"}),
      Case({}, 5, {"12345\n12345\r\n1234\r\r\n"}),
      Case({}, 5, {"12345\n123456\n1\n"}),
      Case({}, 5, {"12345\r", "\nsix"}),
      Case(lecture, 100, {"a@@b@@c@@"}),
      Case(lecture, 100, {"AWESOMESAUCE"}),
      Case(lecture, 100, {"AWESOMESAUCE", "AWESOMESAUCE@@@\r\n\n@"}),
      Case(lecture, 8, {"x@\r@@\r\r\n12345678@@12345678\r\n12345678\n"}),
      Case({"@@"}, 3, {"@@@@@abc@@abc@"}),
      Case({"c", "bc", "abc"}, 100, {"abcxabcbccabxabcc"}),
      Case({"aab", "ab"}, 100, {"aaabaabab"}),
      Case({"abab", "b"}, 100, {"abababbab"}),
      Case({std::string(64, '=')}, 70, {std::string(63, '=') + "x" + std::string(130, '=')}),
  };
}

TEST(FramingProperty, EveryCut) {
  for (FramingCase test : Corpus()) {
    for (const auto eof : {FramingConfig::AtEof::kDeliver, FramingConfig::AtEof::kDiscard}) {
      for (const auto overlong :
           {FramingConfig::Overlong::kClose, FramingConfig::Overlong::kSkip}) {
        test.framing.eof = eof;
        test.framing.overlong = overlong;
        ASSERT_EQ(CheckEveryCut(test), "");
        ASSERT_EQ(CheckFraming(test, /*seed=*/1, /*rounds=*/20), "");
      }
    }
  }
}

// All streams of six bytes over an alphabet of three.
void CheckEveryStream(FramingCase test, std::array<char, 3> alphabet) {
  constexpr size_t kBytes = 6;
  constexpr int kStreams = 729;
  for (int code = 0; code < kStreams; ++code) {
    test.stream.clear();
    for (int rest = code; test.stream.size() < kBytes; rest /= 3) {
      test.stream += alphabet[static_cast<size_t>(rest % 3)];
    }
    ASSERT_EQ(CheckEveryWayToCut(test), "");
  }
}

TEST(FramingProperty, EveryStreamOfFewBytesInEveryCut) {
  for (const auto overlong : {FramingConfig::Overlong::kClose, FramingConfig::Overlong::kSkip}) {
    std::vector<FramingCase> delimited = {Case({"@@", "\r\n", "\n"}, 2, {}), Case({}, 3, {}),
                                          Case({"@\r", "\n@\r", "@@"}, 6, {})};
    for (FramingCase& test : delimited) {
      test.framing.overlong = overlong;
      CheckEveryStream(test, {'@', '\r', '\n'});
    }
    FramingCase test;
    test.framing.overlong = overlong;
    test.max_frame = 2;
    test.framing.kind = Kind::kNetstring;
    CheckEveryStream(test, {'1', ':', ','});
    CheckEveryStream(test, {'0', ':', ','});
    CheckEveryStream(test, {'3', ':', ','});
    test.framing.kind = Kind::kVarint;
    CheckEveryStream(test, {'\0', '\x02', '\x80'});
    CheckEveryStream(test, {'\x01', '\x03', '\x80'});
    test.framing.kind = Kind::kFixed;
    test.framing.fixed_bytes = 2;
    CheckEveryStream(test, {'a', 'b', 'c'});
    test.framing.kind = Kind::kLength;
    test.framing.length.width = 2;
    test.framing.length.strip = 2;
    test.framing.length.in_replies = true;
    CheckEveryStream(test, {'\0', '\x01', '\x03'});
    test.framing.length = LengthFieldConfig();
    test.framing.length.width = 1;
    test.framing.length.offset = 1;
    test.framing.length.adjust = -2;
    test.framing.length.strip = 1;
    CheckEveryStream(test, {'\x02', '\x01', '\x04'});
  }
}

size_t Below(size_t bound, Random& random) {
  return std::uniform_int_distribution<size_t>(0, bound - 1)(random);
}

std::string RandomBytes(std::string_view alphabet, size_t bytes, Random& random) {
  std::string text;
  while (text.size() < bytes) text += alphabet[Below(alphabet.size(), random)];
  return text;
}

FramingCase RandomDelimited(Random& random) {
  // Few letters, so that delimiters and halves of them come up all the time.
  constexpr std::array<std::string_view, 4> kAlphabets = {"ab", "abc", "@\r\nx",
                                                          std::string_view("\0\xFF", 2)};
  const std::string_view alphabet = kAlphabets[Below(kAlphabets.size(), random)];
  std::vector<std::string> delimiters;
  const size_t wanted = Below(5, random);
  for (size_t tries = 0; tries < wanted; ++tries) {
    const std::string delimiter = RandomBytes(alphabet, 1 + Below(5, random), random);
    bool is_new = true;
    for (const std::string& other : delimiters) is_new &= other != delimiter;
    if (is_new) delimiters.push_back(delimiter);
  }
  std::vector<std::string> parts(1 + Below(3, random));
  for (std::string& part : parts) part = RandomBytes(alphabet, Below(60, random), random);
  return Case(delimiters, 0, parts);
}

LengthFieldConfig RandomLength(Random& random) {
  constexpr std::array<int, 5> kWidths = {1, 2, 3, 4, 8};
  LengthFieldConfig length;
  length.width = kWidths[Below(kWidths.size(), random)];
  length.little_endian = Below(2, random) == 0;
  if (Below(2, random) == 0) {
    length.strip = static_cast<size_t>(length.width);
    length.in_replies = true;
  } else {
    length.offset = Below(4, random);
    length.adjust = static_cast<int64_t>(Below(12, random)) - 8;
    length.strip = Below(10, random);
  }
  return length;
}

FramingCase RandomCounted(Random& random) {
  constexpr std::array<Kind, 4> kKinds = {Kind::kLength, Kind::kNetstring, Kind::kVarint,
                                          Kind::kFixed};
  // Small numbers and zeros make frames; large bytes make overlong and malformed ones.
  constexpr std::array<std::string_view, 4> kAlphabets = {
      std::string_view("\0\0\0\0\0\1\2\3", 8), "012:,", "1:2,",
      std::string_view("\0\1\2\x80\x81\xFF", 6)};
  FramingCase test;
  test.framing.kind = kKinds[Below(kKinds.size(), random)];
  test.framing.length = RandomLength(random);
  test.framing.fixed_bytes = 1 + Below(8, random);
  const std::string_view alphabet = kAlphabets[Below(kAlphabets.size(), random)];
  test.stream = RandomBytes(alphabet, Below(80, random), random);
  return test;
}

TEST(FramingProperty, RandomStreamsInRandomPieces) {
  const uint64_t seed = Seed();
  Random random(seed);
  for (int i = 0; i < kRandomCases; ++i) {
    FramingCase test = Below(2, random) == 0 ? RandomDelimited(random) : RandomCounted(random);
    if (Below(2, random) == 0) test.framing.eof = FramingConfig::AtEof::kDiscard;
    if (Below(2, random) == 0) test.framing.overlong = FramingConfig::Overlong::kSkip;
    test.max_frame = Below(3, random) == 0 ? Below(8, random) : 1000;
    ASSERT_EQ(CheckFraming(test, random(), kRoundsEach), "") << "case " << i << " of seed " << seed;
  }
}

}  // namespace
}  // namespace bsockd::testing
