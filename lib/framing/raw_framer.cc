#include "lib/framing/raw_framer.h"

namespace bsockd {

FrameResult RawFramer::Next(std::string_view input, FramerState& /*state*/) const {
  FrameResult result;
  if (input.empty()) return result;
  result.kind = FrameResult::Kind::kFrame;
  result.payload = input.substr(0, max_frame_);
  result.consumed = result.payload.size();
  return result;
}

FrameResult RawFramer::Rest(std::string_view input, FramerState& state, bool /*eof*/) const {
  return Next(input, state);
}

}  // namespace bsockd
