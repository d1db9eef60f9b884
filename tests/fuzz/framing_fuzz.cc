// Framing: one piece against any pieces, against the definition, and raw.
//
// The input, so that seeds can be written by hand: options (bit 0: line, else delimiters; bit 1:
// discard at eof), max_frame, seed of the cuts, number of delimiters N; N times a length and as
// many bytes; the rest is the stream, in which FF stands for a silence.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/fuzz/framing_driver.h"

namespace bsockd::testing {
namespace {

constexpr size_t kDelimitersTried = 4;
constexpr size_t kDelimiterBytesTried = 8;
constexpr size_t kStreamBytesTried = 128;
constexpr int kRounds = 2;

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte;
  }

  std::string Bytes(size_t count) {
    std::string taken(bytes_.substr(0, count));
    bytes_.remove_prefix(taken.size());
    return taken;
  }

  bool empty() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

[[noreturn]] void Fail(std::string_view what) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

void CheckRaw(const std::string& bytes, size_t max_frame) {
  FramingConfig config;
  config.kind = FramingConfig::Kind::kRaw;
  const auto framer = MakeFramer(config, max_frame);
  std::string problem;
  const Frames got = Feed(*framer, {{bytes}}, {bytes.size() / 3, bytes.size() / 2}, &problem);
  std::string together;
  for (const Frame& frame : got.frames) {
    if (frame.payload.empty() || frame.payload.size() > max_frame) problem = "raw: frame size";
    together += frame.payload;
  }
  if (together != bytes || got.error.has_value()) problem = "raw: bytes lost";
  if (!problem.empty()) Fail(problem);
}

void Run(std::string_view input) {
  Reader reader(input);
  FramingCase test;
  const uint8_t options = reader.Byte();
  test.framing.kind =
      (options & 1) != 0 ? FramingConfig::Kind::kLine : FramingConfig::Kind::kDelimiter;
  test.framing.eof =
      (options & 2) != 0 ? FramingConfig::AtEof::kDiscard : FramingConfig::AtEof::kDeliver;
  test.max_frame = reader.Byte();
  const uint64_t seed = reader.Byte();
  const size_t delimiters = reader.Byte() % (kDelimitersTried + 1);
  for (size_t i = 0; i < delimiters; ++i) {
    std::string delimiter = reader.Bytes(1 + reader.Byte() % kDelimiterBytesTried);
    bool usable = !delimiter.empty();
    for (const std::string& other : test.framing.delimiters) usable &= other != delimiter;
    if (usable) test.framing.delimiters.push_back(std::move(delimiter));
  }
  if (test.framing.delimiters.empty()) test.framing.delimiters.emplace_back("@@");

  test.stream.parts.emplace_back();
  std::string whole;
  while (!reader.empty() && whole.size() < kStreamBytesTried) {
    const uint8_t byte = reader.Byte();
    whole.push_back(static_cast<char>(byte));
    if (byte == 0xFF) {
      test.stream.parts.emplace_back();
    } else {
      test.stream.parts.back().push_back(static_cast<char>(byte));
    }
  }
  if (const std::string problem = CheckFraming(test, seed, kRounds); !problem.empty()) {
    Fail(problem);
  }
  CheckRaw(whole, test.max_frame + 1);
}

}  // namespace
}  // namespace bsockd::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bsockd::testing::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
