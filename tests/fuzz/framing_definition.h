// What each framing means, written without looking at the framers: slow, one frame at a time, from
// the whole stream. The framing tests and fuzz targets compare the framers with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/framing/framer.h"

namespace bsockd::testing {

// What a stream says: a frame, or an error. After an error that is not `resumable` nothing counts.
struct Event {
  std::string_view payload = {};  // Points into the stream.
  FrameEnding ending = kUnterminated;
  std::optional<FrameError> error = std::nullopt;
  bool resumable = false;

  bool operator==(const Event&) const = default;
};

struct FramingCase {
  FramingConfig framing;  // Not kRaw: what that means depends on the cuts.
  size_t max_frame = 0;   // Bytes of payload.
  std::string stream;     // Ended by the end of input.
  // Before which bytes of the stream (ascending, up to its size) flush_after passes in silence.
  std::vector<size_t> silences;
};

// The stream is the parts, with a silence between each two.
FramingCase MakeCase(FramingConfig framing, size_t max_frame,
                     const std::vector<std::string>& parts);

std::vector<Event> Expected(const FramingCase& framing_case);

// The delimiters that `framing` stands for; `line` is LF and CRLF, other kinds have none.
std::vector<std::string> DelimitersOf(const FramingConfig& framing);

// Whether the replies of `framing` are frames of `framing`.
bool FramesItsReplies(const FramingConfig& framing);

// The most bytes of an unfinished frame that there is reason to keep.
size_t HeldBytesMax(const FramingConfig& framing, size_t max_frame);

}  // namespace bsockd::testing
