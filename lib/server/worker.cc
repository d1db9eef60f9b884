#include "lib/server/worker.h"

#include <utility>
#include <variant>

namespace bsockd {

WorkerEnded Worker::Run(const IoFactory& make_io,
                        const std::function<void(absl::Status)>& started) {
  absl::StatusOr<std::unique_ptr<Io>> io = make_io(mailbox_->wake_fd());
  started(io.status());
  if (!io.ok()) return {};
  // A wait that ends at once, to learn the time: only the Io reads the clock.
  std::vector<Completion> none;
  const MonotonicTime now = (*io)->Run({}, MonotonicTime(), &none);
  woken_ = !none.empty();
  Turn turn{.now = now,
            .io = io->get(),
            .ops = {},
            .unsent = {},
            .timers = TimerWheel(now),
            .buffers = {}};
  Loop(turn);
  return {.connections_cut = cut_};
}

void Worker::Loop(Turn& turn) {
  std::vector<Completion> completions;
  std::vector<Slot> unsent;
  if (woken_) ReadMailbox(turn);
  while (!ending_ || connections_.size() > 0) {
    turn.now = turn.io->Run(turn.ops, turn.timers.NextDeadline(), &completions);
    turn.ops.clear();
    for (const Completion& completion : completions) Dispatch(turn, completion);
    // After the completions: a drain must find every byte that they bring already handled.
    if (woken_) ReadMailbox(turn);
    turn.timers.Advance(turn.now,
                        [&](Timer& timer) { connections_.At(timer.owner()).OnTimer(turn); });
    unsent.swap(turn.unsent);
    for (const Slot slot : unsent) connections_.At(slot).Flush(turn);
    unsent.clear();
  }
}

void Worker::Dispatch(Turn& turn, const Completion& completion) {
  switch (completion.kind) {
    case Completion::Kind::kReceived:
      connections_.At(completion.slot).OnReceived(turn, completion.result, completion.data);
      break;
    case Completion::Kind::kSent:
      connections_.At(completion.slot).OnSent(turn, completion.result);
      break;
    case Completion::Kind::kDetached:
      connections_.Remove(completion.slot);
      closed_.store(closed_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      break;
    case Completion::Kind::kWake:
      woken_ = true;
      break;
  }
}

void Worker::ReadMailbox(Turn& turn) {
  woken_ = false;
  mailbox_->Take(&messages_);
  for (WorkerMessage& message : messages_) {
    std::visit([&](auto& content) { On(turn, content); }, message);
  }
  messages_.clear();
}

void Worker::On(Turn& turn, NewConnection& message) {
  Connection& connection = connections_.Add(std::move(message.fd), std::move(message.listener));
  if (message.refused) {
    connection.Refuse(turn, "full", "this server has all the connections it may have");
  } else {
    connection.Open(turn);
  }
}

void Worker::On(Turn& turn, Drain&) {
  ending_ = true;
  connections_.ForEach([&](Connection& connection) { connection.BeginDrain(turn); });
}

void Worker::On(Turn& turn, Cut&) {
  ending_ = true;
  connections_.ForEach([&](Connection& connection) {
    if (!connection.idle()) ++cut_;
    connection.Cut(turn);
  });
}

}  // namespace bsockd
