// Acceptor: the one thread that accepts. It hands each connection to the worker that has fewest.
//
// Accepting is done in bounded batches, so that one busy listener does not starve the others. When
// the process or the machine is out of descriptors or memory, it pauses instead of spinning on a
// backlog that it cannot empty.
//
// Thread: Run() on its own thread; the mailbox is for any. Owns the listen sockets.
#pragma once

#include <poll.h>
#include <spdlog/logger.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/mailbox.h"
#include "lib/net/listen_socket.h"
#include "lib/server/messages.h"
#include "lib/server/worker.h"

namespace bsockd {

// A listen socket and the service behind it.
struct BoundListener {
  ListenSocket socket;
  std::shared_ptr<const Listener> listener;
};

class Acceptor {
 public:
  // `workers` and `log` outlive the acceptor. `connections_max` counts all workers' together.
  Acceptor(std::unique_ptr<Mailbox<StopAccepting>> mailbox, std::vector<BoundListener> listeners,
           const std::vector<std::unique_ptr<Worker>>& workers, size_t connections_max,
           spdlog::logger* log);

  Mailbox<StopAccepting>& mailbox() { return *mailbox_; }

  // Accepts until told to stop, takes what still waits in the backlogs, closes the listen sockets.
  void Run();

 private:
  enum class Outcome { kAccepted, kNothingWaits, kConnectionLost, kOutOfResources };

  void AcceptBatch(const BoundListener& listener, int batch_max);
  Outcome AcceptOne(const BoundListener& listener);
  void HandOver(UniqueFd fd, const BoundListener& listener);
  void OutOfResources(const BoundListener& listener, int error);
  size_t Connections(size_t worker) const;

  const std::unique_ptr<Mailbox<StopAccepting>> mailbox_;
  std::vector<BoundListener> listeners_;
  const std::vector<std::unique_ptr<Worker>>& workers_;
  std::vector<size_t> handed_over_;  // To each worker, so far.
  const size_t connections_max_;
  spdlog::logger* const log_;
  bool paused_ = false;
  MonotonicTime next_complaint_ = MonotonicTime::min();
};

}  // namespace bsockd
