#include "lib/server/worker.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace bsockd {
namespace {

// Timers that fire in one turn: a crowd that is cut at once must not keep the others waiting.
constexpr size_t kTurnTimersMax = 64;
// How long clients that are cut amid a request may take to be told.
constexpr Duration kCutGrace = std::chrono::milliseconds(700);

void Increment(std::atomic<size_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

void Worker::Run(const IoFactory& make_io, const std::function<void(absl::Status)>& started) {
  absl::StatusOr<std::unique_ptr<Io>> io = make_io(mailbox_->wake_fd());
  started(io.status());
  if (!io.ok()) return;
  // A wait that ends at once, to learn the time: only the Io reads the clock.
  std::vector<Completion> none;
  const MonotonicTime now = (*io)->Run({}, MonotonicTime(), &none);
  woken_ = !none.empty();
  Turn turn{.now = now,
            .io = io->get(),
            .thread = thread_,
            .ops = {},
            .unsent = {},
            .again = {},
            .timers = TimerWheel(now),
            .buffers = {}};
  Loop(turn);
  pinged_.store(UINT64_MAX, std::memory_order_relaxed);  // Nobody has to wait for it any more.
  events_.Post(WorkerEnded());
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
    leaving_.clear();  // They are not watched any more.
    // Before the completions, because what they bring comes behind what was kept.
    again.swap(turn.again);
    for (const Slot slot : again) connections_.At(slot).Continue(turn);
    again.clear();
    for (const Completion& completion : completions) Dispatch(turn, completion);
    // After the completions: a drain must find every byte that they bring already handled.
    if (woken_) ReadMailbox(turn);
    turn.timers.Advance(turn.now, kTurnTimersMax,
                        [&](Timer& timer) { connections_.At(timer.owner()).OnTimer(turn); });
    AdvanceDrains(turn);
    memory_.Govern(turn, connections_);
    unsent.swap(turn.unsent);
    for (const Slot slot : unsent) connections_.At(slot).Flush(turn);
    unsent.clear();
    memory_.Tell(turn);
    for (const auto& service : datagrams_) {
      if (service && service->pause_end().value_or(MonotonicTime::max()) <= turn.now) {
        service->OnPauseOver(turn);
      }
    }
    TellCuts();
  }
  memory_.Tell(turn);
}

std::optional<MonotonicTime> Worker::NextDeadline(const Turn& turn) const {
  if (!turn.again.empty()) return MonotonicTime();
  MonotonicTime next = turn.timers.NextDeadline().value_or(MonotonicTime::max());
  // Other workers may give memory back.
  if (memory_.holding()) next = std::min(next, turn.now + kMemoryLookInterval);
  for (const auto& service : datagrams_) {
    if (service) next = std::min(next, service->pause_end().value_or(MonotonicTime::max()));
  }
  for (const DrainSchedule& drain : drains_) next = std::min(next, drain.next());
  next = std::min(next, abandon_at_);
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
      if (const auto& service = datagrams_[completion.slot]) service->OnReadable(turn);
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
  if (!refused) connection.listener().metrics->At(thread_).Add(Counter::kConnectionsClosed);
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

void Worker::On(Turn& turn, Reconfigure& message) {
  memory_.set_limit(message.memory_limit);
  ReadFrom(turn, std::move(message.datagrams));
  const ListenersByName& listeners = *message.listeners;
  connections_.ForEach([&](Connection& connection) {
    const auto present = listeners.find(connection.listener().name);
    if (present != listeners.end()) connection.MoveTo(present->second, turn.now);
  });
  const Duration grace = message.drain_grace;
  drains_.emplace_back(connections_, turn.now, grace / kSpreadPart, grace,
                       [&](const Connection& connection) {
                         return !listeners.contains(connection.listener().name);
                       });
  message.done.set_value();
}

// These and no others.
void Worker::ReadFrom(Turn& turn, std::vector<BoundListener> datagrams) {
  for (std::unique_ptr<DatagramService>& service : datagrams_) {
    if (!service) continue;
    const auto same = std::find_if(
        datagrams.begin(), datagrams.end(),
        [&](const BoundListener& bound) { return bound.socket.get() == &service->socket(); });
    if (same != datagrams.end()) {
      service->MoveTo(std::move(same->listener));
      datagrams.erase(same);
    } else {
      service->Drain(turn, /*left=*/false);
      leaving_.push_back(std::move(service));
    }
  }
  for (BoundListener& bound : datagrams) {
    const auto number = static_cast<Slot>(datagrams_.size());
    datagrams_.push_back(
        std::make_unique<DatagramService>(std::move(bound.socket), std::move(bound.listener)));
    datagrams_.back()->Open(turn, number);
  }
}

void Worker::On(Turn& turn, Drain& message) {
  ending_ = true;
  for (std::unique_ptr<DatagramService>& service : datagrams_) {
    if (!service) continue;
    service->Drain(turn, message.sockets_left);
    leaving_.push_back(std::move(service));
  }
  drains_.emplace_back(connections_, turn.now, message.spread, std::nullopt,
                       [](const Connection&) { return true; });
}

void Worker::AdvanceDrains(Turn& turn) {
  for (DrainSchedule& drain : drains_) {
    drain.Advance(turn.now, connections_,
                  [&](Connection& connection) { connection.BeginDrain(turn); });
    drain.CutRest(turn.now, connections_,
                  [&](Connection& connection) { CutConnection(turn, connection); });
  }
  std::erase_if(drains_, [](const auto& drain) { return drain.next() == MonotonicTime::max(); });
  if (turn.now < abandon_at_) return;
  abandon_at_ = MonotonicTime::max();
  connections_.ForEach([&](Connection& connection) { connection.Abandon(turn); });
}

void Worker::CutConnection(Turn& turn, Connection& connection) {
  const bool unfinished = !connection.idle() || connection.UntakenBytes(turn) > 0;
  if (unfinished && ++cuts_.count <= kCutsToldMax) {
    cuts_.first.push_back({.listener = connection.listener().name,
                           .peer = connection.PeerName(),
                           .unfinished = connection.Unfinished(turn)});
  }
  connection.Cut(turn);
}

void Worker::TellCuts() {
  if (cuts_.count > 0) events_.Post(std::exchange(cuts_, {}));
}

void Worker::On(Turn& turn, Cut&) {
  ending_ = true;
  drains_.clear();
  abandon_at_ = std::min(abandon_at_, turn.now + kCutGrace);
  connections_.ForEach([&](Connection& connection) { CutConnection(turn, connection); });
}

}  // namespace bsockd
