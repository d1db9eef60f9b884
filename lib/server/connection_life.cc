// What holds a connection, what it waits for, and how it ends.

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "lib/base/text.h"
#include "lib/net/address.h"
#include "lib/net/ip.h"
#include "lib/server/connection.h"

namespace bsockd {
namespace {

// How long a peer may take to end its side after the last reply is sent: without sending anything,
// and altogether. One that was too slow already, or that a drain waits for, has less.
constexpr Duration kLingerIdleTimeout = std::chrono::seconds(2);
constexpr Duration kLingerTimeout = std::chrono::seconds(10);
constexpr Duration kShortLingerTimeout = std::chrono::milliseconds(500);

// Input kept for a connection that is held for a moment only, before receiving stops.
constexpr size_t kKeptInputBytesMax = size_t{64} * 1024;

constexpr size_t kPeerNameBytesMax = 200;

constexpr size_t kOwnStringBytes = 15;  // Up to here a std::string has no buffer.

size_t BufferBytes(const std::string& buffer) {
  return buffer.capacity() > kOwnStringBytes ? buffer.capacity() : 0;
}

}  // namespace

void Connection::Continue(Turn& turn) {
  if (Release(kHeldForTurn)) Resume(turn);
}

void Connection::HoldForMemory(Turn& turn, bool enforced) {
  Count(turn, Counter::kHeldMemory, enforced);
  if (enforced) {
    holds_ |= kHeldForMemory;
    if (output_bytes() >= kScarceReplyBytesMax) holds_ |= kHeldForOutput;
    input_.erase(0, std::exchange(input_start_, 0));
    input_.shrink_to_fit();
    output_.shrink_to_fit();
  }
  Settle(turn);
}

void Connection::ReleaseForMemory(Turn& turn) {
  if (!Release(kHeldForMemory)) return;
  if (output_bytes() <= listener_->limits.output_low && Release(kHeldForOutput)) {
    output_is_high_ = false;
    return Resume(turn);
  }
  Settle(turn);
}

bool Connection::Release(Holds holds) {
  if ((holds_ & holds) == 0) return false;
  holds_ &= static_cast<Holds>(~holds);
  return true;
}

void Connection::Resume(Turn& turn) {
  if (takes_input()) HandleKeptInput(turn);
  AfterInput(turn);
}

void Connection::OnTimer(Turn& turn) {
  if (turn.now >= write_until_) {
    OnNoProgress(turn);
  } else if (turn.now >= flush_at_) {
    flush_at_ = MonotonicTime::max();
    if (takes_input() && amid_frame()) HandleRest(turn, /*eof=*/false);
    return AfterInput(turn);
  } else if (turn.now >= wait_until_) {
    OnWaitedTooLong(turn);
  }
  FinishIfDone(turn);
  Settle(turn);
}

// No send has completed for a while. Sends complete late when the kernel's own buffer is large;
// that it holds as much as it did a whole timeout ago is what tells that the peer does not read.
void Connection::OnNoProgress(Turn& turn) {
  const Limit<Duration>& limit = listener_->timeouts.write;
  const size_t unsent = turn.io->UnsentBytes(fd_.get());
  if (unsent_before_ == 0 || unsent < unsent_before_) {
    unsent_before_ = std::max<size_t>(unsent, 1);
    write_until_ = turn.now + limit.value;
    return;
  }
  Count(turn, Counter::kCutWrite, limit.enforce);
  write_until_ = MonotonicTime::max();
  if (limit.enforce) Detach(turn, Op::Kind::kAbort);
}

void Connection::OnWaitedTooLong(Turn& turn) {
  wait_until_ = MonotonicTime::max();
  const TimeoutsConfig& timeouts = listener_->timeouts;
  switch (wait_) {
    case Wait::kNothing:
      return;
    case Wait::kLinger:
      return OnLingeredTooLong(turn);
    case Wait::kFirstByte:
      Count(turn, Counter::kCutFirstByte, timeouts.first_byte.enforce);
      if (!timeouts.first_byte.enforce) return;
      state_ = State::kFinishing;
      break;
    case Wait::kIdle:
      Count(turn, Counter::kCutIdle, timeouts.idle.enforce);
      if (!timeouts.idle.enforce) return;
      state_ = State::kFinishing;
      break;
    case Wait::kFrame:
      Count(turn, held_for_memory() ? Counter::kShedMemory : Counter::kCutFrame,
            timeouts.frame.enforce);
      if (!timeouts.frame.enforce) return;
      if (overlong_told_) {
        state_ = State::kFinishing;
      } else if (held_for_memory()) {
        Fail(turn, "busy", "the server is short of memory");
      } else {
        Fail(turn, "timeout", "the request did not come to its end in time");
      }
      break;
  }
  hurried_ = true;
}

// Closed now, replies that its client has not taken would be lost with the first byte that it still
// sends. A drain cuts it when its time is over; otherwise it is the write timeout that says when.
void Connection::OnLingeredTooLong(Turn& turn) {
  const Limit<Duration>& write = listener_->timeouts.write;
  const bool untaken = UntakenBytes(turn) > 0;
  if (untaken && (draining_ || turn.now < lingers_since_ + write.value)) {
    wait_until_ = turn.now + kShortLingerTimeout;
    return;
  }
  if (untaken) Count(turn, Counter::kCutWrite);
  Detach(turn);
}

void Connection::BeginDrain(Turn& turn) {
  draining_ = true;
  if (state_ == State::kLingering) {
    linger_end_ = std::min(linger_end_, turn.now + kShortLingerTimeout);
    wait_until_ = std::min(wait_until_, linger_end_);
  }
  if (state_ == State::kOpen) {
    drain_bytes_left_ = kept_input().size() + turn.io->UnreadBytes(fd_.get());
    if (drain_bytes_left_ == 0) state_ = State::kFinishing;
  }
  FinishIfDone(turn);
  Settle(turn);
}

void Connection::MoveTo(const std::shared_ptr<const Listener>& listener, MonotonicTime now) {
  if (!listener_->FramesLike(*listener)) return;
  const bool same_peers = listener_->peers == listener->peers;
  listener_ = listener;
  if (same_peers || refused_) return;
  // A limit for its address holds now, or none any more.
  if (peer_) peer_->connections.fetch_sub(1, std::memory_order_relaxed);
  peer_ = nullptr;
  if (!listener_->peers) return;
  const absl::StatusOr<SocketAddress> address = PeerAddress(fd_.get());
  if (!address.ok()) return;
  if (const std::optional<IpAddress> ip = IpAddress::From(*address)) {
    peer_ = listener_->peers->Find(*ip, now);
    peer_->connections.fetch_add(1, std::memory_order_relaxed);
  }
}

size_t Connection::UntakenBytes(const Turn& turn) const {
  if (state_ != State::kLingering) return 0;
  const size_t unsent = turn.io->UnsentBytes(fd_.get());
  return unsent > 1 ? unsent - 1 : 0;  // The end is counted, too.
}

void Connection::Cut(Turn& turn) {
  if (state_ == State::kDetaching) return;
  if (!idle() || UntakenBytes(turn) > 0) Count(turn, Counter::kCutStop);
  const bool can_tell = state_ == State::kOpen && amid_frame() && output_bytes() == 0;
  if (!can_tell || !listener_->reply_errors) return Detach(turn);
  draining_ = true;  // For a short time only.
  Fail(turn, "draining", "the server stops, and has not executed this request");
  Settle(turn);
}

void Connection::Abandon(Turn& turn) {
  if (state_ != State::kDetaching) Detach(turn);
}

std::string Connection::PeerName() const {
  const absl::StatusOr<SocketAddress> peer = PeerAddress(fd_.get());
  if (!peer.ok()) return "a peer that is gone";
  std::string name;
  // A Unix client chooses its own, of any bytes.
  AppendEscaped(peer->ToString(), kPeerNameBytesMax, &name);
  return name;
}

std::string Connection::Unfinished(const Turn& turn) const {
  if (const size_t untaken = UntakenBytes(turn); untaken > 0) {
    return fmt::format("{} bytes of replies had not been taken", untaken);
  }
  if (output_bytes() > 0) return fmt::format("{} bytes of replies had not left", output_bytes());
  return fmt::format("a request had not come to its end ({} bytes)", kept_input().size());
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
  lingers_since_ = turn.now;
  linger_end_ = turn.now + (draining_ || hurried_ ? kShortLingerTimeout : kLingerTimeout);
  wait_ = Wait::kLinger;
  LingerOn(turn);
}

// The peer has a moment more, but not beyond the end of lingering.
void Connection::LingerOn(Turn& turn) {
  wait_until_ = std::min(linger_end_, turn.now + kLingerIdleTimeout);
}

// At the end of whatever happened: what follows from the state for reading, time and memory.
void Connection::Settle(Turn& turn) {
  if (idle()) Release(kHeldForMemory);  // It has given all of it back.
  if (state_ != State::kDetaching) {
    UpdateReceiving(turn);
    UpdateWait(turn);
    ArmTimer(turn);
  }
  const size_t bytes = BufferBytes(input_) + BufferBytes(output_) + BufferBytes(sending_);
  turn.buffer_bytes += static_cast<int64_t>(bytes) - static_cast<int64_t>(buffer_bytes_);
  buffer_bytes_ = bytes;
}

void Connection::UpdateReceiving(Turn& turn) {
  bool wanted = !input_ended_;
  if (state_ == State::kOpen) {
    const bool held_long = (holds_ & (kHeldForOutput | kHeldForMemory)) != 0;
    const bool kept_much = holds_ != 0 && kept_input().size() >= kKeptInputBytesMax;
    wanted = wanted && !held_long && !kept_much;
  }
  if (wanted == receiving_ || input_ended_) return;
  receiving_ = wanted;
  Push(turn, wanted ? Op::Kind::kReceive : Op::Kind::kPause);
}

void Connection::UpdateWait(Turn& turn) {
  if (state_ == State::kLingering) return;
  const TimeoutsConfig& timeouts = listener_->timeouts;
  Wait wanted = Wait::kNothing;
  const Limit<Duration>* timeout = nullptr;
  if (state_ == State::kOpen && !input_ended_) {
    if (!heard_) {
      wanted = Wait::kFirstByte;
      timeout = &timeouts.first_byte;
    } else if (amid_frame()) {
      // A frame that waits for memory has its time, too: else all could wait for each other.
      if ((holds_ & ~kHeldForMemory) == 0) wanted = Wait::kFrame;
      timeout = &timeouts.frame;
    } else if (holds_ == 0 && output_bytes() == 0) {
      wanted = Wait::kIdle;
      timeout = &timeouts.idle;
    }
  }
  if (wanted == wait_) return;
  wait_ = wanted;
  wait_until_ = wanted == Wait::kNothing ? MonotonicTime::max() : turn.now + timeout->value;
}

void Connection::ArmTimer(Turn& turn) {
  const MonotonicTime next = std::min({wait_until_, flush_at_, write_until_});
  if (next == MonotonicTime::max() || (timer_.armed() && timer_at_ <= next)) return;
  timer_at_ = next;
  turn.timers.Arm(&timer_, next);
}

void Connection::Detach(Turn& turn, Op::Kind how) {
  state_ = State::kDetaching;
  turn.timers.Cancel(&timer_);
  DropInput(turn);
  Push(turn, how);
  Settle(turn);
}

}  // namespace bsockd
