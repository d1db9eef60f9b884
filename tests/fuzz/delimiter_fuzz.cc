// `line`, `delimiter` and `raw`: one piece against any pieces, against the definition.
//
// The input, so that seeds can be written by hand: the options, of which bit 0 is `line`, max_frame
// and seed (framing_fuzz.h), number of delimiters N; N times a length and as many bytes; the rest
// is the stream, in which FF stands for a silence.

#include <memory>
#include <string>
#include <utility>

#include "tests/fuzz/framing_fuzz.h"

namespace bsockd::testing {
namespace {

constexpr size_t kDelimitersTried = 4;
constexpr size_t kDelimiterBytesTried = 8;
constexpr uint8_t kLineBit = 1;
constexpr char kSilence = '\xFF';

void ReadDelimiters(FuzzInput* input, std::vector<std::string>* delimiters) {
  const size_t count = input->Byte() % (kDelimitersTried + 1);
  for (size_t i = 0; i < count; ++i) {
    std::string delimiter(input->Bytes(1 + input->Byte() % kDelimiterBytesTried));
    bool usable = !delimiter.empty();
    for (const std::string& other : *delimiters) usable &= other != delimiter;
    if (usable) delimiters->push_back(std::move(delimiter));
  }
  if (delimiters->empty()) delimiters->emplace_back("@@");
}

// Whatever the cuts, raw gives all bytes, in requests of at most max_frame.
void CheckRaw(const std::string& bytes, size_t max_frame) {
  FramingConfig config;
  config.kind = FramingConfig::Kind::kRaw;
  const auto framer = MakeFramer(config, max_frame);
  std::string problem;
  std::string together;
  const FramingCase test{config, max_frame, bytes, {}};
  for (const Event& event : Feed(*framer, test, {bytes.size() / 3, bytes.size() / 2}, &problem)) {
    if (event.payload.empty() || event.payload.size() > max_frame) problem = "raw: frame size";
    together += event.payload;
  }
  if (together != bytes) problem = "raw: bytes lost";
  FailIfAny(problem);
}

void Run(FuzzInput input) {
  FuzzedFraming fuzzed(FramingConfig::Kind::kDelimiter, &input);
  FramingCase& test = fuzzed.test;
  if ((fuzzed.options & kLineBit) != 0) test.framing.kind = FramingConfig::Kind::kLine;
  ReadDelimiters(&input, &test.framing.delimiters);
  const std::string whole(input.Bytes(kStreamBytesTried));
  for (const char byte : whole) {
    if (byte == kSilence) {
      test.silences.push_back(test.stream.size());
    } else {
      test.stream.push_back(byte);
    }
  }
  fuzzed.Check();
  CheckRaw(whole, test.max_frame + 1);
}

}  // namespace
}  // namespace bsockd::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bsockd::testing::Run({data, size});
  return 0;
}
