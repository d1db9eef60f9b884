// Worker: an event loop that owns connections, and sockets for datagrams. Each turn: wait, go on
// with what had to wait, dispatch what completed, read the mailbox if it woke us, fire timers,
// flush.
//
// Thread: everything happens on the thread that calls Run(), but for the mailbox and the counts,
// which any thread may use.
#pragma once

#include <absl/status/status.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "lib/base/mailbox.h"
#include "lib/config/config.h"
#include "lib/io/io.h"
#include "lib/metrics/metrics.h"
#include "lib/server/connection_table.h"
#include "lib/server/datagram_service.h"
#include "lib/server/drain_schedule.h"
#include "lib/server/memory_limiter.h"
#include "lib/server/messages.h"

namespace bsockd {

class Worker {
 public:
  // `events` and `metrics` outlive the worker, which counts as its thread number `thread`, and is
  // one of `workers`.
  Worker(std::unique_ptr<Mailbox<WorkerMessage>> mailbox, Mailbox<WorkerEvent>* events,
         Metrics* metrics, size_t thread, size_t workers, Limit<size_t> memory_limit)
      : mailbox_(std::move(mailbox)),
        events_(*events),
        thread_(thread),
        memory_(memory_limit, workers, &metrics->buffer_bytes()) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  Mailbox<WorkerMessage>& mailbox() { return *mailbox_; }

  // Makes the Io, tells `started` whether that went well, and works until it is drained or cut.
  // Returns at once if it did not go well. At the end no connection is left, and WorkerEnded is the
  // last of the events.
  void Run(const IoFactory& make_io, const std::function<void(absl::Status)>& started);

  // How many of the connections posted to it are gone: of those to be served, and of those to be
  // refused.
  size_t connections_closed() const { return closed_.load(std::memory_order_relaxed); }
  size_t refusals_closed() const { return refusals_closed_.load(std::memory_order_relaxed); }
  // The number of the last Ping that it has seen.
  uint64_t pinged() const { return pinged_.load(std::memory_order_relaxed); }

 private:
  void Loop(Turn& turn);
  // When to wake up although nothing happens.
  std::optional<MonotonicTime> NextDeadline(const Turn& turn) const;
  void Dispatch(Turn& turn, const Completion& completion);
  void Remove(Turn& turn, Slot slot);
  void ReadMailbox(Turn& turn);
  void On(Turn& turn, NewConnection& message);
  void On(Turn& turn, Reconfigure& message);
  void On(Turn& turn, Drain& message);
  void On(Turn& turn, Cut&);
  void On(Turn&, Ping& message) { pinged_.store(message.number, std::memory_order_relaxed); }
  void ReadFrom(Turn& turn, std::vector<BoundListener> datagrams);
  void AdvanceDrains(Turn& turn);
  void CutConnection(Turn& turn, Connection& connection);
  void TellCuts();

  const std::unique_ptr<Mailbox<WorkerMessage>> mailbox_;
  Mailbox<WorkerEvent>& events_;
  const size_t thread_;
  std::vector<WorkerMessage> messages_;
  ConnectionTable connections_;
  // By their numbers in the Io, which are not used again; null where one is gone.
  std::vector<std::unique_ptr<DatagramService>> datagrams_;
  std::vector<std::unique_ptr<DatagramService>> leaving_;  // Until after the next Run().
  std::vector<DrainSchedule> drains_;
  MemoryLimiter memory_;
  std::atomic<size_t> closed_{0};           // Written by this worker only.
  std::atomic<size_t> refusals_closed_{0};  // Written by this worker only.
  std::atomic<uint64_t> pinged_{0};         // Written by this worker only.
  ConnectionsCut cuts_;                     // Of this turn.
  bool woken_ = false;
  bool ending_ = false;  // Draining or cut: ends with its last connection.
  // Cut: when even those that are still being told are closed.
  MonotonicTime abandon_at_ = MonotonicTime::max();
};

}  // namespace bsockd
