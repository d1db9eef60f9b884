#include "tests/fuzz/framing_driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <random>

#include "lib/base/text.h"

namespace bsockd::testing {
namespace {

constexpr size_t kShownBytesMax = 200;

std::string Quoted(std::string_view bytes) {
  std::string text = "\"";
  AppendEscaped(bytes, kShownBytesMax, &text);
  return text + "\"";
}

size_t StreamBytes(const Stream& stream) {
  size_t bytes = 0;
  for (const std::string& part : stream.parts) bytes += part.size();
  return bytes;
}

// A connection's side of the Framer contract.
class Feeder {
 public:
  Feeder(const Framer& framer, std::string* problem) : framer_(framer), problem_(problem) {}

  // Each returns false once an error has come.
  bool Bytes(std::string_view piece) {
    buffer_ += piece;
    while (Look([this](std::string_view input) { return framer_.Next(input, state_); })) {
    }
    return !result_.error.has_value();
  }

  bool Silence(bool eof) {
    if (buffer_.empty()) return true;
    const size_t before = buffer_.size();
    Look([this, eof](std::string_view input) { return framer_.Rest(input, state_, eof); });
    if (!result_.error.has_value() && !buffer_.empty()) {
      Problem(fmt::format("Rest() left {} of {} bytes", buffer_.size(), before));
      return false;
    }
    return !result_.error.has_value();
  }

  Frames Take() { return std::move(result_); }

 private:
  void Problem(std::string_view what) {
    if (problem_->empty()) *problem_ = what;
  }

  // One call of the framer. Returns true if there may be more to find.
  bool Look(const std::function<FrameResult(std::string_view)>& call) {
    const auto copy = std::make_unique<char[]>(buffer_.size());
    std::copy(buffer_.begin(), buffer_.end(), copy.get());
    const std::string_view input(copy.get(), buffer_.size());
    const FrameResult found = call(input);
    switch (found.kind) {
      case FrameResult::Kind::kNeedMore:
        if (state_.scanned > input.size()) Problem("scanned more than there is");
        return false;
      case FrameResult::Kind::kError:
        result_.error = found.error;
        return false;
      case FrameResult::Kind::kFrame:
        CheckPayload(input, found);
        result_.frames.push_back({std::string(found.payload), found.ending});
        break;
      case FrameResult::Kind::kDiscard:
        break;
    }
    if (found.consumed == 0 || found.consumed > input.size()) {
      Problem(fmt::format("consumed {} of {} bytes", found.consumed, input.size()));
      return false;
    }
    if (state_.scanned != 0) Problem("the state is not fresh after a frame");
    buffer_.erase(0, found.consumed);
    return !buffer_.empty();
  }

  void CheckPayload(std::string_view input, const FrameResult& found) {
    if (found.payload.empty()) return;
    const std::less_equal<const char*> at_most;
    const char* end = input.data() + std::min(found.consumed, input.size());
    if (!at_most(input.data(), found.payload.data()) ||
        !at_most(found.payload.data() + found.payload.size(), end)) {
      Problem("the payload is not within the bytes consumed");
    }
  }

  const Framer& framer_;
  std::string* const problem_;
  FramerState state_;
  std::string buffer_;
  Frames result_;
};

// The frames as replies of the same endings: but for a discarded rest, they are the stream again.
std::string WrittenAgain(const Framer& framer, const std::vector<Frame>& frames,
                         std::string* problem) {
  std::string out;
  for (const Frame& frame : frames) {
    const size_t start = framer.BeginFrame(&out);
    out += frame.payload;
    if (!framer.EndFrame(start, frame.ending, &out).ok()) *problem = "EndFrame() failed";
  }
  return out;
}

std::string CheckRoundTrip(const FramingCase& framing_case, const Framer& framer,
                           const Frames& got) {
  std::string whole;
  for (const std::string& part : framing_case.stream.parts) whole += part;
  std::string problem;
  const std::string again = WrittenAgain(framer, got.frames, &problem);
  if (!problem.empty()) return problem;
  const bool complete =
      !got.error.has_value() && framing_case.framing.eof == FramingConfig::AtEof::kDeliver;
  if (whole.substr(0, again.size()) != again || (complete && again.size() != whole.size())) {
    return fmt::format("the frames written again are {}", Quoted(again));
  }
  return "";
}

}  // namespace

std::vector<std::string> DelimitersOf(const FramingConfig& framing) {
  if (framing.kind == FramingConfig::Kind::kLine) return {"\n", "\r\n"};
  return framing.delimiters;
}

Frames Feed(const Framer& framer, const Stream& stream, const std::vector<size_t>& cuts,
            std::string* problem) {
  Feeder feeder(framer, problem);
  size_t part_start = 0;
  auto cut = cuts.begin();
  for (size_t i = 0; i < stream.parts.size(); ++i) {
    const std::string_view part = stream.parts[i];
    size_t from = 0;
    while (from < part.size()) {
      while (cut != cuts.end() && *cut <= part_start + from) ++cut;
      const size_t to = cut == cuts.end() ? part.size() : std::min(*cut - part_start, part.size());
      if (!feeder.Bytes(part.substr(from, to - from))) return feeder.Take();
      from = to;
    }
    part_start += part.size();
    if (!feeder.Silence(i + 1 == stream.parts.size())) break;
  }
  return feeder.Take();
}

Frames Expected(const FramingCase& framing_case) {
  const std::vector<std::string> delimiters = DelimitersOf(framing_case.framing);
  size_t longest = 0;
  for (const std::string& delimiter : delimiters) longest = std::max(longest, delimiter.size());
  const bool deliver = framing_case.framing.eof == FramingConfig::AtEof::kDeliver;

  Frames expected;
  for (size_t part = 0; part < framing_case.stream.parts.size(); ++part) {
    std::string frame;
    for (const char byte : framing_case.stream.parts[part]) {
      frame.push_back(byte);
      size_t best_bytes = 0;
      size_t best = 0;
      for (size_t i = 0; i < delimiters.size(); ++i) {
        if (frame.ends_with(delimiters[i]) && delimiters[i].size() > best_bytes) {
          best_bytes = delimiters[i].size();
          best = i;
        }
      }
      if (best_bytes == 0) continue;
      frame.resize(frame.size() - best_bytes);
      if (frame.size() > framing_case.max_frame) {
        expected.error = FrameError::kOverlong;
        return expected;
      }
      expected.frames.push_back({frame, static_cast<FrameEnding>(best)});
      frame.clear();
    }
    if (frame.empty()) continue;
    const bool eof = part + 1 == framing_case.stream.parts.size();
    if (eof && !deliver) {
      // It is discarded, unless no delimiter could have made a frame of it any more.
      if (frame.size() >= framing_case.max_frame + longest) expected.error = FrameError::kOverlong;
    } else if (frame.size() > framing_case.max_frame) {
      expected.error = FrameError::kOverlong;
    } else {
      expected.frames.push_back({frame, kUnterminated});
    }
    if (expected.error.has_value()) return expected;
  }
  return expected;
}

std::string CheckCuts(const FramingCase& framing_case, const std::vector<size_t>& cuts) {
  const std::unique_ptr<const Framer> framer =
      MakeFramer(framing_case.framing, framing_case.max_frame);
  std::string problem;
  const Frames got = Feed(*framer, framing_case.stream, cuts, &problem);
  const Frames expected = Expected(framing_case);
  if (problem.empty() && got != expected) {
    problem = fmt::format("expected {}\n     got {}", Describe(expected), Describe(got));
  }
  if (problem.empty()) problem = CheckRoundTrip(framing_case, *framer, got);
  if (problem.empty()) return problem;
  return fmt::format("{}\n{}", problem, Describe(framing_case, cuts));
}

std::string CheckFraming(const FramingCase& framing_case, uint64_t seed, int rounds) {
  std::vector<size_t> cuts;
  if (std::string problem = CheckCuts(framing_case, cuts); !problem.empty()) return problem;
  const size_t bytes = StreamBytes(framing_case.stream);
  for (size_t i = 1; i < bytes; ++i) cuts.push_back(i);
  if (std::string problem = CheckCuts(framing_case, cuts); !problem.empty()) return problem;
  std::mt19937_64 random(seed);
  for (int round = 0; round < rounds; ++round) {
    // From few cuts to many: each place is cut with a probability that is the round's own.
    std::bernoulli_distribution here(std::uniform_real_distribution<double>(0.02, 0.9)(random));
    cuts.clear();
    for (size_t i = 1; i < bytes; ++i) {
      if (here(random)) cuts.push_back(i);
    }
    if (std::string problem = CheckCuts(framing_case, cuts); !problem.empty()) return problem;
  }
  return "";
}

std::string Describe(const FramingCase& framing_case, const std::vector<size_t>& cuts) {
  std::string text = "delimiters";
  for (const std::string& delimiter : DelimitersOf(framing_case.framing)) {
    text += " " + Quoted(delimiter);
  }
  text += fmt::format(
      ", max_frame {}, eof {}, parts", framing_case.max_frame,
      framing_case.framing.eof == FramingConfig::AtEof::kDeliver ? "deliver" : "discard");
  for (const std::string& part : framing_case.stream.parts) text += " " + Quoted(part);
  text += ", cut at";
  for (const size_t cut : cuts) text += fmt::format(" {}", cut);
  return text;
}

std::string Describe(const Frames& frames) {
  std::string text;
  for (const Frame& frame : frames.frames) {
    text += Quoted(frame.payload);
    text += frame.ending == kUnterminated ? "(rest) " : fmt::format("({}) ", frame.ending);
  }
  if (!frames.error.has_value()) return text + "end";
  return text + (*frames.error == FrameError::kOverlong ? "overlong" : "malformed");
}

}  // namespace bsockd::testing
