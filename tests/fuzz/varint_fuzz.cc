// `varint`: one piece against any pieces, against the definition, and written again.
//
// The input: options, max_frame and seed (framing_fuzz.h); the rest is the stream.

#include "tests/fuzz/framing_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bsockd;  // NOLINT: one function.
  testing::FuzzInput input(data, size);
  testing::FuzzedFraming fuzzed(FramingConfig::Kind::kVarint, &input);
  fuzzed.test.stream = input.Bytes(testing::kStreamBytesTried);
  fuzzed.Check();
  return 0;
}
