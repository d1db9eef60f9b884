#include "lib/framing/counted_framer.h"

#include <algorithm>

namespace bsockd {
namespace {

FrameResult Error(FrameError error) {
  FrameResult result;
  result.kind = FrameResult::Kind::kError;
  result.error = error;
  return result;
}

}  // namespace

CountedFramer::CountedFramer(const FramingConfig& config, size_t max_frame,
                             std::optional<char> trailer)
    : max_frame_(max_frame),
      trailer_(trailer),
      deliver_rest_(config.eof == FramingConfig::AtEof::kDeliver),
      skip_overlong_(config.overlong == FramingConfig::Overlong::kSkip) {}

FrameResult CountedFramer::Next(std::string_view input, FramerState& state) const {
  if (state.to_skip > 0 || state.skipping) return Skip(input, state);
  const Header header = ParseHeader(input);
  switch (header.kind) {
    case Header::Kind::kWhole:
      break;
    case Header::Kind::kUnfinished:
      return FrameResult();
    case Header::Kind::kMalformed:
      return Error(FrameError::kMalformed);
    case Header::Kind::kBeyondNumbers:
      return Error(FrameError::kOverlong);
  }
  if (header.payload_bytes > max_frame_) return Overlong(header, input.size(), state);
  const uint64_t payload_end = header.payload_start + header.payload_bytes;
  const uint64_t frame_bytes = payload_end + (trailer_.has_value() ? 1 : 0);
  if (input.size() < frame_bytes) return FrameResult();
  if (trailer_.has_value() && input[payload_end] != *trailer_) {
    return Error(FrameError::kMalformed);
  }
  FrameResult result;
  result.kind = FrameResult::Kind::kFrame;
  result.ending = canonical_ending();
  result.consumed = frame_bytes;
  result.payload = input.substr(header.payload_start, header.payload_bytes);
  return result;
}

FrameResult CountedFramer::Overlong(const Header& header, size_t input_bytes,
                                    FramerState& state) const {
  FrameResult result = Error(FrameError::kOverlong);
  if (!skip_overlong_) return result;
  const uint64_t payload_end = header.payload_start + header.payload_bytes;
  result.resumable = true;
  result.consumed = std::min<uint64_t>(input_bytes, payload_end);
  state.to_skip = payload_end - result.consumed;
  state.skipping = trailer_.has_value();
  return result;
}

// First `to_skip` bytes; then the trailer, which says whether the stream still makes sense.
FrameResult CountedFramer::Skip(std::string_view input, FramerState& state) const {
  FrameResult result;
  if (input.empty()) return result;
  if (state.to_skip == 0 && input.front() != *trailer_) return Error(FrameError::kMalformed);
  result.kind = FrameResult::Kind::kDiscard;
  if (state.to_skip == 0) {
    result.consumed = 1;
    state = FramerState();
  } else {
    result.consumed = std::min<uint64_t>(input.size(), state.to_skip);
    state.to_skip -= result.consumed;
  }
  return result;
}

FrameResult CountedFramer::Rest(std::string_view input, FramerState& state, bool eof) const {
  if (!eof) return FrameResult();  // It says how long it is, so silence says nothing.
  FrameResult result;
  if (deliver_rest_) {
    result = Error(FrameError::kTruncated);
  } else {
    result.kind = FrameResult::Kind::kDiscard;
  }
  result.consumed = input.size();
  state = FramerState();
  return result;
}

}  // namespace bsockd
