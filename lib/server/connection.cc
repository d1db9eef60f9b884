#include "lib/server/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/base/text.h"

namespace bsockd {
namespace {

// The first piece of new input that is joined to an unfinished frame. Pieces double, so that a
// short rest of a frame does not cost copying everything behind it.
constexpr size_t kJoinBytesMin = 256;
// Input of so many bytes is kept in a buffer of the pool.
constexpr size_t kPooledInputBytesMin = 4096;
// Requests of one connection in one turn; the other connections come next.
constexpr uint32_t kTurnRequestsMax = 256;
// A send that has not completed within this part of the write timeout is watched from then on.
constexpr int kFirstLookDivisor = 4;

}  // namespace

void Connection::Open(Turn& turn) { Settle(turn); }

void Connection::Refuse(Turn& turn, std::string_view code, std::string_view text) {
  refused_ = true;
  hurried_ = true;
  Fail(turn, code, text);
  FinishIfDone(turn);
  Settle(turn);
}

void Connection::OnReceived(Turn& turn, int result, std::string_view bytes) {
  if (state_ == State::kDetaching) return;
  if (result < 0) {  // ECONNRESET and its like: nobody is there to be answered.
    Count(turn, Counter::kCutReset);
    Detach(turn);
    return;
  }
  if (result == 0) {
    input_ended_ = true;
    receiving_ = false;
    if (state_ == State::kLingering) {
      Detach(turn);
    } else {
      AfterInput(turn);
    }
    return;
  }
  if (state_ == State::kLingering) LingerOn(turn);
  if (state_ != State::kOpen) return;  // Dropped; see "Lingering".
  TakeInput(turn, bytes);
  AfterInput(turn);
}

void Connection::TakeInput(Turn& turn, std::string_view bytes) {
  heard_ = true;
  flush_at_ = MonotonicTime::max();
  if (takes_input() && !input_.empty()) JoinInput(turn, &bytes);
  // From here on frames are handled where they lie, without being copied.
  if (takes_input() && input_.empty()) bytes.remove_prefix(HandleFrames(turn, bytes));
  if (state_ == State::kOpen) KeepInput(turn, bytes);
}

// Completes the one unfinished frame of `input_` with the start of `*bytes`, and removes what it
// took from `*bytes`; all of it, if the frame is still unfinished.
void Connection::JoinInput(Turn& turn, std::string_view* bytes) {
  input_.erase(0, input_start_);
  input_start_ = 0;
  while (takes_input() && !bytes->empty()) {
    size_t kept = input_.size();
    const size_t joined = std::min(bytes->size(), std::max(kJoinBytesMin, kept));
    input_.append(bytes->substr(0, joined));
    size_t handled = HandleFrame(turn, input_);
    // What is dropped of an overlong frame may end before what is new.
    while (handled > 0 && handled < kept) {
      input_.erase(0, handled);
      kept -= handled;
      handled = takes_input() ? HandleFrame(turn, input_) : 0;
    }
    if (handled >= kept) {
      bytes->remove_prefix(handled - kept);
      DropInput(turn);
      return;
    }
    bytes->remove_prefix(joined);
  }
}

// What had to wait.
void Connection::HandleKeptInput(Turn& turn) {
  DropHandledInput(turn, HandleFrames(turn, kept_input()));
}

size_t Connection::HandleFrames(Turn& turn, std::string_view bytes) {
  size_t handled = 0;
  while (takes_input() && handled < bytes.size()) {
    const size_t consumed = HandleFrame(turn, bytes.substr(handled));
    if (consumed == 0) break;
    handled += consumed;
  }
  return handled;
}

size_t Connection::HandleFrame(Turn& turn, std::string_view bytes) {
  const FrameResult result = listener_->framer->Next(bytes, framer_state_);
  size_t consumed = HandleResult(turn, result);
  if (result.kind == FrameResult::Kind::kError && takes_input()) {
    // The frame is overlong and to be skipped: as much of it as has come.
    bytes.remove_prefix(consumed);
    if (!bytes.empty()) {
      consumed += HandleResult(turn, listener_->framer->Next(bytes, framer_state_));
    }
  }
  return consumed;
}

size_t Connection::HandleResult(Turn& turn, const FrameResult& result) {
  switch (result.kind) {
    case FrameResult::Kind::kNeedMore:
      return 0;
    case FrameResult::Kind::kDiscard:
      EndOfFrameIfSkipped();
      break;
    case FrameResult::Kind::kFrame:
      wait_ = Wait::kNothing;
      Answer(turn, result);
      break;
    case FrameResult::Kind::kError:
      OnFrameError(turn, result);
      if (result.resumable) EndOfFrameIfSkipped();
      break;
  }
  if (draining_ && result.consumed > 0) {
    // What begins after everything that the drain had to wait for is not taken any more.
    drain_bytes_left_ -= std::min(drain_bytes_left_, result.consumed);
    if (drain_bytes_left_ == 0 && state_ == State::kOpen) state_ = State::kFinishing;
  }
  return result.consumed;
}

// An overlong frame may have come to its end.
void Connection::EndOfFrameIfSkipped() {
  if (framer_state_.skipping || framer_state_.to_skip > 0) return;
  wait_ = Wait::kNothing;
  overlong_told_ = false;
}

void Connection::OnFrameError(Turn& turn, const FrameResult& result) {
  switch (result.error) {
    case FrameError::kOverlong: {
      const std::string text =
          fmt::format("a request has at most {} bytes here", listener_->limits.max_frame.value);
      Count(turn, result.resumable ? Counter::kShedMaxFrame : Counter::kCutMaxFrame);
      overlong_told_ = true;
      if (result.resumable && !MayAsk(turn)) return Shed(turn, ErrorEnding());
      if (!result.resumable || !listener_->reply_errors) return Fail(turn, "overlong", text);
      AppendError(turn, ErrorEnding(), "overlong", text);
      CountRequest(turn, ErrorEnding());
      return;
    }
    case FrameError::kMalformed:
      Count(turn, Counter::kCutMalformed);
      return Fail(turn, "malformed", "these bytes are no frame of this listener's framing");
    case FrameError::kTruncated:
      Count(turn, Counter::kCutTruncated);
      return Fail(turn, "malformed", "the input ended inside a frame");
  }
}

// After input was handled or ended: whether to wait for more, for silence, or to finish.
void Connection::AfterInput(Turn& turn) {
  if (takes_input()) {
    if (input_ended_) {
      if (amid_frame()) HandleRest(turn, /*eof=*/true);
      if (takes_input()) state_ = State::kFinishing;
    } else if (amid_frame() && listener_->flush_after.has_value()) {
      flush_at_ = turn.now + *listener_->flush_after;
    }
  }
  FinishIfDone(turn);
  Settle(turn);
}

// `input_` is an unterminated message that is complete all the same.
void Connection::HandleRest(Turn& turn, bool eof) {
  if (input_.empty()) {  // The end of an overlong message, of which nothing was kept.
    framer_state_ = FramerState();
    return EndOfFrameIfSkipped();
  }
  const FrameResult result = listener_->framer->Rest(kept_input(), framer_state_, eof);
  DropHandledInput(turn, HandleResult(turn, result));
}

// After a failure FinishIfDone() drops all of it.
void Connection::DropHandledInput(Turn& turn, size_t handled) {
  if (state_ != State::kOpen) return;
  input_start_ += handled;
  if (input_start_ == input_.size()) {
    DropInput(turn);
  } else if (input_start_ > input_.size() / 2) {  // So that no byte is moved often.
    input_.erase(0, input_start_);
    input_start_ = 0;
  }
}

void Connection::Answer(Turn& turn, const FrameResult& frame) {
  const LimitsConfig& limits = listener_->limits;
  if (frame.payload.size() > limits.max_frame.value) Count(turn, Counter::kShedMaxFrame, false);
  if (!MayAsk(turn)) return Shed(turn, frame.ending);

  std::string& output = Output(turn);
  const Framer& framer = listener_->reply_framer();
  const FrameEnding ending = listener_->own_reply_framer ? framer.canonical_ending() : frame.ending;
  const size_t start = framer.BeginFrame(&output);
  Reply reply(&output);
  absl::Status status =
      listener_->handler->Handle({.payload = frame.payload, .listener = listener_->name}, reply);
  if (status.ok()) status = framer.EndFrame(start, ending, &output);
  Count(turn, Counter::kRequests);
  if (!status.ok()) {
    output.resize(start);
    Count(turn, Counter::kFailed);
    if (!listener_->reply_errors) return Fail(turn, "failed", "");
    AppendError(turn, ending, "failed", MessageOf(status));
  }
  CountRequest(turn, frame.ending);
}

// Whether the client's address has a request left.
bool Connection::MayAsk(Turn& turn) {
  if (!listener_->request_rate || !peer_) return true;
  if (peer_->requests.Take(turn.now, *listener_->request_rate)) return true;
  const bool enforced = listener_->limits.requests_per_second.enforce;
  Count(turn, Counter::kShedRequestsPerSecond, enforced);
  return !enforced;
}

// Instead of a request's reply.
void Connection::Shed(Turn& turn, FrameEnding ending) {
  const std::string text = fmt::format("a client may ask {} times a second here",
                                       listener_->limits.requests_per_second.value);
  if (!listener_->reply_errors) return Fail(turn, "busy", text);
  AppendError(turn, ending, "busy", text);
  CountRequest(turn, ending);
}

// One more request has its reply in the output: whether the next has to wait.
void Connection::CountRequest(Turn& turn, FrameEnding ending) {
  const LimitsConfig& limits = listener_->limits;
  last_ending_ = ending;
  ++requests_;
  if (turn_number_ != turn.number) {
    turn_number_ = turn.number;
    turn_requests_ = 0;
  }
  ++turn_requests_;
  const size_t turn_output_bytes = output_.size() - output_before_turn_;
  if (turn_requests_ == kTurnRequestsMax || turn_output_bytes >= turn.reply_bytes_max) {
    holds_ |= kHeldForTurn;
    turn.again.push_back(id_.slot);
  }
  ++output_requests_;
  const int64_t unanswered = int64_t{output_requests_} + sending_requests_;
  if (unanswered >= limits.max_pipeline.value) {
    if (limits.max_pipeline.enforce) holds_ |= kHeldForPipeline;
    if (unanswered == limits.max_pipeline.value) {
      Count(turn, Counter::kHeldPipeline, limits.max_pipeline.enforce);
    }
  }
  // With what has been sent of a send in flight, and with the room that its buffer has grown by in
  // vain: that takes memory until all of it is sent.
  const size_t sending_bytes = std::min(sending_.capacity(), 2 * sending_.size());
  if (output_.size() + sending_bytes >= limits.output_high.value && !output_is_high_) {
    output_is_high_ = true;
    if (limits.output_high.enforce) {
      holds_ |= kHeldForOutput;
      output_.shrink_to_fit();
    }
    Count(turn, Counter::kHeldOutput, limits.output_high.enforce);
  }
  if (held_for_memory() && output_bytes() >= kScarceReplyBytesMax) holds_ |= kHeldForOutput;
  // A reload may have lowered it below what there were already. 0 is off.
  const auto requests_max = static_cast<uint64_t>(limits.max_requests.value);
  if (requests_max > 0 && requests_ >= requests_max) {
    const bool enforced = limits.max_requests.enforce;
    if (enforced) state_ = State::kFinishing;
    if (enforced || requests_ == requests_max) Count(turn, Counter::kCutMaxRequests, enforced);
  }
}

FrameEnding Connection::ErrorEnding() const {
  const bool like_last = requests_ > 0 && !listener_->own_reply_framer;
  return like_last ? last_ending_ : listener_->reply_framer().canonical_ending();
}

void Connection::AppendError(Turn& turn, FrameEnding ending, std::string_view code,
                             std::string_view text) {
  if (listener_->own_reply_framer) ending = listener_->reply_framer().canonical_ending();
  AppendErrorFrame(listener_->reply_framer(), ending, code, text, &Output(turn));
}

// The connection is of no use from here on: says why, and finishes.
void Connection::Fail(Turn& turn, std::string_view code, std::string_view text) {
  if (listener_->reply_errors) AppendError(turn, ErrorEnding(), code, text);
  state_ = State::kFinishing;
}

void Connection::KeepInput(Turn& turn, std::string_view bytes) {
  if (bytes.empty()) return;
  // A large buffer of the pool is not for a few bytes that may stay for long, nor where memory is
  // short.
  const bool pooled = bytes.size() >= kPooledInputBytesMin && !held_for_memory();
  if (input_.empty() && pooled) input_ = turn.buffers.Take();
  input_.append(bytes);
}

void Connection::DropInput(Turn& turn) {
  turn.buffers.Give(&input_);
  input_start_ = 0;
}

std::string& Connection::Output(Turn& turn) {
  if (output_.empty()) output_ = turn.buffers.Take();
  if (!listed_unsent_) {
    listed_unsent_ = true;
    turn.unsent.push_back(id_.slot);
  }
  return output_;
}

void Connection::Flush(Turn& turn) {
  listed_unsent_ = false;
  if (state_ == State::kDetaching) return;
  if (!sending_in_flight_ && !output_.empty()) {
    sending_.swap(output_);
    sending_requests_ = std::exchange(output_requests_, 0);
    sent_ = 0;
    SendRest(turn);
  } else if (!sending_in_flight_) {  // All the replies were empty, and so was their framing.
    turn.buffers.Give(&output_);
    output_requests_ = 0;
    if (Release(kHeldForPipeline) && (holds_ & kHeldForTurn) == 0) {
      holds_ |= kHeldForTurn;
      turn.again.push_back(id_.slot);
    }
  }
  output_before_turn_ = output_.size();
  FinishIfDone(turn);
  Settle(turn);
}

void Connection::SendRest(Turn& turn) {
  sending_in_flight_ = true;
  unsent_before_ = 0;
  write_until_ = turn.now + listener_->timeouts.write.value / kFirstLookDivisor;
  Push(turn, Op::Kind::kSend, std::string_view(sending_).substr(sent_));
}

void Connection::OnSent(Turn& turn, int result) {
  if (state_ == State::kDetaching) return;
  sending_in_flight_ = false;
  write_until_ = MonotonicTime::max();
  if (result < 0) {  // EPIPE, ECONNRESET: the peer is gone.
    Count(turn, Counter::kCutReset);
    Detach(turn);
    return;
  }
  sent_ += static_cast<size_t>(result);
  if (sent_ < sending_.size()) {
    SendRest(turn);
  } else {
    sent_ = 0;
    sending_requests_ = 0;
    turn.buffers.Give(&sending_);
    if (!output_.empty()) Output(turn);  // To be flushed at the end of this turn.
  }
  const LimitsConfig& limits = listener_->limits;
  Holds over = 0;
  const size_t scarce = held_for_memory() ? kScarceReplyBytesMax / 2 : limits.output_low;
  if (output_bytes() <= std::min(scarce, limits.output_low)) {
    output_is_high_ = false;
    over |= kHeldForOutput;
  }
  if (int64_t{output_requests_} + sending_requests_ < limits.max_pipeline.value) {
    over |= kHeldForPipeline;
  }
  if (Release(over)) return Resume(turn);
  FinishIfDone(turn);
  Settle(turn);
}

void Connection::Push(Turn& turn, Op::Kind kind, std::string_view data) {
  turn.ops.push_back({.kind = kind, .slot = id_.slot, .fd = fd_.get(), .data = data});
}

}  // namespace bsockd
