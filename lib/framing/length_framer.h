// A length in front of the bytes that it counts, with the meaning of Netty's
// LengthFieldBasedFrameDecoder: `length` and `packet` of docs/protocol.md.
#pragma once

#include "lib/framing/counted_framer.h"

namespace bsockd {

class LengthFramer final : public CountedFramer {
 public:
  // `config.length` is as config.h has it.
  LengthFramer(const FramingConfig& config, size_t max_frame);

  size_t BeginFrame(std::string* out) const override;
  absl::Status EndFrame(size_t start, FrameEnding ending, std::string* out) const override;
  size_t payload_bytes_max() const override { return payload_bytes_max_; }

 private:
  Header ParseHeader(std::string_view input) const override;
  uint64_t ReadNumber(const char* at) const;

  const int width_;
  const bool little_endian_;
  const bool in_replies_;
  const size_t offset_;
  const size_t header_bytes_;  // To the end of the number.
  const size_t strip_;
  const uint64_t added_;     // To the number read gives the bytes of the frame; modulo 2^64.
  uint64_t number_min_ = 0;  // Less than this is a frame shorter than its header or than `strip`.
  size_t payload_bytes_max_;
};

}  // namespace bsockd
