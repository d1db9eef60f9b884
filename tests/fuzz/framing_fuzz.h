// What the fuzz targets of the framings have in common. Their inputs begin alike: options (bit 1:
// discard at eof; bit 2: skip what is overlong; the others are the target's own), max_frame, seed
// of the cuts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/fuzz/framing_driver.h"
#include "tests/fuzz/fuzz_input.h"

namespace bsockd::testing {

inline constexpr size_t kStreamBytesTried = 128;

struct FuzzedFraming {
  FramingCase test;
  uint8_t options = 0;
  uint64_t seed = 0;

  FuzzedFraming(FramingConfig::Kind kind, FuzzInput* input) : options(input->Byte()) {
    test.framing.kind = kind;
    if ((options & 2) != 0) test.framing.eof = FramingConfig::AtEof::kDiscard;
    if ((options & 4) != 0) test.framing.overlong = FramingConfig::Overlong::kSkip;
    test.max_frame = input->Byte();
    seed = input->Byte();
  }

  void Check() const { FailIfAny(CheckFraming(test, seed, /*rounds=*/1)); }
};

}  // namespace bsockd::testing
