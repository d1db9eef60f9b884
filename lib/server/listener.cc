#include "lib/server/listener.h"

#include <algorithm>

namespace bsockd {

bool Listener::FramesLike(const Listener& other) const {
  return framing == other.framing && reply_framing == other.reply_framing &&
         limits.max_frame == other.limits.max_frame;
}

void AppendErrorFrame(const Framer& framer, FrameEnding ending, std::string_view code,
                      std::string_view text, std::string* out) {
  const size_t start = framer.BeginFrame(out);
  const size_t payload = out->size();
  out->append("ERR ").append(code).append(" ").append(text);
  out->resize(payload + std::min(out->size() - payload, framer.payload_bytes_max()));
  if (!framer.EndFrame(start, ending, out).ok()) out->resize(start);
}

}  // namespace bsockd
