// A length as a protobuf varint (little-endian, seven bits a byte), then so many bytes: what
// writeDelimitedTo() of protobuf writes.
#pragma once

#include "lib/framing/counted_framer.h"

namespace bsockd {

class VarintFramer final : public CountedFramer {
 public:
  VarintFramer(const FramingConfig& config, size_t max_frame) : CountedFramer(config, max_frame) {}

  size_t BeginFrame(std::string* out) const override { return out->size(); }
  absl::Status EndFrame(size_t start, FrameEnding ending, std::string* out) const override;
  size_t payload_bytes_max() const override;

 private:
  Header ParseHeader(std::string_view input) const override;
};

}  // namespace bsockd
