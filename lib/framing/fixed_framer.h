// `fixed`: every request has the same number of bytes. A reply is the handler's bytes as they are.
#pragma once

#include "lib/framing/counted_framer.h"

namespace bsockd {

class FixedFramer final : public CountedFramer {
 public:
  FixedFramer(const FramingConfig& config, size_t max_frame)
      : CountedFramer(config, max_frame), frame_bytes_(config.fixed_bytes) {}

  size_t BeginFrame(std::string* out) const override { return out->size(); }
  absl::Status EndFrame(size_t /*start*/, FrameEnding /*ending*/,
                        std::string* /*out*/) const override {
    return absl::OkStatus();
  }

 private:
  Header ParseHeader(std::string_view input) const override;

  const size_t frame_bytes_;
};

}  // namespace bsockd
