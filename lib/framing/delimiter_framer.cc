#include "lib/framing/delimiter_framer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace bsockd {
DelimiterFramer::DelimiterFramer(std::vector<std::string> delimiters, const FramingConfig& config,
                                 size_t max_frame)
    : delimiters_(std::move(delimiters)),
      deliver_rest_(config.eof == FramingConfig::AtEof::kDeliver),
      skip_overlong_(config.overlong == FramingConfig::Overlong::kSkip),
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
    const FrameEnding ending = Match(input, last);
    if (ending != kUnterminated) return Ended(input, last, ending, state);
    if (last + 1 == input.size()) break;
    last = FindLastByte(input, last + 1);
  }
  state.scanned = input.size();
  // Even if the longest delimiter has come but for its last byte, the payload is too long.
  const bool too_long =
      input.size() >= delimiter_bytes_max_ && input.size() - delimiter_bytes_max_ >= max_frame_;
  if (!state.skipping && !too_long) return FrameResult();
  if (!state.skipping && !skip_overlong_) return Overlong(0);

  FrameResult result;
  if (state.skipping) {
    result.kind = FrameResult::Kind::kDiscard;
  } else {
    result = Overlong(0);
    state.skipping = true;
  }
  state.scanned = std::min(input.size(), std::max<size_t>(delimiter_bytes_max_ - 1, 1));
  result.consumed = input.size() - state.scanned;
  const bool nothing_new = result.kind == FrameResult::Kind::kDiscard && result.consumed == 0;
  return nothing_new ? FrameResult() : result;
}

// The delimiter `ending` ends with the byte at `last`.
FrameResult DelimiterFramer::Ended(std::string_view input, size_t last, FrameEnding ending,
                                   FramerState& state) const {
  const bool skipped = state.skipping;
  state = FramerState();
  FrameResult result;
  result.consumed = last + 1;
  if (skipped) {
    result.kind = FrameResult::Kind::kDiscard;
    return result;
  }
  const size_t payload_bytes = last + 1 - delimiters_[ending].size();
  if (payload_bytes > max_frame_) return Overlong(last + 1);
  result.kind = FrameResult::Kind::kFrame;
  result.ending = ending;
  result.payload = input.substr(0, payload_bytes);
  return result;
}

FrameResult DelimiterFramer::Overlong(size_t consumed) const {
  FrameResult result;
  result.kind = FrameResult::Kind::kError;
  result.error = FrameError::kOverlong;
  result.resumable = skip_overlong_;
  result.consumed = skip_overlong_ ? consumed : 0;
  return result;
}

FrameResult DelimiterFramer::Rest(std::string_view input, FramerState& state, bool eof) const {
  FrameResult result;
  if (state.skipping || (eof && !deliver_rest_)) {
    result.kind = FrameResult::Kind::kDiscard;
  } else if (input.size() > max_frame_) {
    result = Overlong(input.size());
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
