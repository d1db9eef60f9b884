// Drives a framer as a connection does, and compares what it says with what it should.
//
// Shared by the framing tests and the framing fuzz targets. Pure, and without GoogleTest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/framing/framer.h"
#include "tests/fuzz/framing_definition.h"

namespace bsockd::testing {

// Feeds the stream, cutting it before the byte indices of `cuts` (ascending) and at its silences.
// The bytes that have not come are out of bounds to the address sanitizer, and those that are done
// with mostly so. `*problem` is set when the framer breaks its contract in a way that the result
// does not show.
std::vector<Event> Feed(const Framer& framer, const FramingCase& framing_case,
                        const std::vector<size_t>& cuts, std::string* problem);

// Feeds the case whole, and `rounds` times in random pieces from `seed`; compares each with
// Expected(), and writes the frames again. Returns what is wrong, or nothing.
std::string CheckFraming(const FramingCase& framing_case, uint64_t seed, int rounds);

// As CheckFraming: in all 2^(n-1) ways to cut a stream of n bytes.
std::string CheckEveryWayToCut(const FramingCase& framing_case);

// As CheckFraming: whole, cut in two at every place, and byte by byte.
std::string CheckEveryCut(const FramingCase& framing_case);

// For messages.
std::string Describe(const FramingCase& framing_case, const std::vector<size_t>& cuts);
std::string Describe(const std::vector<Event>& events);

}  // namespace bsockd::testing
