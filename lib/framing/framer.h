// Framer: how frames are cut from a stream of bytes, and how replies are framed.
//
// Pure: bytes in, frames out; no I/O, no clock, no allocation. A framer is made once for a
// listener, is immutable, and is used by every worker thread at once; what it has to remember of a
// connection stands in a FramerState that the connection owns.
//
// Where the bytes are cut never changes the result: feeding the same bytes in any pieces gives the
// same frames and the same error (an error may show before its last byte has come).
#pragma once

#include <absl/status/status.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include "lib/config/config.h"

namespace bsockd {

// How a frame ended on the wire, so that its reply can end alike. Each framer gives the values
// their meaning, but for this one.
using FrameEnding = uint8_t;
inline constexpr FrameEnding kUnterminated = 255;  // By silence or the end of input.

enum class FrameError : uint8_t {
  kOverlong,   // The payload exceeds max_frame.
  kMalformed,  // These bytes are no frame of this framing.
  kTruncated,  // The input ended inside a frame that says how long it is.
};

// What a framer remembers between two looks at the same unfinished frame.
struct FramerState {
  size_t scanned = 0;     // Bytes from the frame's start known not to end it: never scanned again.
  uint64_t to_skip = 0;   // Bytes of an overlong frame that are still to be dropped, ...
  bool skipping = false;  // ... or, where its end is a delimiter, that it has not come yet.
};

struct FrameResult {
  enum class Kind : uint8_t {
    kNeedMore,  // No whole frame yet. Keep the input, come again with more behind it.
    kFrame,     // `payload` is a request; afterwards drop `consumed` bytes.
    kDiscard,   // Nothing to deliver; drop `consumed` bytes.
    kError,     // `error`. If it is `resumable`, drop `consumed` bytes and go on: the framer drops
                // the rest of that frame (kDiscard) as it comes. If not, the stream cannot be
                // understood from here on.
  };

  Kind kind = Kind::kNeedMore;
  FrameEnding ending = kUnterminated;
  FrameError error = FrameError::kMalformed;
  bool resumable = false;  // Only an overlong frame with `overlong: skip` is.
  // Bytes at the start of the input that are done with. A frame ends in what is new since the last
  // look; while an overlong one is dropped, they may be fewer than had come before.
  size_t consumed = 0;
  std::string_view payload;  // Points into the input.
};

class Framer {
 public:
  virtual ~Framer() = default;

  // Looks for one frame at the start of `input`, which begins where a frame begins and holds every
  // byte of it that has come so far and was not consumed. `state` is fresh at the start of a frame
  // and otherwise as the last call left it; it is made fresh again whenever a frame has ended.
  virtual FrameResult Next(std::string_view input, FramerState& state) const = 0;

  // `input` is not empty and Next() has said kNeedMore of it, but nothing follows: either for the
  // time being (`eof` false: flush_after has passed) or ever (`eof` true). Framings that count say
  // kNeedMore of a silence, and kTruncated of the end if it is to be delivered. Nothing is to be
  // said of an end that comes while an overlong frame is dropped.
  virtual FrameResult Rest(std::string_view input, FramerState& state, bool eof) const = 0;

  // A reply is written in place: BeginFrame reserves the header at the end of `*out` and returns
  // where the frame starts, the payload is appended to `*out`, and EndFrame completes the frame.
  // `ending` is that of the request, or canonical_ending().
  // Errors of EndFrame: OutOfRange if the payload does not fit this framing; the caller then cuts
  // `*out` back to `start`. At most payload_bytes_max() bytes always fit.
  virtual size_t BeginFrame(std::string* out) const = 0;
  virtual absl::Status EndFrame(size_t start, FrameEnding ending, std::string* out) const = 0;
  virtual size_t payload_bytes_max() const { return std::numeric_limits<size_t>::max(); }

  // How a frame ends that answers no particular request.
  virtual FrameEnding canonical_ending() const = 0;
};

// Errors: none; `config` has been validated by the loader. `max_frame` is in bytes of payload.
std::unique_ptr<const Framer> MakeFramer(const FramingConfig& config, size_t max_frame);

}  // namespace bsockd
