#include "lib/server/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/base/text.h"

namespace bsockd {
namespace {

// How long a peer may take to end its side after the last reply is sent: without sending anything,
// and altogether.
constexpr Duration kLingerIdleTimeout = std::chrono::seconds(2);
constexpr Duration kLingerTimeout = std::chrono::seconds(10);
constexpr Duration kDrainLingerTimeout = std::chrono::milliseconds(500);

// The first piece of new input that is joined to an unfinished frame. Pieces double, so that a
// short rest of a frame does not cost copying everything behind it.
constexpr size_t kJoinBytesMin = 256;

}  // namespace

void Connection::Open(Turn& turn) { Push(turn, Op::Kind::kReceive); }

void Connection::Refuse(Turn& turn, std::string_view code, std::string_view text) {
  Push(turn, Op::Kind::kReceive);
  Fail(turn, code, text);
}

void Connection::OnReceived(Turn& turn, int result, std::string_view bytes) {
  if (state_ == State::kDetaching) return;
  if (result < 0) {  // ECONNRESET and its like: nobody is there to be answered.
    Detach(turn);
    return;
  }
  if (result == 0) {
    input_ended_ = true;
    if (state_ == State::kLingering) {
      Detach(turn);
    } else {
      AfterInput(turn);
    }
    return;
  }
  if (state_ == State::kLingering) {
    turn.timers.Arm(&timer_, std::min(linger_end_, turn.now + kLingerIdleTimeout));
  }
  if (state_ != State::kOpen) return;  // Dropped; see "Lingering".

  const bool came_after_drain = draining_ && drain_bytes_left_ == 0;
  const uint64_t requests_before = requests_;
  drain_bytes_left_ -= std::min(drain_bytes_left_, bytes.size());
  TakeInput(turn, bytes);
  // What the drain had to wait for is complete; a frame that has only begun since is not waited
  // for.
  if (came_after_drain && requests_ > requests_before && takes_input()) DropInput(turn);
  AfterInput(turn);
}

void Connection::TakeInput(Turn& turn, std::string_view bytes) {
  turn.timers.Cancel(&timer_);
  if (paused_) {
    KeepInput(turn, bytes);
    return;
  }
  if (!input_.empty()) JoinInput(turn, &bytes);
  // From here on frames are handled where they lie, without being copied.
  if (takes_input()) bytes.remove_prefix(HandleFrames(turn, bytes));
  if (state_ == State::kOpen) KeepInput(turn, bytes);
}

// Completes the one unfinished frame of `input_` with the start of `*bytes`, and removes what it
// took from `*bytes`; all of it, if the frame is still unfinished.
void Connection::JoinInput(Turn& turn, std::string_view* bytes) {
  while (!input_.empty() && !bytes->empty()) {
    const size_t kept = input_.size();
    const size_t joined = std::min(bytes->size(), std::max(kJoinBytesMin, kept));
    input_.append(bytes->substr(0, joined));
    const size_t handled = HandleFrame(turn, input_);
    if (state_ != State::kOpen) return;
    if (handled == 0) {
      bytes->remove_prefix(joined);
    } else {
      bytes->remove_prefix(handled - kept);  // The frame was unfinished: it ends in what is new.
      DropInput(turn);
    }
  }
}

// What had to wait for room in the output.
void Connection::HandleKeptInput(Turn& turn) { DropHandledInput(turn, HandleFrames(turn, input_)); }

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
  return HandleResult(turn, listener_->framer->Next(bytes, framer_state_));
}

size_t Connection::HandleResult(Turn& turn, const FrameResult& result) {
  switch (result.kind) {
    case FrameResult::Kind::kNeedMore:
    case FrameResult::Kind::kDiscard:
      break;
    case FrameResult::Kind::kFrame:
      Answer(turn, result);
      break;
    case FrameResult::Kind::kError:
      if (result.error == FrameError::kOverlong) {
        Fail(turn, "overlong",
             fmt::format("a request has at most {} bytes here", listener_->limits.max_frame.value));
      } else {
        Fail(turn, "malformed", "these bytes are no frame of this listener's framing");
      }
      break;
  }
  return result.consumed;
}

// After input was handled or ended: whether to wait for more, for silence, or to finish.
void Connection::AfterInput(Turn& turn) {
  if (takes_input()) {
    if (input_ended_) {
      if (!input_.empty()) HandleRest(turn, /*eof=*/true);
      if (takes_input()) state_ = State::kFinishing;
    } else if (draining_ && drain_bytes_left_ == 0 && input_.empty()) {
      state_ = State::kFinishing;
    } else if (!input_.empty() && listener_->flush_after.has_value()) {
      turn.timers.Arm(&timer_, turn.now + *listener_->flush_after);
    }
  }
  FinishIfDone(turn);
}

// `input_` is an unterminated message that is complete all the same.
void Connection::HandleRest(Turn& turn, bool eof) {
  DropHandledInput(turn, HandleResult(turn, listener_->framer->Rest(input_, framer_state_, eof)));
}

// After a failure FinishIfDone() drops all of it.
void Connection::DropHandledInput(Turn& turn, size_t handled) {
  if (state_ != State::kOpen) return;
  input_.erase(0, handled);
  if (input_.empty()) DropInput(turn);
}

void Connection::Answer(Turn& turn, const FrameResult& frame) {
  std::string& output = Output(turn);
  const Framer& framer = *listener_->framer;
  const size_t start = framer.BeginFrame(&output);
  Reply reply(&output);
  absl::Status status =
      listener_->handler->Handle({.payload = frame.payload, .listener = listener_->name}, reply);
  if (status.ok()) status = framer.EndFrame(start, frame.ending, &output);
  last_ending_ = frame.ending;
  ++requests_;
  if (!status.ok()) {
    output.resize(start);
    AppendError(turn, frame.ending, "failed", MessageOf(status));
  }
  PauseIfFull(turn);
}

void Connection::AppendError(Turn& turn, FrameEnding ending, std::string_view code,
                             std::string_view text) {
  std::string& output = Output(turn);
  const Framer& framer = *listener_->framer;
  const size_t start = framer.BeginFrame(&output);
  output.append("ERR ").append(code).append(" ").append(text);
  if (!framer.EndFrame(start, ending, &output).ok()) output.resize(start);
}

// The stream is of no use from here on: says why, and finishes.
void Connection::Fail(Turn& turn, std::string_view code, std::string_view text) {
  const FrameEnding ending = requests_ > 0 ? last_ending_ : listener_->framer->canonical_ending();
  AppendError(turn, ending, code, text);
  state_ = State::kFinishing;
}

void Connection::KeepInput(Turn& turn, std::string_view bytes) {
  if (bytes.empty()) return;
  if (input_.empty()) input_ = turn.buffers.Take();
  input_.append(bytes);
}

void Connection::DropInput(Turn& turn) { turn.buffers.Give(&input_); }

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
    sent_ = 0;
    SendRest(turn);
  } else if (!sending_in_flight_) {
    turn.buffers.Give(&output_);  // All the replies were empty, and so was their framing.
  }
  FinishIfDone(turn);
}

void Connection::SendRest(Turn& turn) {
  sending_in_flight_ = true;
  Push(turn, Op::Kind::kSend, std::string_view(sending_).substr(sent_));
}

void Connection::OnSent(Turn& turn, int result) {
  if (state_ == State::kDetaching) return;
  if (result < 0) {  // EPIPE, ECONNRESET: the peer is gone.
    sending_in_flight_ = false;
    Detach(turn);
    return;
  }
  sent_ += static_cast<size_t>(result);
  if (sent_ < sending_.size()) {
    SendRest(turn);
  } else {
    sending_in_flight_ = false;
    sent_ = 0;
    turn.buffers.Give(&sending_);
    if (!output_.empty()) Output(turn);  // To be flushed at the end of this turn.
  }
  ResumeIfRoom(turn);
  FinishIfDone(turn);
}

void Connection::PauseIfFull(Turn& turn) {
  if (paused_ || output_bytes() < listener_->limits.output_high.value) return;
  paused_ = true;
  if (!input_ended_) Push(turn, Op::Kind::kPause);
}

void Connection::ResumeIfRoom(Turn& turn) {
  if (!paused_ || output_bytes() > listener_->limits.output_low) return;
  paused_ = false;
  HandleKeptInput(turn);  // May pause again, or fail, and lingering has to receive too.
  if (!paused_ && !input_ended_) Push(turn, Op::Kind::kReceive);
  AfterInput(turn);
}

void Connection::OnTimer(Turn& turn) {
  if (state_ == State::kLingering) {
    Detach(turn);
  } else if (takes_input() && !input_.empty()) {
    HandleRest(turn, /*eof=*/false);
    AfterInput(turn);
  }
}

void Connection::BeginDrain(Turn& turn) {
  draining_ = true;
  if (state_ == State::kLingering) {
    linger_end_ = std::min(linger_end_, turn.now + kDrainLingerTimeout);
    turn.timers.Arm(&timer_, linger_end_);
  }
  if (state_ != State::kOpen) return;
  drain_bytes_left_ = turn.io->UnreadBytes(fd_.get());
  AfterInput(turn);
}

void Connection::Cut(Turn& turn) {
  if (state_ != State::kDetaching) Detach(turn);
}

void Connection::FinishIfDone(Turn& turn) {
  if (state_ != State::kFinishing || sending_in_flight_ || !output_.empty()) return;
  DropInput(turn);
  if (input_ended_) {
    Detach(turn);
    return;
  }
  state_ = State::kLingering;
  Push(turn, Op::Kind::kShutdownWrite);
  linger_end_ = turn.now + (draining_ ? kDrainLingerTimeout : kLingerTimeout);
  turn.timers.Arm(&timer_, std::min(linger_end_, turn.now + kLingerIdleTimeout));
}

void Connection::Detach(Turn& turn) {
  state_ = State::kDetaching;
  turn.timers.Cancel(&timer_);
  Push(turn, Op::Kind::kDetach);
}

void Connection::Push(Turn& turn, Op::Kind kind, std::string_view data) {
  turn.ops.push_back({.kind = kind, .slot = id_.slot, .fd = fd_.get(), .data = data});
}

}  // namespace bsockd
