#include "lib/server/worker.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <variant>

namespace bsockd {
namespace {

// Timers that fire in one turn: a crowd that is cut at once must not keep the others waiting.
constexpr size_t kTurnTimersMax = 64;

void Increment(std::atomic<size_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

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
            .metrics = &metrics_.At(thread_, 0),
            .ops = {},
            .unsent = {},
            .again = {},
            .timers = TimerWheel(now),
            .buffers = {}};
  Loop(turn);
  return {.connections_cut = cut_};
}

void Worker::Loop(Turn& turn) {
  std::vector<Completion> completions;
  std::vector<Slot> unsent;
  std::vector<Slot> again;
  if (woken_) ReadMailbox(turn);
  while (!ending_ || connections_.size() > 0) {
    turn.now = turn.io->Run(turn.ops, NextDeadline(turn), &completions);
    turn.ops.clear();
    ++turn.number;
    if (ending_) datagrams_.clear();  // They have been answered, and are not watched any more.
    // Before the completions, because what they bring comes behind what was kept.
    again.swap(turn.again);
    for (const Slot slot : again) connections_.At(slot).Continue(turn);
    again.clear();
    for (const Completion& completion : completions) Dispatch(turn, completion);
    // After the completions: a drain must find every byte that they bring already handled.
    if (woken_) ReadMailbox(turn);
    turn.timers.Advance(turn.now, kTurnTimersMax,
                        [&](Timer& timer) { connections_.At(timer.owner()).OnTimer(turn); });
    memory_.Govern(turn, connections_);
    unsent.swap(turn.unsent);
    for (const Slot slot : unsent) connections_.At(slot).Flush(turn);
    unsent.clear();
    memory_.Tell(turn);
    for (const auto& service : datagrams_) {
      if (service->pause_end().value_or(MonotonicTime::max()) <= turn.now) {
        service->OnPauseOver(turn);
      }
    }
  }
  memory_.Tell(turn);
}

std::optional<MonotonicTime> Worker::NextDeadline(const Turn& turn) const {
  if (!turn.again.empty()) return MonotonicTime();
  MonotonicTime next = turn.timers.NextDeadline().value_or(MonotonicTime::max());
  // Other workers may give memory back.
  if (memory_.holding()) next = std::min(next, turn.now + kMemoryLookInterval);
  for (const auto& service : datagrams_) {
    next = std::min(next, service->pause_end().value_or(MonotonicTime::max()));
  }
  if (next == MonotonicTime::max()) return std::nullopt;
  return next;
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
      Remove(turn, completion.slot);
      break;
    case Completion::Kind::kReadable:
      if (completion.slot < datagrams_.size()) datagrams_[completion.slot]->OnReadable(turn);
      break;
    case Completion::Kind::kWake:
      woken_ = true;
      break;
  }
}

void Worker::Remove(Turn& turn, Slot slot) {
  const Connection& connection = connections_.At(slot);
  const bool refused = connection.refused();
  turn.buffer_bytes -= static_cast<int64_t>(connection.buffer_bytes());
  if (!refused) turn.metrics[connection.listener().index].Add(Counter::kConnectionsClosed);
  connections_.Remove(slot);
  Increment(refused ? refusals_closed_ : closed_);
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
  Connection& connection =
      connections_.Add(std::move(message.fd), std::move(message.listener), std::move(message.peer));
  if (message.refusal != Refusal::kNone) {
    connection.Refuse(turn, "full", TextOf(message.refusal));
  } else {
    connection.Open(turn);
  }
}

void Worker::On(Turn& turn, NewDatagramSocket& message) {
  const auto index = static_cast<Slot>(datagrams_.size());
  datagrams_.push_back(
      std::make_unique<DatagramService>(std::move(message.socket), std::move(message.listener)));
  datagrams_.back()->Open(turn, index);
}

void Worker::On(Turn& turn, Drain&) {
  ending_ = true;
  for (const auto& service : datagrams_) service->Drain(turn);
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
