#include "lib/framing/length_framer.h"

#include <endian.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "lib/base/text.h"

namespace bsockd {
namespace {

// No frame has so many bytes; and lengths in Netty and in many a protocol are signed.
constexpr uint64_t kNumberEnd = uint64_t{1} << 63;

template <typename T>
T Load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// The last payload that a number of `width` bytes can count.
uint64_t NumberMax(int width) {
  return width == 8 ? kNumberEnd - 1 : (uint64_t{1} << (8 * width)) - 1;
}

}  // namespace

LengthFramer::LengthFramer(const FramingConfig& config, size_t max_frame)
    : CountedFramer(config, max_frame),
      width_(config.length.width),
      little_endian_(config.length.little_endian),
      in_replies_(config.length.in_replies),
      offset_(config.length.offset),
      header_bytes_(config.length.offset + static_cast<size_t>(width_)),
      strip_(config.length.strip),
      added_(header_bytes_ + static_cast<uint64_t>(config.length.adjust)),
      payload_bytes_max_(in_replies_ ? NumberMax(width_) : std::numeric_limits<size_t>::max()) {
  const auto frame_bytes_min = static_cast<int64_t>(std::max(header_bytes_, strip_));
  const auto number_min = frame_bytes_min - static_cast<int64_t>(added_);
  if (number_min > 0) number_min_ = static_cast<uint64_t>(number_min);
}

uint64_t LengthFramer::ReadNumber(const char* at) const {
  switch (width_) {
    case 1:
      return Load<uint8_t>(at);
    case 2:
      return little_endian_ ? le16toh(Load<uint16_t>(at)) : be16toh(Load<uint16_t>(at));
    case 3: {
      const uint32_t first = Load<uint8_t>(at);
      const uint32_t middle = Load<uint8_t>(at + 1);
      const uint32_t last = Load<uint8_t>(at + 2);
      return little_endian_ ? last << 16 | middle << 8 | first : first << 16 | middle << 8 | last;
    }
    case 4:
      return little_endian_ ? le32toh(Load<uint32_t>(at)) : be32toh(Load<uint32_t>(at));
    default:
      return little_endian_ ? le64toh(Load<uint64_t>(at)) : be64toh(Load<uint64_t>(at));
  }
}

CountedFramer::Header LengthFramer::ParseHeader(std::string_view input) const {
  if (input.size() < header_bytes_) return {.kind = Header::Kind::kUnfinished};
  const uint64_t number = ReadNumber(input.data() + offset_);
  if (number >= kNumberEnd || number < number_min_) return {.kind = Header::Kind::kMalformed};
  return {.kind = Header::Kind::kWhole,
          .payload_start = strip_,
          .payload_bytes = number + added_ - strip_};
}

size_t LengthFramer::BeginFrame(std::string* out) const {
  const size_t start = out->size();
  if (in_replies_) out->append(static_cast<size_t>(width_), '\0');
  return start;
}

absl::Status LengthFramer::EndFrame(size_t start, FrameEnding /*ending*/, std::string* out) const {
  if (!in_replies_) return absl::OkStatus();
  const uint64_t payload_bytes = out->size() - start - static_cast<size_t>(width_);
  if (payload_bytes > payload_bytes_max_) {
    return absl::OutOfRangeError(
        ToAbsl(fmt::format("{} bytes are too many for a length of {} byte{} (at most {})",
                           payload_bytes, width_, width_ == 1 ? "" : "s", payload_bytes_max_)));
  }
  for (int i = 0; i < width_; ++i) {
    const int place = little_endian_ ? i : width_ - 1 - i;
    (*out)[start + static_cast<size_t>(i)] = static_cast<char>(payload_bytes >> (8 * place));
  }
  return absl::OkStatus();
}

}  // namespace bsockd
