// Connection: one accepted socket, from its first byte to its last.
//
// Bytes come in by OnReceived, frames are cut, requests handled and replies appended to the output,
// all in one go; Flush sends what a turn has produced in one send. It does no I/O itself: it
// appends Ops to its worker's turn and is told the completions.
//
//   open --end of input, or an error--> finishing --output sent--> [lingering] --> detaching -->
//   gone
//
// Lingering: after an error frame or a drain the peer may still be sending. Closing with unread
// input would make the kernel send RST, which can destroy the reply on its way (RFC
// 1122, 4.2.2.13); so writing is shut down first, and input is read and dropped until the peer ends
// or time is up.
//
// Held: an open connection whose input has to wait, because its output is full, because too many of
// its requests are unanswered, or because it has had its share of this turn. What has come is kept;
// when much of it is kept, receiving stops. While the server is short of memory, receiving stops,
// and what has come is handled as the replies before it leave.
//
// Thread: its worker's. Lifetime: its slot's, from accept to kDetached.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/io/io.h"
#include "lib/metrics/metrics.h"
#include "lib/server/buffer_pool.h"
#include "lib/server/listener.h"
#include "lib/server/timer_wheel.h"

namespace bsockd {

// Bytes of replies that a connection may make in one turn before others come next; the last reply
// may go beyond them.
inline constexpr size_t kTurnReplyBytesMax = size_t{256} * 1024;
// The same where memory is short, and what may wait to be sent while a connection is held for it:
// enough that what has come is soon handled, which gives its memory back.
inline constexpr size_t kScarceReplyBytesMax = 4096;

// What a worker lends its connections for one turn.
struct Turn {
  MonotonicTime now;
  uint64_t number = 0;
  Io* io;
  size_t thread;             // This worker's number in the counters.
  std::vector<Op> ops;       // To be carried out by the next Run().
  std::vector<Slot> unsent;  // Connections with replies of this turn; flushed at its end.
  std::vector<Slot> again;   // Connections that go on with kept input in the next turn.
  int64_t buffer_bytes = 0;  // Of all connections of the worker.
  size_t reply_bytes_max = kTurnReplyBytesMax;  // Less where memory is short.
  TimerWheel timers;
  BufferPool buffers;
};

// Names a connection for as long as the process lives: slots are used again, generations are not.
struct ConnectionId {
  Slot slot;
  uint32_t generation;
  bool operator==(const ConnectionId&) const = default;
};

class Connection {
 public:
  // `peer` may be null.
  Connection(ConnectionId id, UniqueFd fd, std::shared_ptr<const Listener> listener,
             std::shared_ptr<Peer> peer)
      : id_(id),
        fd_(std::move(fd)),
        listener_(std::move(listener)),
        peer_(std::move(peer)),
        timer_(id.slot) {}
  ~Connection() {
    if (peer_) peer_->connections.fetch_sub(1, std::memory_order_relaxed);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  ConnectionId id() const { return id_; }

  // Once, first: starts receiving.
  void Open(Turn& turn);
  // Instead of Open: tells the peer `ERR <code> <text>` and closes.
  void Refuse(Turn& turn, std::string_view code, std::string_view text);

  void OnReceived(Turn& turn, int result, std::string_view bytes);
  void OnSent(Turn& turn, int result);
  void OnTimer(Turn& turn);

  // Hands the turn's replies to the Io: one send, however many replies.
  void Flush(Turn& turn);
  // Its turn has come to go on with the input that it kept.
  void Continue(Turn& turn);

  // Goes over to `listener`, which has taken the place of its own, if their framings are the same:
  // from the next request on, and from the next wait on.
  void MoveTo(const std::shared_ptr<const Listener>& listener, MonotonicTime now);

  // Answers what has come, then closes at the next frame boundary.
  void BeginDrain(Turn& turn);
  // Closes, whatever is unfinished. A client that is amid a request is told so.
  void Cut(Turn& turn);
  // Closes at once.
  void Abandon(Turn& turn);
  // Who is at the other end, for people.
  std::string PeerName() const;
  // What Cut() would leave unfinished, for people.
  std::string Unfinished(const Turn& turn) const;
  // Of replies that its client has not taken yet, although all of them have been sent; 0 while some
  // have not. (A system call.)
  size_t UntakenBytes(const Turn& turn) const;

  // Reads no more until the server has memory again. `enforced` false: only counts.
  void HoldForMemory(Turn& turn, bool enforced);
  void ReleaseForMemory(Turn& turn);
  bool held_for_memory() const { return (holds_ & kHeldForMemory) != 0; }
  // Whether it takes more memory as long as it is read from.
  bool can_grow() const { return state_ == State::kOpen && !held_for_memory(); }

  // Whether nothing asked is unanswered: no part of a frame, no unsent reply.
  bool idle() const { return input_.empty() && output_.empty() && !sending_in_flight_; }
  bool refused() const { return refused_; }
  const Listener& listener() const { return *listener_; }
  size_t buffer_bytes() const { return buffer_bytes_; }

 private:
  enum class State : uint8_t {
    kOpen,       // Requests are taken.
    kFinishing,  // No more requests are taken; replies are still being sent.
    kLingering,  // Everything is sent and writing shut down; input is dropped.
    kDetaching,  // Waiting for kDetached.
  };
  // What its client is being waited for.
  enum class Wait : uint8_t { kNothing, kFirstByte, kFrame, kIdle, kLinger };
  // Why the input waits; a set of bits.
  using Holds = uint8_t;
  // From output_high down to output_low; while it is held for memory, from kScarceReplyBytesMax.
  static constexpr Holds kHeldForOutput = 1;
  static constexpr Holds kHeldForPipeline = 2;  // Until replies have left.
  static constexpr Holds kHeldForTurn = 4;      // Until the next turn.
  static constexpr Holds kHeldForMemory = 8;    // Until the worker says so.

  // All three return how many bytes at the start of `bytes` are done with.
  size_t HandleFrames(Turn& turn, std::string_view bytes);
  size_t HandleFrame(Turn& turn, std::string_view bytes);
  size_t HandleResult(Turn& turn, const FrameResult& result);

  void TakeInput(Turn& turn, std::string_view bytes);
  void JoinInput(Turn& turn, std::string_view* bytes);
  void HandleKeptInput(Turn& turn);
  void HandleRest(Turn& turn, bool eof);
  void AfterInput(Turn& turn);
  void Settle(Turn& turn);

  void Answer(Turn& turn, const FrameResult& frame);
  void CountRequest(Turn& turn, FrameEnding ending);
  void AppendError(Turn& turn, FrameEnding ending, std::string_view code, std::string_view text);
  void OnFrameError(Turn& turn, const FrameResult& result);
  void EndOfFrameIfSkipped();
  bool MayAsk(Turn& turn);
  void Shed(Turn& turn, FrameEnding ending);
  void Fail(Turn& turn, std::string_view code, std::string_view text);
  FrameEnding ErrorEnding() const;

  void KeepInput(Turn& turn, std::string_view bytes);
  void DropInput(Turn& turn);
  void DropHandledInput(Turn& turn, size_t handled);
  std::string_view kept_input() const { return std::string_view(input_).substr(input_start_); }
  std::string& Output(Turn& turn);
  void SendRest(Turn& turn);

  bool Release(Holds holds);
  void Resume(Turn& turn);
  void UpdateReceiving(Turn& turn);
  void UpdateWait(Turn& turn);
  void ArmTimer(Turn& turn);
  void OnWaitedTooLong(Turn& turn);
  void OnNoProgress(Turn& turn);
  void OnLingeredTooLong(Turn& turn);

  void FinishIfDone(Turn& turn);
  void LingerOn(Turn& turn);
  void Detach(Turn& turn, Op::Kind how = Op::Kind::kDetach);
  void Push(Turn& turn, Op::Kind kind, std::string_view data = {});
  void Count(Turn& turn, Counter counter, bool enforced = true) const {
    listener_->metrics->At(turn.thread).Add(counter, enforced);
  }
  size_t output_bytes() const { return output_.size() + sending_.size() - sent_; }
  // Without memory it is not read from, but what has come is handled bit by bit.
  bool takes_input() const { return state_ == State::kOpen && (holds_ & ~kHeldForMemory) == 0; }
  bool amid_frame() const {
    return !input_.empty() || framer_state_.skipping || framer_state_.to_skip > 0;
  }

  const ConnectionId id_;
  const UniqueFd fd_;
  std::shared_ptr<const Listener> listener_;
  std::shared_ptr<Peer> peer_;

  std::string input_;       // A frame not yet whole; or, while held, whatever has come.
  size_t input_start_ = 0;  // The bytes before it are done with.
  std::string output_;      // Replies not yet handed to the Io.
  std::string sending_;     // The send in flight: it must not change until it is done.
  size_t sent_ = 0;         // Of `sending_`.
  FramerState framer_state_;
  size_t buffer_bytes_ = 0;  // Of the three strings, as last counted.

  // One timer for whichever comes first. It is not moved when that becomes later, but looked at
  // when it fires: so a request that is answered at once costs no timer.
  Timer timer_;
  MonotonicTime timer_at_;
  MonotonicTime wait_until_ = MonotonicTime::max();
  MonotonicTime flush_at_ = MonotonicTime::max();
  MonotonicTime write_until_ = MonotonicTime::max();
  MonotonicTime lingers_since_;
  MonotonicTime linger_end_;
  size_t unsent_before_ = 0;  // What the kernel had not sent when last looked at; 0 before that.

  size_t drain_bytes_left_ = 0;  // Draining: what had come before, and is still to be read.
  uint64_t requests_ = 0;
  uint64_t turn_number_ = 0;       // The turn that turn_requests_ counts in.
  uint32_t turn_requests_ = 0;     // Handled in that turn.
  size_t output_before_turn_ = 0;  // Bytes of output_ at the end of the turn before.
  uint32_t output_requests_ = 0;   // Whose replies are in output_.
  uint32_t sending_requests_ = 0;  // Whose replies are in sending_.

  State state_ = State::kOpen;
  Wait wait_ = Wait::kNothing;
  Holds holds_ = 0;
  FrameEnding last_ending_ = kUnterminated;
  bool receiving_ = false;  // The Io has been asked to.
  bool heard_ = false;      // A byte has come.
  bool input_ended_ = false;
  bool draining_ = false;
  bool overlong_told_ = false;  // The frame that is being skipped has had its answer.
  bool hurried_ = false;        // Its client has had its time, and has little for the end.
  bool refused_ = false;
  bool output_is_high_ = false;  // Has been above output_high, and not down at output_low since.
  bool sending_in_flight_ = false;
  bool listed_unsent_ = false;
};

}  // namespace bsockd
