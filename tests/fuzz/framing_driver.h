// Drives a framer as a connection does, and says what it should have done.
//
// Shared by the framing tests and the framing fuzz target. Pure, and without GoogleTest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/framing/framer.h"

namespace bsockd::testing {

struct Frame {
  std::string payload;
  FrameEnding ending = kUnterminated;

  bool operator==(const Frame&) const = default;
};

// What came out of a stream: frames in order, then perhaps an error, after which nothing counts.
struct Frames {
  std::vector<Frame> frames;
  std::optional<FrameError> error;

  bool operator==(const Frames&) const = default;
};

// A stream is parts with a silence of flush_after between each two, and the end of input after the
// last one. Where a part is cut into pieces must change nothing.
struct Stream {
  std::vector<std::string> parts;
};

// `framing` is kLine or kDelimiter.
struct FramingCase {
  FramingConfig framing;
  size_t max_frame = 0;
  Stream stream;
};

// Feeds the parts, cutting each one before the byte indices (counted over the whole stream, in
// ascending order) of `cuts`. Every look at the input sees a copy of exactly what has come, so that
// the address sanitizer notices a look past its end. `*problem` is set when the framer breaks its
// contract in a way that the result does not show.
Frames Feed(const Framer& framer, const Stream& stream, const std::vector<size_t>& cuts,
            std::string* problem);

// The same result by the definition, one byte and one delimiter at a time, without a framer.
Frames Expected(const FramingCase& framing_case);

// Feeds the case whole, byte by byte, and `rounds` times in random pieces from `seed`; compares all
// with Expected(), and the frames written again with the stream. Returns what is wrong, or nothing.
std::string CheckFraming(const FramingCase& framing_case, uint64_t seed, int rounds);

// As CheckFraming, for one choice of cuts.
std::string CheckCuts(const FramingCase& framing_case, const std::vector<size_t>& cuts);

// The delimiters that `framing` stands for; `line` is LF and CRLF.
std::vector<std::string> DelimitersOf(const FramingConfig& framing);

// For messages.
std::string Describe(const FramingCase& framing_case, const std::vector<size_t>& cuts);
std::string Describe(const Frames& frames);

}  // namespace bsockd::testing
