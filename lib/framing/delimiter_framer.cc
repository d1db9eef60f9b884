#include "lib/framing/delimiter_framer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace bsockd {
namespace {

FrameResult Overlong() {
  FrameResult result;
  result.kind = FrameResult::Kind::kError;
  result.error = FrameError::kOverlong;
  return result;
}

}  // namespace

DelimiterFramer::DelimiterFramer(std::vector<std::string> delimiters, FrameEnding canonical,
                                 bool deliver_rest, size_t max_frame)
    : delimiters_(std::move(delimiters)),
      canonical_(canonical),
      deliver_rest_(deliver_rest),
      max_frame_(max_frame) {
  only_last_byte_ = static_cast<unsigned char>(delimiters_.front().back());
  for (size_t i = 0; i < delimiters_.size(); ++i) {
    const auto last = static_cast<unsigned char>(delimiters_[i].back());
    ends_a_delimiter_[last] = true;
    if (last != only_last_byte_) only_last_byte_ = -1;
    delimiter_bytes_max_ = std::max(delimiter_bytes_max_, delimiters_[i].size());
    longest_first_.push_back(static_cast<FrameEnding>(i));
  }
  std::stable_sort(longest_first_.begin(), longest_first_.end(), [this](auto a, auto b) {
    return delimiters_[a].size() > delimiters_[b].size();
  });
}

size_t DelimiterFramer::FindLastByte(std::string_view input, size_t from) const {
  if (only_last_byte_ >= 0) {
    const void* found = std::memchr(input.data() + from, only_last_byte_, input.size() - from);
    if (found == nullptr) return std::string_view::npos;
    return static_cast<size_t>(static_cast<const char*>(found) - input.data());
  }
  for (size_t i = from; i < input.size(); ++i) {
    if (ends_a_delimiter_[static_cast<unsigned char>(input[i])]) return i;
  }
  return std::string_view::npos;
}

FrameEnding DelimiterFramer::Match(std::string_view input, size_t last) const {
  for (const FrameEnding i : longest_first_) {
    const std::string& delimiter = delimiters_[i];
    if (delimiter.size() > last + 1) continue;
    const char* start = input.data() + last + 1 - delimiter.size();
    if (std::memcmp(start, delimiter.data(), delimiter.size()) == 0) return i;
  }
  return kUnterminated;
}

FrameResult DelimiterFramer::Next(std::string_view input, FramerState& state) const {
  size_t last = input.size() > state.scanned ? FindLastByte(input, state.scanned) : input.npos;
  while (last != input.npos) {
    if (const FrameEnding ending = Match(input, last); ending != kUnterminated) {
      const size_t payload_bytes = last + 1 - delimiters_[ending].size();
      if (payload_bytes > max_frame_) return Overlong();
      state = FramerState();
      FrameResult result;
      result.kind = FrameResult::Kind::kFrame;
      result.ending = ending;
      result.consumed = last + 1;
      result.payload = input.substr(0, payload_bytes);
      return result;
    }
    if (last + 1 == input.size()) break;
    last = FindLastByte(input, last + 1);
  }
  // Even if the longest delimiter has come but for its last byte, the payload is too long.
  if (input.size() >= delimiter_bytes_max_ && input.size() - delimiter_bytes_max_ >= max_frame_) {
    return Overlong();
  }
  state.scanned = input.size();
  return FrameResult();
}

FrameResult DelimiterFramer::Rest(std::string_view input, FramerState& state, bool eof) const {
  FrameResult result;
  if (eof && !deliver_rest_) {
    result.kind = FrameResult::Kind::kDiscard;
  } else if (input.size() > max_frame_) {
    return Overlong();
  } else {
    result.kind = FrameResult::Kind::kFrame;
    result.payload = input;
  }
  result.consumed = input.size();
  state = FramerState();
  return result;
}

size_t DelimiterFramer::BeginFrame(std::string* out) const { return out->size(); }

absl::Status DelimiterFramer::EndFrame(size_t /*start*/, FrameEnding ending,
                                       std::string* out) const {
  if (ending != kUnterminated) out->append(delimiters_[ending]);
  return absl::OkStatus();
}

}  // namespace bsockd
