#include "lib/client/encode.h"

#include <fmt/format.h>

#include "lib/base/text.h"

namespace bsockd {
namespace {

using Kind = FramingConfig::Kind;

absl::Status Invalid(std::string_view what) { return absl::InvalidArgumentError(ToAbsl(what)); }

std::string FaultOfWholeFrame(const FrameResult& seen, size_t frame_bytes) {
  constexpr std::string_view kWhole = "with this framing it is the whole frame, header included";
  switch (seen.kind) {
    case FrameResult::Kind::kFrame:
      return fmt::format("the request has {} bytes, but its header says {} ({})", frame_bytes,
                         seen.consumed, kWhole);
    case FrameResult::Kind::kNeedMore:
      return fmt::format("the request has {} bytes, fewer than its header says ({})", frame_bytes,
                         kWhole);
    case FrameResult::Kind::kDiscard:
    case FrameResult::Kind::kError:
      break;
  }
  return fmt::format("the request's header is none that this framing has ({})", kWhole);
}

// `seen` is what the framer made of the frame: not one frame with `request` in it.
std::string FaultOf(const FramingConfig& framing, const FrameResult& seen, std::string_view request,
                    size_t frame_bytes) {
  switch (framing.kind) {
    case Kind::kLine:
    case Kind::kDelimiter:
      if (seen.kind == FrameResult::Kind::kFrame && seen.consumed < frame_bytes) {
        return "the request contains a delimiter of the framing, so it would arrive as several "
               "requests";
      }
      return "the request ends with the beginning of a delimiter of the framing, so it would "
             "arrive without it";
    case Kind::kFixed:
      return fmt::format("a request has exactly {} bytes with this framing, this one has {}",
                         framing.fixed_bytes, request.size());
    case Kind::kRaw:
      return "an empty request has no bytes to send with this framing";
    case Kind::kLength:
    case Kind::kNetstring:
    case Kind::kVarint:
      break;
  }
  return FaultOfWholeFrame(seen, frame_bytes);
}

}  // namespace

absl::StatusOr<std::string> EncodeRequest(const FramingConfig& framing, const Framer& framer,
                                          std::string_view request) {
  std::string frame;
  frame.reserve(request.size() + kDelimiterBytesMax);
  const size_t start = framer.BeginFrame(&frame);
  frame.append(request);
  if (!framer.EndFrame(start, framer.canonical_ending(), &frame).ok()) {
    return Invalid(fmt::format("a request has at most {} bytes with this framing, this one has {}",
                               framer.payload_bytes_max(), request.size()));
  }
  FramerState state;
  const FrameResult seen = framer.Next(frame, state);
  const bool whole =
      seen.kind == FrameResult::Kind::kFrame && seen.consumed == frame.size() &&
      // Of a frame that the caller made, `strip` takes off the front.
      (framing.kind == Kind::kLength ? request.ends_with(seen.payload) : seen.payload == request);
  if (!whole) return Invalid(FaultOf(framing, seen, request, frame.size()));
  return frame;
}

}  // namespace bsockd
