// Worker: an event loop that owns connections, and sockets for datagrams. Each turn: wait, go on
// with what had to wait, dispatch what completed, read the mailbox if it woke us, fire timers,
// flush.
//
// Thread: everything happens on the thread that calls Run(), but for the mailbox and
// connections_closed() and refusals_closed(), which any thread may use.
#pragma once

#include <absl/status/status.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "lib/base/mailbox.h"
#include "lib/config/config.h"
#include "lib/io/io.h"
#include "lib/metrics/metrics.h"
#include "lib/server/connection_table.h"
#include "lib/server/datagram_service.h"
#include "lib/server/memory_limiter.h"
#include "lib/server/messages.h"

namespace bsockd {

class Worker {
 public:
  // `metrics` outlives the worker, which counts as its thread number `thread`.
  Worker(std::unique_ptr<Mailbox<WorkerMessage>> mailbox, Metrics* metrics, size_t thread,
         Limit<size_t> memory_limit)
      : mailbox_(std::move(mailbox)),
        metrics_(*metrics),
        thread_(thread),
        memory_(memory_limit, metrics->threads(), &metrics->buffer_bytes()) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  Mailbox<WorkerMessage>& mailbox() { return *mailbox_; }

  // Makes the Io, tells `started` whether that went well, and works until it is drained or cut.
  // Returns at once if it did not go well. At the end no connection is left.
  WorkerEnded Run(const IoFactory& make_io, const std::function<void(absl::Status)>& started);

  // How many of the connections posted to it are gone: of those to be served, and of those to be
  // refused.
  size_t connections_closed() const { return closed_.load(std::memory_order_relaxed); }
  size_t refusals_closed() const { return refusals_closed_.load(std::memory_order_relaxed); }

 private:
  void Loop(Turn& turn);
  // When to wake up although nothing happens.
  std::optional<MonotonicTime> NextDeadline(const Turn& turn) const;
  void Dispatch(Turn& turn, const Completion& completion);
  void Remove(Turn& turn, Slot slot);
  void ReadMailbox(Turn& turn);
  void On(Turn& turn, NewConnection& message);
  void On(Turn& turn, NewDatagramSocket& message);
  void On(Turn& turn, Drain&);
  void On(Turn& turn, Cut&);

  const std::unique_ptr<Mailbox<WorkerMessage>> mailbox_;
  Metrics& metrics_;
  const size_t thread_;
  std::vector<WorkerMessage> messages_;
  ConnectionTable connections_;
  std::vector<std::unique_ptr<DatagramService>> datagrams_;
  MemoryLimiter memory_;
  std::atomic<size_t> closed_{0};           // Written by this worker only.
  std::atomic<size_t> refusals_closed_{0};  // Written by this worker only.
  size_t cut_ = 0;
  bool woken_ = false;
  bool ending_ = false;  // Draining or cut: ends with its last connection.
};

}  // namespace bsockd
