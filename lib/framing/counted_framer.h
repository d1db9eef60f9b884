// What frames that say how long they are have in common: `length`, `netstring`, `varint` and
// `fixed` of docs/protocol.md. A framing is a header; waiting, max_frame, skipping and the end of
// input follow from it.
//
// Nothing is set aside on the word of a header, and but for the header no byte is looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "lib/framing/framer.h"

namespace bsockd {

class CountedFramer : public Framer {
 public:
  FrameResult Next(std::string_view input, FramerState& state) const final;
  FrameResult Rest(std::string_view input, FramerState& state, bool eof) const final;
  // A counted frame has one ending only.
  FrameEnding canonical_ending() const final { return 0; }

 protected:
  struct Header {
    enum class Kind : uint8_t {
      kUnfinished,  // More bytes are needed to tell.
      kWhole,
      kMalformed,
      kBeyondNumbers,  // More than the framing's own numbers go to: overlong, and not to be
                       // skipped.
    };
    Kind kind = Kind::kUnfinished;
    size_t payload_start = 0;    // Bytes of the frame before its payload.
    uint64_t payload_bytes = 0;  // At most 2^63 and a little.
  };

  // `config.eof` and `config.overlong` count. `trailer` is the byte behind every payload, if any.
  CountedFramer(const FramingConfig& config, size_t max_frame,
                std::optional<char> trailer = std::nullopt);

 private:
  // Reads the header of the frame that `input`, which may be empty, begins with. Called again with
  // each look at an unfinished frame, so it takes constant time.
  virtual Header ParseHeader(std::string_view input) const = 0;

  FrameResult Overlong(const Header& header, size_t input_bytes, FramerState& state) const;
  FrameResult Skip(std::string_view input, FramerState& state) const;

  const size_t max_frame_;
  const std::optional<char> trailer_;
  const bool deliver_rest_;
  const bool skip_overlong_;
};

}  // namespace bsockd
