#include "lib/framing/fixed_framer.h"

namespace bsockd {

CountedFramer::Header FixedFramer::ParseHeader(std::string_view input) const {
  if (input.empty()) return {.kind = Header::Kind::kUnfinished};
  return {.kind = Header::Kind::kWhole, .payload_start = 0, .payload_bytes = frame_bytes_};
}

}  // namespace bsockd
