// `length` and `packet`: one piece against any pieces, against the definition, and written again.
//
// The input, so that seeds can be written by hand: the options (bit 0: a preset, which has neither
// offset nor adjust, strips its length and has it in replies; bit 3: little endian), max_frame and
// seed (framing_fuzz.h), width (modulo 5: 1, 2, 3, 4 or 8), offset (modulo 32), adjust (two bytes,
// the high one first, signed), strip (modulo 64); the rest is the stream.

#include <array>

#include "tests/fuzz/framing_fuzz.h"

namespace bsockd::testing {
namespace {

constexpr std::array<int, 5> kWidths = {1, 2, 3, 4, 8};
constexpr size_t kOffsetsTried = 32;
constexpr size_t kStripsTried = 64;
constexpr uint8_t kPresetBit = 1;
constexpr uint8_t kLittleEndianBit = 8;

void Run(FuzzInput input) {
  FuzzedFraming fuzzed(FramingConfig::Kind::kLength, &input);
  LengthFieldConfig& length = fuzzed.test.framing.length;
  length.width = kWidths[input.Byte() % kWidths.size()];
  length.little_endian = (fuzzed.options & kLittleEndianBit) != 0;
  length.offset = input.Byte() % kOffsetsTried;
  const uint8_t high = input.Byte();
  length.adjust = static_cast<int16_t>(high << 8 | input.Byte());
  length.strip = input.Byte() % kStripsTried;
  if ((fuzzed.options & kPresetBit) != 0) {
    length.offset = 0;
    length.adjust = 0;
    length.strip = static_cast<size_t>(length.width);
    length.in_replies = true;
  }
  fuzzed.test.stream = input.Bytes(kStreamBytesTried);
  fuzzed.Check();
}

}  // namespace
}  // namespace bsockd::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bsockd::testing::Run({data, size});
  return 0;
}
