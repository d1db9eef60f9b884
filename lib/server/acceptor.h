// Acceptor: the one thread that accepts. It decides who is served, and hands each connection to the
// worker that has fewest.
//
// Accepting is done in bounded batches, so that one busy listener does not starve the others. When
// nothing can be accepted, as when the process or the machine is out of descriptors or memory, it
// pauses instead of spinning on a backlog that it cannot empty.
//
// Thread: Run() on its own thread; the mailbox is for any. The listen sockets are
// its own while ListenOn names them.
#pragma once

#include <poll.h>
#include <spdlog/logger.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/mailbox.h"
#include "lib/config/config.h"
#include "lib/metrics/metrics.h"
#include "lib/net/listen_socket.h"
#include "lib/server/messages.h"
#include "lib/server/worker.h"

namespace bsockd {

class Acceptor {
 public:
  // `metrics`, of which it is thread number `thread`, `workers` and `log` outlive the acceptor.
  Acceptor(std::unique_ptr<Mailbox<AcceptorMessage>> mailbox,
           const std::vector<std::unique_ptr<Worker>>& workers, Metrics* metrics, size_t thread,
           spdlog::logger* log);

  Mailbox<AcceptorMessage>& mailbox() { return *mailbox_; }

  // Accepts by what ListenOn names until StopAccepting.
  void Run();

  // The number of the last Ping that it has seen. Any thread.
  uint64_t pinged() const { return pinged_.load(std::memory_order_relaxed); }

 private:
  enum class Outcome { kAccepted, kNothingWaits, kConnectionLost, kCannotAccept };

  void ReadMailbox();
  void On(ListenOn& message);
  void On(StopAccepting& message);
  void On(Ping& message) { pinged_.store(message.number, std::memory_order_relaxed); }
  void AcceptRest(BoundListener& listener);
  void AcceptBatch(const BoundListener& listener, int batch_max);
  Outcome AcceptOne(const BoundListener& listener);
  void Take(UniqueFd fd, const SocketAddress& address,
            const std::shared_ptr<const Listener>& listener);
  void RefuseHere(const NewConnection& connection);
  bool Admits(int fd, const Listener& listener, const std::optional<IpAddress>& address);
  // What stands against one more connection, of `peer`, which may be null.
  Refusal WhyNot(const Listener& listener, const Peer* peer);
  size_t Connections(size_t worker) const;
  void HandOver(NewConnection connection);
  void CannotAccept(const BoundListener& listener, int error);

  const std::unique_ptr<Mailbox<AcceptorMessage>> mailbox_;
  std::vector<BoundListener> listeners_;
  std::vector<pollfd> polled_;  // The mailbox first, then the listeners in their order.
  const std::vector<std::unique_ptr<Worker>>& workers_;
  Limit<int> connections_max_;
  Limit<size_t> memory_limit_;
  Metrics& metrics_;
  const size_t thread_;
  spdlog::logger* const log_;
  std::vector<size_t> admitted_;     // Handed over to each worker to be served, so far.
  size_t refused_ = 0;               // Handed over to be refused, so far.
  std::atomic<uint64_t> pinged_{0};  // Written by the acceptor only.
  bool paused_ = false;
  bool stopped_ = false;
  MonotonicTime next_complaint_ = MonotonicTime::min();
};

}  // namespace bsockd
