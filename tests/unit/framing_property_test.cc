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

using Random = std::mt19937_64;

constexpr int kRandomCases = 4000;
constexpr int kRoundsEach = 4;

uint64_t Seed() {
  const char* given = std::getenv("BSOCKD_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::cout << "BSOCKD_SEED=" << seed << std::endl;
  return seed;
}

FramingCase Case(std::vector<std::string> delimiters, size_t max_frame,
                 std::vector<std::string> parts) {
  FramingCase test;
  if (!delimiters.empty()) test.framing.kind = FramingConfig::Kind::kDelimiter;
  test.framing.delimiters = std::move(delimiters);
  test.max_frame = max_frame;
  test.stream.parts = std::move(parts);
  return test;
}

// No delimiters: `line`.
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

TEST(FramingProperty, EveryCutInTwoAndByteByByte) {
  for (FramingCase test : Corpus()) {
    for (const auto eof : {FramingConfig::AtEof::kDeliver, FramingConfig::AtEof::kDiscard}) {
      test.framing.eof = eof;
      size_t bytes = 0;
      for (const std::string& part : test.stream.parts) bytes += part.size();
      for (size_t cut = 1; cut < bytes; ++cut) ASSERT_EQ(CheckCuts(test, {cut}), "");
      ASSERT_EQ(CheckFraming(test, /*seed=*/1, /*rounds=*/20), "");
    }
  }
}

TEST(FramingProperty, EveryStreamOfFewBytesInEveryCut) {
  // All 3^6 streams over an alphabet, all 2^5 ways to cut each.
  constexpr size_t kBytes = 6;
  constexpr std::array<char, 3> kAlphabet = {'@', '\r', '\n'};
  const std::vector<FramingCase> framings = {Case({"@@", "\r\n", "\n"}, 2, {""}), Case({}, 3, {""}),
                                             Case({"@\r", "\n@\r", "@@"}, 6, {""})};
  for (FramingCase test : framings) {
    for (int code = 0; code < 729; ++code) {
      std::string stream;
      for (int rest = code; stream.size() < kBytes; rest /= 3) stream += kAlphabet[rest % 3];
      test.stream.parts = {stream};
      for (unsigned mask = 0; mask < 1u << (kBytes - 1); ++mask) {
        std::vector<size_t> cuts;
        for (size_t i = 1; i < kBytes; ++i) {
          if ((mask >> (i - 1) & 1) != 0) cuts.push_back(i);
        }
        ASSERT_EQ(CheckCuts(test, cuts), "");
      }
    }
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

FramingCase RandomCase(Random& random) {
  // Few letters, so that delimiters and halves of them come up all the time.
  constexpr std::array<std::string_view, 4> kAlphabets = {"ab", "abc", "@\r\nx",
                                                          std::string_view("\0\xFF", 2)};
  const std::string_view alphabet = kAlphabets[Below(kAlphabets.size(), random)];
  FramingCase test;
  if (Below(4, random) != 0) {
    test.framing.kind = FramingConfig::Kind::kDelimiter;
    const size_t wanted = 1 + Below(4, random);
    for (size_t tries = 0; tries < wanted; ++tries) {
      const std::string delimiter = RandomBytes(alphabet, 1 + Below(5, random), random);
      bool is_new = true;
      for (const std::string& other : test.framing.delimiters) is_new &= other != delimiter;
      if (is_new) test.framing.delimiters.push_back(delimiter);
    }
  }
  if (Below(2, random) == 0) test.framing.eof = FramingConfig::AtEof::kDiscard;
  test.max_frame = Below(3, random) == 0 ? Below(8, random) : 1000;
  const size_t parts = 1 + Below(3, random);
  for (size_t i = 0; i < parts; ++i) {
    test.stream.parts.push_back(RandomBytes(alphabet, Below(60, random), random));
  }
  return test;
}

TEST(FramingProperty, RandomStreamsInRandomPieces) {
  const uint64_t seed = Seed();
  Random random(seed);
  for (int i = 0; i < kRandomCases; ++i) {
    const FramingCase test = RandomCase(random);
    ASSERT_EQ(CheckFraming(test, random(), kRoundsEach), "") << "case " << i << " of seed " << seed;
  }
}

}  // namespace
}  // namespace bsockd::testing
