#include "lib/server/acceptor.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace bsockd {
namespace {

constexpr int kBatchMax = 64;         // Connections of one listener before the next has its turn.
constexpr int kFinalBatchMax = 4096;  // Of one listener when accepting stops: a whole backlog.
constexpr int kPauseMs = 100;         // After running out of descriptors or memory.
constexpr Duration kComplaintInterval = std::chrono::seconds(1);
// Connections above the limit that are told so at a time; more are closed without a word.
constexpr size_t kRefusedMax = 64;

}  // namespace

Acceptor::Acceptor(std::unique_ptr<Mailbox<StopAccepting>> mailbox,
                   std::vector<BoundListener> listeners,
                   const std::vector<std::unique_ptr<Worker>>& workers, size_t connections_max,
                   spdlog::logger* log)
    : mailbox_(std::move(mailbox)),
      listeners_(std::move(listeners)),
      workers_(workers),
      handed_over_(workers.size()),
      connections_max_(connections_max),
      log_(log) {}

void Acceptor::Run() {
  // The mailbox first, then the listeners in their order.
  std::vector<pollfd> polled;
  polled.push_back({.fd = mailbox_->wake_fd(), .events = POLLIN, .revents = 0});
  for (const BoundListener& listener : listeners_) {
    polled.push_back({.fd = listener.socket.fd(), .events = POLLIN, .revents = 0});
  }
  while (polled[0].revents == 0) {
    const nfds_t watched = paused_ ? 1 : polled.size();
    const int ready = poll(polled.data(), watched, paused_ ? kPauseMs : -1);
    if (paused_) {
      paused_ = false;
      continue;
    }
    if (ready <= 0) continue;
    for (size_t i = 0; i < listeners_.size() && !paused_; ++i) {
      if (polled[i + 1].revents != 0) AcceptBatch(listeners_[i], kBatchMax);
    }
  }
  for (BoundListener& listener : listeners_) {
    listener.socket.Unlink();
    // Asked first, because accept(2) without a free descriptor fails even where nothing waits.
    pollfd waiting{.fd = listener.socket.fd(), .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, 0) == 1) AcceptBatch(listener, kFinalBatchMax);
  }
  listeners_.clear();
}

void Acceptor::AcceptBatch(const BoundListener& listener, int batch_max) {
  for (int i = 0; i < batch_max; ++i) {
    switch (AcceptOne(listener)) {
      case Outcome::kAccepted:
      case Outcome::kConnectionLost:
        break;
      case Outcome::kNothingWaits:
        return;
      case Outcome::kOutOfResources:
        paused_ = true;
        return;
    }
  }
}

Acceptor::Outcome Acceptor::AcceptOne(const BoundListener& listener) {
  // The connection is blocking: io_uring does not wait for a non-blocking one, and the epoll
  // back-end says MSG_DONTWAIT. The listen socket is non-blocking.
  UniqueFd fd(accept4(listener.socket.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  if (fd) {
    HandOver(std::move(fd), listener);
    return Outcome::kAccepted;
  }
  switch (errno) {
    case EAGAIN:
      return Outcome::kNothingWaits;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
      OutOfResources(listener, errno);
      return Outcome::kOutOfResources;
    default:
      // ECONNABORTED, EINTR and the network's errors that accept(2) passes on: this one is lost,
      // the next may do.
      return Outcome::kConnectionLost;
  }
}

size_t Acceptor::Connections(size_t worker) const {
  return handed_over_[worker] - workers_[worker]->connections_closed();
}

void Acceptor::HandOver(UniqueFd fd, const BoundListener& listener) {
  size_t chosen = 0;
  size_t total = 0;
  for (size_t i = 0; i < workers_.size(); ++i) {
    total += Connections(i);
    if (Connections(i) < Connections(chosen)) chosen = i;
  }
  if (total >= connections_max_ + kRefusedMax) return;  // Closes it.
  ++handed_over_[chosen];
  workers_[chosen]->mailbox().Post(NewConnection{
      .fd = std::move(fd), .listener = listener.listener, .refused = total >= connections_max_});
}

void Acceptor::OutOfResources(const BoundListener& listener, int error) {
  const MonotonicTime now = std::chrono::steady_clock::now();
  if (now < next_complaint_) return;
  next_complaint_ = now + kComplaintInterval;
  log_->error("cannot accept on {} ({}): {}; pausing for {} ms at a time",
              listener.socket.local().ToString(), listener.listener->name, strerrordesc_np(error),
              kPauseMs);
}

}  // namespace bsockd
