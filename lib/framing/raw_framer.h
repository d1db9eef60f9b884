// `raw`: a request is what one read returned, and a reply is its bytes. For protocols that need no
// framing and for clients that expect none.
#pragma once

#include "lib/framing/framer.h"

namespace bsockd {

class RawFramer final : public Framer {
 public:
  // A read of more than `max_frame` bytes is cut into several requests: with `raw` the cuts mean
  // nothing anyway.
  explicit RawFramer(size_t max_frame) : max_frame_(max_frame) {}

  FrameResult Next(std::string_view input, FramerState& state) const override;
  FrameResult Rest(std::string_view input, FramerState& state, bool eof) const override;
  size_t BeginFrame(std::string* out) const override { return out->size(); }
  absl::Status EndFrame(size_t, FrameEnding, std::string*) const override {
    return absl::OkStatus();
  }
  FrameEnding canonical_ending() const override { return kUnterminated; }

 private:
  const size_t max_frame_;
};

}  // namespace bsockd
