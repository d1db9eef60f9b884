#include "lib/framing/varint_framer.h"

#include <fmt/format.h>

#include <limits>

#include "lib/base/text.h"

namespace bsockd {
namespace {

constexpr size_t kVarintBytesMax = 5;
constexpr uint64_t kPayloadBytesMax = std::numeric_limits<uint32_t>::max();
constexpr uint8_t kMoreFollow = 0x80;

}  // namespace

CountedFramer::Header VarintFramer::ParseHeader(std::string_view input) const {
  uint64_t number = 0;
  for (size_t i = 0; i < kVarintBytesMax; ++i) {
    if (i == input.size()) return {.kind = Header::Kind::kUnfinished};
    const auto byte = static_cast<uint8_t>(input[i]);
    number |= static_cast<uint64_t>(byte & ~kMoreFollow) << (7 * i);
    if ((byte & kMoreFollow) != 0) continue;
    if (number > kPayloadBytesMax) break;
    return {.kind = Header::Kind::kWhole, .payload_start = i + 1, .payload_bytes = number};
  }
  return {.kind = Header::Kind::kMalformed};
}

absl::Status VarintFramer::EndFrame(size_t start, FrameEnding /*ending*/, std::string* out) const {
  const size_t payload_bytes = out->size() - start;
  if (payload_bytes > kPayloadBytesMax) {
    return absl::OutOfRangeError(
        ToAbsl(fmt::format("{} bytes are too many for a varint of {} bytes (at most {})",
                           payload_bytes, kVarintBytesMax, kPayloadBytesMax)));
  }
  char header[kVarintBytesMax];
  size_t header_bytes = 0;
  size_t rest = payload_bytes;
  for (; rest >= kMoreFollow; rest >>= 7) {
    header[header_bytes++] = static_cast<char>(rest | kMoreFollow);
  }
  header[header_bytes++] = static_cast<char>(rest);
  out->insert(start, header, header_bytes);
  return absl::OkStatus();
}

size_t VarintFramer::payload_bytes_max() const { return kPayloadBytesMax; }

}  // namespace bsockd
