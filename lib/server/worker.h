// Worker: an event loop that owns connections. Each turn: wait, dispatch what completed, read the
// mailbox if it woke us, fire timers, flush.
//
// Thread: everything happens on the thread that calls Run(), but for the mailbox and
// connections_closed(), which any thread may use.
#pragma once

#include <absl/status/status.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "lib/base/mailbox.h"
#include "lib/io/io.h"
#include "lib/server/connection_table.h"
#include "lib/server/messages.h"

namespace bsockd {

class Worker {
 public:
  explicit Worker(std::unique_ptr<Mailbox<WorkerMessage>> mailbox) : mailbox_(std::move(mailbox)) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  Mailbox<WorkerMessage>& mailbox() { return *mailbox_; }

  // Makes the Io, tells `started` whether that went well, and works until it is drained or cut.
  // Returns at once if it did not go well. At the end no connection is left.
  WorkerEnded Run(const IoFactory& make_io, const std::function<void(absl::Status)>& started);

  // How many of the connections posted to it are gone.
  size_t connections_closed() const { return closed_.load(std::memory_order_relaxed); }

 private:
  void Loop(Turn& turn);
  void Dispatch(Turn& turn, const Completion& completion);
  void ReadMailbox(Turn& turn);
  void On(Turn& turn, NewConnection& message);
  void On(Turn& turn, Drain&);
  void On(Turn& turn, Cut&);

  const std::unique_ptr<Mailbox<WorkerMessage>> mailbox_;
  std::vector<WorkerMessage> messages_;
  ConnectionTable connections_;
  std::atomic<size_t> closed_{0};  // Written by this worker only.
  size_t cut_ = 0;
  bool woken_ = false;
  bool ending_ = false;  // Draining or cut: ends with its last connection.
};

}  // namespace bsockd
