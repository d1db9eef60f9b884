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
// Thread: its worker's. Lifetime: its slot's, from accept to kDetached.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/io/io.h"
#include "lib/server/buffer_pool.h"
#include "lib/server/listener.h"
#include "lib/server/timer_wheel.h"

namespace bsockd {

// What a worker lends its connections for one turn.
struct Turn {
  MonotonicTime now;
  Io* io;
  std::vector<Op> ops;       // To be carried out by the next Run().
  std::vector<Slot> unsent;  // Connections with replies of this turn; flushed at its end.
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
  Connection(ConnectionId id, UniqueFd fd, std::shared_ptr<const Listener> listener)
      : id_(id), fd_(std::move(fd)), listener_(std::move(listener)), timer_(id.slot) {}
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

  // Answers what has come, then closes at the next frame boundary.
  void BeginDrain(Turn& turn);
  // Closes now, whatever is unfinished.
  void Cut(Turn& turn);

  // Whether nothing asked is unanswered: no part of a frame, no unsent reply.
  bool idle() const { return input_.empty() && output_.empty() && !sending_in_flight_; }

 private:
  enum class State : uint8_t {
    kOpen,       // Requests are taken.
    kFinishing,  // No more requests are taken; replies are still being sent.
    kLingering,  // Everything is sent and writing shut down; input is dropped.
    kDetaching,  // Waiting for kDetached.
  };

  // All three return how many bytes at the start of `bytes` are done with.
  size_t HandleFrames(Turn& turn, std::string_view bytes);
  size_t HandleFrame(Turn& turn, std::string_view bytes);
  size_t HandleResult(Turn& turn, const FrameResult& result);

  void TakeInput(Turn& turn, std::string_view bytes);
  void JoinInput(Turn& turn, std::string_view* bytes);
  void HandleKeptInput(Turn& turn);
  void HandleRest(Turn& turn, bool eof);
  void AfterInput(Turn& turn);
  void Answer(Turn& turn, const FrameResult& frame);
  void AppendError(Turn& turn, FrameEnding ending, std::string_view code, std::string_view text);
  void Fail(Turn& turn, std::string_view code, std::string_view text);
  void KeepInput(Turn& turn, std::string_view bytes);
  void DropInput(Turn& turn);
  void DropHandledInput(Turn& turn, size_t handled);
  std::string& Output(Turn& turn);
  void SendRest(Turn& turn);
  void PauseIfFull(Turn& turn);
  void ResumeIfRoom(Turn& turn);
  void FinishIfDone(Turn& turn);
  void Detach(Turn& turn);
  void Push(Turn& turn, Op::Kind kind, std::string_view data = {});
  size_t output_bytes() const { return output_.size() + sending_.size() - sent_; }
  bool takes_input() const { return state_ == State::kOpen && !paused_; }

  const ConnectionId id_;
  const UniqueFd fd_;
  const std::shared_ptr<const Listener> listener_;

  std::string input_;    // A frame not yet whole; or, while paused, whatever has come.
  std::string output_;   // Replies not yet handed to the Io.
  std::string sending_;  // The send in flight: it must not change until it is done.
  size_t sent_ = 0;      // Of `sending_`.
  FramerState framer_state_;
  Timer timer_;  // kOpen: flush_after; kLingering: the end of it.
  MonotonicTime linger_end_;
  size_t drain_bytes_left_ = 0;  // Draining: what had come before, and is still to be read.
  uint64_t requests_ = 0;

  State state_ = State::kOpen;
  FrameEnding last_ending_ = kUnterminated;
  bool paused_ = false;  // Not reading: the output is above its high mark.
  bool input_ended_ = false;
  bool draining_ = false;
  bool sending_in_flight_ = false;
  bool listed_unsent_ = false;
};

}  // namespace bsockd
