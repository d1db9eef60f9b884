// Frames that end with a delimiter: `line` and `delimiter` of docs/configuration.md.
//
// A frame ends where the first delimiter is complete; of several that end at the same byte, the
// longest counts. Hence no look-ahead is needed, and a delimiter that the network cuts in two is
// found all the same. `line` is the delimiters LF and CRLF.
//
// While the rest of an overlong frame is skipped, what may be the beginning of a delimiter is kept,
// and never less than a byte, so that a silence ends that frame as it ends any other (Rest).
#pragma once

#include <array>
#include <string>
#include <vector>

#include "lib/framing/framer.h"

namespace bsockd {

class DelimiterFramer final : public Framer {
 public:
  // `delimiters`: not empty, each not empty; a FrameEnding is an index into it, and the first one
  // ends a reply to no particular request. Of `config`, `eof` and `overlong` count.
  DelimiterFramer(std::vector<std::string> delimiters, const FramingConfig& config,
                  size_t max_frame);

  FrameResult Next(std::string_view input, FramerState& state) const override;
  FrameResult Rest(std::string_view input, FramerState& state, bool eof) const override;
  size_t BeginFrame(std::string* out) const override;
  absl::Status EndFrame(size_t start, FrameEnding ending, std::string* out) const override;
  FrameEnding canonical_ending() const override { return 0; }

 private:
  // The index of the first byte from `from` on that is the last byte of some delimiter, or npos.
  size_t FindLastByte(std::string_view input, size_t from) const;
  // The longest delimiter that ends with the byte at `last`, or kUnterminated.
  FrameEnding Match(std::string_view input, size_t last) const;
  FrameResult Ended(std::string_view input, size_t last, FrameEnding ending,
                    FramerState& state) const;
  FrameResult Overlong(size_t consumed) const;

  const std::vector<std::string> delimiters_;
  std::vector<FrameEnding> longest_first_;
  std::array<bool, 256> ends_a_delimiter_{};
  int only_last_byte_ = -1;  // The byte that all delimiters end with, if they do.
  size_t delimiter_bytes_max_ = 0;
  const bool deliver_rest_;
  const bool skip_overlong_;
  const size_t max_frame_;
};

}  // namespace bsockd
