#include "tests/fuzz/framing_driver.h"

#include <fmt/format.h>
#include <sanitizer/asan_interface.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "lib/base/text.h"

namespace bsockd::testing {
namespace {

constexpr size_t kShownBytesMax = 200;

std::string Quoted(std::string_view bytes) {
  std::string text = "\"";
  AppendEscaped(bytes, kShownBytesMax, &text);
  return text + "\"";
}

// A connection's side of the Framer contract. The bytes of the stream lie in a buffer of which
// [start_, end_) have come and are not done with.
class Feeder {
 public:
  Feeder(const Framer& framer, const FramingCase& test, std::string* problem)
      : framer_(framer),
        test_(test),
        held_bytes_max_(HeldBytesMax(test.framing, test.max_frame)),
        buffer_(new char[test.stream.size() + 1]),
        problem_(problem) {
    std::copy(test.stream.begin(), test.stream.end(), buffer_.get());
    ASAN_POISON_MEMORY_REGION(buffer_.get(), test.stream.size() + 1);
    events_.reserve(16);
  }
  ~Feeder() { ASAN_UNPOISON_MEMORY_REGION(buffer_.get(), test_.stream.size() + 1); }
  Feeder(const Feeder&) = delete;
  Feeder& operator=(const Feeder&) = delete;

  // All three return false once nothing counts any more.
  bool BytesUpTo(size_t end) {
    ASAN_UNPOISON_MEMORY_REGION(buffer_.get() + end_, end - end_);
    end_ = end;
    while (start_ < end_ && !ended_) {
      const FrameResult result = framer_.Next(input(), state_);
      if (result.kind == FrameResult::Kind::kNeedMore) {
        if (state_.scanned > input().size()) Problem("scanned more than there is");
        if (input().size() > held_bytes_max_) Problem("too much of an unfinished frame is kept");
        break;
      }
      if (result.kind == FrameResult::Kind::kFrame && result.consumed <= known_) {
        Problem("a frame ended in bytes that had been looked at");
      }
      if (!Take(result)) break;
    }
    known_ = input().size();
    return !ended_;
  }

  bool Silence() {
    if (start_ == end_) return true;
    const FrameResult result = framer_.Rest(input(), state_, /*eof=*/false);
    if (result.kind == FrameResult::Kind::kNeedMore) {
      if (!DelimitersOf(test_.framing).empty()) Problem("Rest() wants more");
    } else {
      Take(result);
      if (!ended_ && start_ != end_) Problem("Rest() left something");
    }
    known_ = input().size();
    return !ended_;
  }

  void End() {
    if (start_ == end_) return;
    Take(framer_.Rest(input(), state_, /*eof=*/true));
    if (!ended_ && start_ != end_) Problem("Rest() left something");
  }

  // The payloads point into the stream of the case.
  std::vector<Event> Events() { return std::move(events_); }

 private:
  std::string_view input() const { return {buffer_.get() + start_, end_ - start_}; }

  void Problem(std::string_view what) {
    if (problem_->empty()) *problem_ = what;
    ended_ = true;
  }

  // Returns true if there may be more to find.
  bool Take(const FrameResult& result) {
    if (result.consumed > input().size()) {
      Problem("consumed more than there is");
      return false;
    }
    switch (result.kind) {
      case FrameResult::Kind::kNeedMore:
        Problem("wants more where no more will come");
        return false;
      case FrameResult::Kind::kError:
        events_.push_back({.error = result.error, .resumable = result.resumable});
        ended_ = !result.resumable;
        if (ended_) return false;
        break;
      case FrameResult::Kind::kFrame:
        TakePayload(result);
        [[fallthrough]];
      case FrameResult::Kind::kDiscard:
        if (result.consumed == 0) Problem("nothing consumed");
        break;
    }
    ASAN_POISON_MEMORY_REGION(buffer_.get() + start_, result.consumed);
    start_ += result.consumed;
    known_ -= std::min(known_, result.consumed);
    return !ended_;
  }

  void TakePayload(const FrameResult& result) {
    if (state_.scanned != 0 || state_.to_skip != 0 || state_.skipping) {
      Problem("the state is not fresh after a frame");
    }
    std::string_view payload;
    if (!result.payload.empty()) {
      const std::less_equal<const char*> at_most;
      const char* payload_end = result.payload.data() + result.payload.size();
      if (!at_most(input().data(), result.payload.data()) ||
          !at_most(payload_end, input().data() + result.consumed)) {
        return Problem("the payload is not within the bytes consumed");
      }
      const auto offset = static_cast<size_t>(result.payload.data() - buffer_.get());
      payload = std::string_view(test_.stream).substr(offset, result.payload.size());
    }
    events_.push_back({payload, result.ending});
  }

  const Framer& framer_;
  const FramingCase& test_;
  const size_t held_bytes_max_;
  const std::unique_ptr<char[]> buffer_;
  std::string* const problem_;
  FramerState state_;
  size_t start_ = 0;
  size_t end_ = 0;
  size_t known_ = 0;  // Of the input, that the framer has seen before.
  bool ended_ = false;
  std::vector<Event> events_;
};

std::string Written(const Framer& framer, const std::vector<Event>& frames, std::string* problem) {
  std::string out;
  for (const Event& frame : frames) {
    const size_t start = framer.BeginFrame(&out);
    out += frame.payload;
    if (!framer.EndFrame(start, frame.ending, &out).ok()) *problem = "EndFrame() failed";
  }
  return out;
}

// The frames as replies of the same endings can be read again; and but for what was left out, they
// are the stream again.
std::string CheckRoundTrip(const FramingCase& test, const Framer& framer,
                           const std::vector<Event>& events) {
  if (!FramesItsReplies(test.framing)) return "";
  std::vector<Event> frames = events;
  std::erase_if(frames, [](const Event& event) { return event.error.has_value(); });
  std::string problem;
  const std::string written = Written(framer, frames, &problem);
  bool right = true;
  const bool delimited = !DelimitersOf(test.framing).empty();
  if (!delimited) {
    const FramingCase again{test.framing, test.max_frame, written, {}};
    right = Feed(framer, again, {}, &problem) == frames;
  }
  // A varint may have been longer than it had to be.
  if (frames.size() == events.size() && test.framing.kind != FramingConfig::Kind::kVarint) {
    const bool complete = test.framing.eof == FramingConfig::AtEof::kDeliver;
    right &= test.stream.starts_with(written);
    right &= !complete || written.size() == test.stream.size();
  }
  if (!problem.empty() || right) return problem;
  return fmt::format("the frames written again are {}", Quoted(written));
}

// One case and its framer, with any number of ways to cut it.
class Checker {
 public:
  explicit Checker(const FramingCase& test)
      : test_(test), framer_(MakeFramer(test.framing, test.max_frame)), expected_(Expected(test)) {}

  std::string Check(const std::vector<size_t>& cuts) const {
    std::string problem;
    const std::vector<Event> got = Feed(*framer_, test_, cuts, &problem);
    if (problem.empty() && got != expected_) {
      problem = fmt::format("expected {}\n     got {}", Describe(expected_), Describe(got));
    }
    return Complete(std::move(problem), cuts);
  }

  std::string CheckWritten() const {
    return Complete(CheckRoundTrip(test_, *framer_, expected_), {});
  }

 private:
  std::string Complete(std::string problem, const std::vector<size_t>& cuts) const {
    if (problem.empty()) return problem;
    return fmt::format("{}\n{}", problem, Describe(test_, cuts));
  }

  const FramingCase& test_;
  const std::unique_ptr<const Framer> framer_;
  const std::vector<Event> expected_;
};

// SplitMix64, which is fast under sanitizers.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint8_t Byte() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return static_cast<uint8_t>(z >> 40);
  }

 private:
  uint64_t state_;
};

}  // namespace

std::vector<Event> Feed(const Framer& framer, const FramingCase& framing_case,
                        const std::vector<size_t>& cuts, std::string* problem) {
  Feeder feeder(framer, framing_case, problem);
  auto cut = cuts.begin();
  size_t at = 0;
  for (const size_t silence : framing_case.silences) {
    for (; cut != cuts.end() && *cut < silence; ++cut) {
      if (*cut > at && !feeder.BytesUpTo(at = *cut)) return feeder.Events();
    }
    if (silence > at && !feeder.BytesUpTo(at = silence)) return feeder.Events();
    if (!feeder.Silence()) return feeder.Events();
  }
  for (; cut != cuts.end() && *cut < framing_case.stream.size(); ++cut) {
    if (*cut > at && !feeder.BytesUpTo(at = *cut)) return feeder.Events();
  }
  if (feeder.BytesUpTo(framing_case.stream.size())) feeder.End();
  return feeder.Events();
}

std::string CheckEveryWayToCut(const FramingCase& framing_case) {
  const Checker checker(framing_case);
  if (std::string problem = checker.CheckWritten(); !problem.empty()) return problem;
  const size_t places = framing_case.stream.empty() ? 0 : framing_case.stream.size() - 1;
  for (uint64_t chosen = 0; chosen < uint64_t{1} << places; ++chosen) {
    std::vector<size_t> cuts;
    for (size_t i = 0; i < places; ++i) {
      if ((chosen >> i & 1) != 0) cuts.push_back(i + 1);
    }
    if (std::string problem = checker.Check(cuts); !problem.empty()) return problem;
  }
  return "";
}

std::string CheckEveryCut(const FramingCase& framing_case) {
  const Checker checker(framing_case);
  if (std::string problem = checker.CheckWritten(); !problem.empty()) return problem;
  if (std::string problem = checker.Check({}); !problem.empty()) return problem;
  std::vector<size_t> everywhere;
  for (size_t cut = 1; cut < framing_case.stream.size(); ++cut) {
    if (std::string problem = checker.Check({cut}); !problem.empty()) return problem;
    everywhere.push_back(cut);
  }
  return checker.Check(everywhere);
}

std::string CheckFraming(const FramingCase& framing_case, uint64_t seed, int rounds) {
  const Checker checker(framing_case);
  std::vector<size_t> cuts;
  if (std::string problem = checker.Check(cuts); !problem.empty()) return problem;
  if (std::string problem = checker.CheckWritten(); !problem.empty()) return problem;
  const size_t bytes = framing_case.stream.size();
  Random random(seed);
  for (int round = 0; round < rounds; ++round) {
    // From few cuts to many: each place is cut with a probability that is the round's own.
    const uint8_t chance = random.Byte() | 4;
    cuts.clear();
    for (size_t i = 1; i < bytes; ++i) {
      if (random.Byte() < chance) cuts.push_back(i);
    }
    if (std::string problem = checker.Check(cuts); !problem.empty()) return problem;
  }
  return "";
}

std::string Describe(const FramingCase& framing_case, const std::vector<size_t>& cuts) {
  const FramingConfig& framing = framing_case.framing;
  std::string text = fmt::format("kind {}", static_cast<int>(framing.kind));
  for (const std::string& delimiter : DelimitersOf(framing)) text += " " + Quoted(delimiter);
  if (framing.kind == FramingConfig::Kind::kLength) {
    text += fmt::format(" (width {}, {} endian, offset {}, adjust {}, strip {})",
                        framing.length.width, framing.length.little_endian ? "little" : "big",
                        framing.length.offset, framing.length.adjust, framing.length.strip);
  }
  if (framing.kind == FramingConfig::Kind::kFixed) {
    text += fmt::format(" ({} bytes)", framing.fixed_bytes);
  }
  text += fmt::format(", max_frame {}, eof {}, overlong {}, stream {}", framing_case.max_frame,
                      framing.eof == FramingConfig::AtEof::kDeliver ? "deliver" : "discard",
                      framing.overlong == FramingConfig::Overlong::kSkip ? "skip" : "close",
                      Quoted(framing_case.stream));
  for (const size_t silence : framing_case.silences) text += fmt::format(", silent at {}", silence);
  text += ", cut at";
  for (const size_t cut : cuts) text += fmt::format(" {}", cut);
  return text;
}

std::string Describe(const std::vector<Event>& events) {
  std::string text;
  for (const Event& event : events) {
    if (!event.error.has_value()) {
      text += Quoted(event.payload);
      text += event.ending == kUnterminated ? "(rest) " : fmt::format("({}) ", event.ending);
      continue;
    }
    switch (*event.error) {
      case FrameError::kOverlong:
        text += "overlong";
        break;
      case FrameError::kMalformed:
        text += "malformed";
        break;
      case FrameError::kTruncated:
        text += "truncated";
        break;
    }
    text += event.resumable ? "(resumable) " : " ";
  }
  return text + "end";
}

}  // namespace bsockd::testing
