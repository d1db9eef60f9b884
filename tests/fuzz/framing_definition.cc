#include "tests/fuzz/framing_definition.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace bsockd::testing {
namespace {

using Kind = FramingConfig::Kind;
__extension__ using Wide = __int128;  // Where no length overflows.

constexpr Wide kLengthEnd = Wide{1} << 63;
constexpr size_t kNetstringDigitsMax = 18;
constexpr size_t kVarintBytesMax = 5;

Event Error(FrameError error, bool resumable = false) {
  return {.error = error, .resumable = resumable};
}

bool Skips(const FramingCase& test) {
  return test.framing.overlong == FramingConfig::Overlong::kSkip;
}

bool Delivers(const FramingCase& test) {
  return test.framing.eof == FramingConfig::AtEof::kDeliver;
}

// `line` and `delimiter`. The text after the last ending is a frame as well if it ends with a
// silence, or with the end of input and that is to be delivered.
class DelimitedStream {
 public:
  explicit DelimitedStream(const FramingCase& test)
      : test_(test), delimiters_(DelimitersOf(test.framing)) {}

  std::vector<Event> Read() {
    const std::string_view stream = test_.stream;
    auto silence = test_.silences.begin();
    for (size_t i = 0; i <= stream.size() && !failed_; ++i) {
      for (; silence != test_.silences.end() && *silence == i && !failed_; ++silence) {
        if (start_ < i) Take(stream.substr(start_, i - start_), kUnterminated);
        start_ = i;
      }
      if (i < stream.size() && !failed_) ReadByte(i);
    }
    if (start_ < stream.size() && !failed_) ReadRest(stream.substr(start_));
    return std::move(events_);
  }

 private:
  void ReadByte(size_t i) {
    const std::string_view text = std::string_view(test_.stream).substr(start_, i + 1 - start_);
    size_t best = delimiters_.size();
    for (size_t d = 0; d < delimiters_.size(); ++d) {
      if (!text.ends_with(delimiters_[d])) continue;
      if (best == delimiters_.size() || delimiters_[d].size() > delimiters_[best].size()) best = d;
    }
    if (best == delimiters_.size()) return;
    Take(text.substr(0, text.size() - delimiters_[best].size()), static_cast<FrameEnding>(best));
    start_ = i + 1;
  }

  void ReadRest(std::string_view rest) {
    if (Delivers(test_)) return Take(rest, kUnterminated);
    // Discarded, unless no delimiter could have made a frame of it any more.
    size_t longest = 0;
    for (const std::string& delimiter : delimiters_) longest = std::max(longest, delimiter.size());
    if (rest.size() >= test_.max_frame + longest) Take(rest, kUnterminated);
  }

  void Take(std::string_view payload, FrameEnding ending) {
    if (payload.size() <= test_.max_frame) {
      events_.push_back({payload, ending});
    } else {
      events_.push_back(Error(FrameError::kOverlong, Skips(test_)));
      failed_ = !Skips(test_);
    }
  }

  const FramingCase& test_;
  const std::vector<std::string> delimiters_;
  std::vector<Event> events_;
  size_t start_ = 0;
  bool failed_ = false;
};

// What the beginning of some bytes says about the frame that they begin with.
struct Header {
  enum class Kind { kWhole, kUnfinished, kMalformed, kTooManyDigits } kind = Kind::kUnfinished;
  Wide payload_start = 0;
  Wide payload_bytes = 0;
};

Header LengthHeader(const LengthFieldConfig& length, std::string_view bytes) {
  if (bytes.size() < length.offset + length.width) return {};
  Wide number = 0;
  for (int i = 0; i < length.width; ++i) {
    const int place = length.little_endian ? length.width - 1 - i : i;
    number = number * 256 + static_cast<unsigned char>(bytes[length.offset + place]);
  }
  const Wide header_bytes = static_cast<Wide>(length.offset) + length.width;
  const Wide frame_bytes = header_bytes + number + length.adjust;
  const auto strip = static_cast<Wide>(length.strip);
  if (number >= kLengthEnd || frame_bytes < header_bytes || frame_bytes < strip) {
    return {.kind = Header::Kind::kMalformed};
  }
  return {Header::Kind::kWhole, strip, frame_bytes - strip};
}

Header NetstringHeader(std::string_view bytes) {
  const size_t end = std::min(bytes.find_first_not_of("0123456789"), bytes.size());
  const std::string_view digits = bytes.substr(0, end);
  if (digits.size() > 1 && digits[0] == '0') return {.kind = Header::Kind::kMalformed};
  if (digits.size() > kNetstringDigitsMax) return {.kind = Header::Kind::kTooManyDigits};
  if (end == bytes.size()) return {};
  if (digits.empty() || bytes[end] != ':') return {.kind = Header::Kind::kMalformed};
  Wide number = 0;
  for (const char digit : digits) number = number * 10 + (digit - '0');
  return {Header::Kind::kWhole, static_cast<Wide>(end) + 1, number};
}

Header VarintHeader(std::string_view bytes) {
  Wide number = 0;
  Wide worth = 1;
  for (size_t i = 0; i < bytes.size() && i < kVarintBytesMax; ++i, worth *= 128) {
    const int byte = static_cast<unsigned char>(bytes[i]);
    number += byte % 128 * worth;
    if (byte >= 128) continue;
    if (number > 0xFFFFFFFF) break;
    return {Header::Kind::kWhole, static_cast<Wide>(i) + 1, number};
  }
  if (bytes.size() >= kVarintBytesMax) return {.kind = Header::Kind::kMalformed};
  return {};
}

Header ReadHeader(const FramingConfig& framing, std::string_view bytes) {
  if (framing.kind == Kind::kLength) return LengthHeader(framing.length, bytes);
  if (framing.kind == Kind::kNetstring) return NetstringHeader(bytes);
  if (framing.kind == Kind::kVarint) return VarintHeader(bytes);
  return {Header::Kind::kWhole, 0, static_cast<Wide>(framing.fixed_bytes)};
}

std::vector<Event> ReadCounted(const FramingCase& test) {
  const Wide trailer = test.framing.kind == Kind::kNetstring ? 1 : 0;
  std::vector<Event> events;
  std::string_view rest = test.stream;
  while (!rest.empty()) {
    const Header header = ReadHeader(test.framing, rest);
    const Wide payload_end = header.payload_start + header.payload_bytes;
    const auto there = static_cast<Wide>(rest.size());
    bool ended = false;
    if (header.kind == Header::Kind::kMalformed) {
      events.push_back(Error(FrameError::kMalformed));
      ended = true;
    } else if (header.kind == Header::Kind::kTooManyDigits) {
      events.push_back(Error(FrameError::kOverlong));
      ended = true;
    } else if (header.kind == Header::Kind::kUnfinished) {
      if (Delivers(test)) events.push_back(Error(FrameError::kTruncated));
      ended = true;
    } else if (header.payload_bytes > static_cast<Wide>(test.max_frame)) {
      events.push_back(Error(FrameError::kOverlong, Skips(test)));
      ended = !Skips(test) || there < payload_end + trailer;
      // What ends in a comma is looked at even when it is skipped.
    } else if (there < payload_end + trailer) {
      if (Delivers(test)) events.push_back(Error(FrameError::kTruncated));
      ended = true;
    } else {
      const auto start = static_cast<size_t>(header.payload_start);
      const auto bytes = static_cast<size_t>(header.payload_bytes);
      if (trailer == 0 || rest[start + bytes] == ',') {
        events.push_back({rest.substr(start, bytes), /*ending=*/0});
      }
    }
    if (ended) break;
    if (trailer != 0 && rest[static_cast<size_t>(payload_end)] != ',') {
      events.push_back(Error(FrameError::kMalformed));
      break;
    }
    rest.remove_prefix(static_cast<size_t>(payload_end + trailer));
  }
  return events;
}

}  // namespace

FramingCase MakeCase(FramingConfig framing, size_t max_frame,
                     const std::vector<std::string>& parts) {
  FramingCase test{std::move(framing), max_frame, {}, {}};
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) test.silences.push_back(test.stream.size());
    test.stream += parts[i];
  }
  return test;
}

std::vector<Event> Expected(const FramingCase& framing_case) {
  if (DelimitersOf(framing_case.framing).empty()) return ReadCounted(framing_case);
  return DelimitedStream(framing_case).Read();
}

std::vector<std::string> DelimitersOf(const FramingConfig& framing) {
  if (framing.kind == Kind::kLine) return {"\n", "\r\n"};
  if (framing.kind == Kind::kDelimiter) return framing.delimiters;
  return {};
}

bool FramesItsReplies(const FramingConfig& framing) {
  if (framing.kind == Kind::kLength) {
    return framing.length.in_replies && framing.length.offset == 0 && framing.length.adjust == 0 &&
           framing.length.strip == static_cast<size_t>(framing.length.width);
  }
  return framing.kind != Kind::kFixed && framing.kind != Kind::kRaw;
}

size_t HeldBytesMax(const FramingConfig& framing, size_t max_frame) {
  size_t header_bytes = 0;
  for (const std::string& delimiter : DelimitersOf(framing)) {
    header_bytes = std::max(header_bytes, delimiter.size());
  }
  if (framing.kind == Kind::kLength) {
    header_bytes = std::max(framing.length.offset + framing.length.width, framing.length.strip);
  }
  if (framing.kind == Kind::kNetstring) header_bytes = kNetstringDigitsMax + 2;
  if (framing.kind == Kind::kVarint) header_bytes = kVarintBytesMax;
  return max_frame + std::min(header_bytes, std::numeric_limits<size_t>::max() - max_frame);
}

}  // namespace bsockd::testing
