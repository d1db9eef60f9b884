// `fixed`: one piece against any pieces, and against the definition.
//
// The input: options, max_frame and seed (framing_fuzz.h), bytes of a frame less one; the rest is
// the stream.

#include "tests/fuzz/framing_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bsockd;  // NOLINT: one function.
  testing::FuzzInput input(data, size);
  testing::FuzzedFraming fuzzed(FramingConfig::Kind::kFixed, &input);
  fuzzed.test.framing.fixed_bytes = size_t{1} + input.Byte();
  fuzzed.test.stream = input.Bytes(testing::kStreamBytesTried);
  fuzzed.Check();
  return 0;
}
