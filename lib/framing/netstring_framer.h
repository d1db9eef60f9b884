// `5:hello,`: the length in decimal, a colon, the bytes, a comma. As Bernstein's netstrings have
// it: no leading zeros, and "0:," is the empty one.
#pragma once

#include "lib/framing/counted_framer.h"

namespace bsockd {

class NetstringFramer final : public CountedFramer {
 public:
  NetstringFramer(const FramingConfig& config, size_t max_frame)
      : CountedFramer(config, max_frame, ',') {}

  size_t BeginFrame(std::string* out) const override { return out->size(); }
  absl::Status EndFrame(size_t start, FrameEnding ending, std::string* out) const override;
  size_t payload_bytes_max() const override;

 private:
  Header ParseHeader(std::string_view input) const override;
};

}  // namespace bsockd
