#include "lib/framing/netstring_framer.h"

#include <fmt/format.h>

#include <limits>

#include "lib/base/text.h"

namespace bsockd {
namespace {

constexpr size_t kDigitsMax = std::numeric_limits<int64_t>::digits10;  // 18.
constexpr size_t kPayloadBytesMax = 999'999'999'999'999'999;           // As many nines.

}  // namespace

CountedFramer::Header NetstringFramer::ParseHeader(std::string_view input) const {
  uint64_t number = 0;
  for (size_t i = 0; i < input.size(); ++i) {
    const char byte = input[i];
    if (byte == ':' && i > 0) {
      return {.kind = Header::Kind::kWhole, .payload_start = i + 1, .payload_bytes = number};
    }
    const bool after_zero = i == 1 && input[0] == '0';
    if (byte < '0' || byte > '9' || after_zero) return {.kind = Header::Kind::kMalformed};
    if (i == kDigitsMax) return {.kind = Header::Kind::kBeyondNumbers};
    number = number * 10 + static_cast<uint64_t>(byte - '0');
  }
  return {.kind = Header::Kind::kUnfinished};
}

absl::Status NetstringFramer::EndFrame(size_t start, FrameEnding /*ending*/,
                                       std::string* out) const {
  // How many digits there will be is not known before, so the payload makes room for them.
  fmt::format_int digits(out->size() - start);
  if (digits.size() > kDigitsMax) {
    return absl::OutOfRangeError(ToAbsl(fmt::format(
        "{} bytes are too many for a netstring (at most {})", digits.str(), kPayloadBytesMax)));
  }
  out->insert(start, digits.c_str(), digits.size() + 1);  // The NUL makes room for the colon.
  (*out)[start + digits.size()] = ':';
  out->push_back(',');
  return absl::OkStatus();
}

size_t NetstringFramer::payload_bytes_max() const { return kPayloadBytesMax; }

}  // namespace bsockd
