#include "lib/server/acceptor.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <variant>

#include "lib/base/log_event.h"

namespace bsockd {
namespace {

constexpr int kBatchMax = 64;         // Connections of one listener before the next has its turn.
constexpr int kFinalBatchMax = 4096;  // Of one listener when accepting stops: a whole backlog.
constexpr int kPauseMs = 100;         // After running out of descriptors or memory.
constexpr Duration kComplaintInterval = std::chrono::seconds(1);
// Connections above the limit that workers are telling so at a time.
constexpr size_t kRefusedMax = 64;

}  // namespace

Acceptor::Acceptor(std::unique_ptr<Mailbox<AcceptorMessage>> mailbox,
                   const std::vector<std::unique_ptr<Worker>>& workers, Metrics* metrics,
                   size_t thread, spdlog::logger* log)
    : mailbox_(std::move(mailbox)),
      workers_(workers),
      metrics_(*metrics),
      thread_(thread),
      log_(log),
      admitted_(workers.size()) {
  polled_.push_back({.fd = mailbox_->wake_fd(), .events = POLLIN, .revents = 0});
}

void Acceptor::Run() {
  while (!stopped_) {
    const nfds_t watched = paused_ ? 1 : polled_.size();
    const int ready = poll(polled_.data(), watched, paused_ ? kPauseMs : -1);
    const bool was_paused = std::exchange(paused_, false);
    if (ready <= 0) continue;
    // The sockets are looked at before the mailbox, which may change them.
    for (size_t i = 0; i < listeners_.size() && !was_paused && !paused_; ++i) {
      if (polled_[i + 1].revents != 0) AcceptBatch(listeners_[i], kBatchMax);
    }
    if (polled_[0].revents != 0) ReadMailbox();
  }
}

void Acceptor::ReadMailbox() {
  eventfd_t ignored;
  eventfd_read(mailbox_->wake_fd(), &ignored);
  std::vector<AcceptorMessage> messages;
  mailbox_->Take(&messages);
  for (AcceptorMessage& message : messages) {
    std::visit([this](auto& content) { On(content); }, message);
  }
}

void Acceptor::On(ListenOn& message) {
  for (BoundListener& former : listeners_) {
    const bool stays =
        std::any_of(message.listeners.begin(), message.listeners.end(),
                    [&](const BoundListener& bound) { return bound.socket == former.socket; });
    if (!stays) {
      AcceptRest(former);
      former.socket.reset();
    }
  }
  listeners_ = std::move(message.listeners);
  connections_max_ = message.max_connections;
  memory_limit_ = message.memory_limit;
  polled_.resize(1);
  for (const BoundListener& listener : listeners_) {
    polled_.push_back({.fd = listener.socket->fd(), .events = POLLIN, .revents = 0});
  }
  message.done.set_value();
}

void Acceptor::On(StopAccepting& message) {
  stopped_ = true;
  for (BoundListener& listener : listeners_) {
    if (!message.backlog_left) AcceptRest(listener);
  }
  listeners_.clear();
}

// What still waits for a socket that is to be closed.
void Acceptor::AcceptRest(BoundListener& listener) {
  listener.socket->Unlink();
  // Asked first, because accept(2) without a free descriptor fails even where nothing waits.
  pollfd waiting{.fd = listener.socket->fd(), .events = POLLIN, .revents = 0};
  if (poll(&waiting, 1, 0) == 1) AcceptBatch(listener, kFinalBatchMax);
}

void Acceptor::AcceptBatch(const BoundListener& listener, int batch_max) {
  for (int i = 0; i < batch_max; ++i) {
    switch (AcceptOne(listener)) {
      case Outcome::kAccepted:
      case Outcome::kConnectionLost:
        break;
      case Outcome::kNothingWaits:
        return;
      case Outcome::kCannotAccept:
        paused_ = true;
        return;
    }
  }
}

Acceptor::Outcome Acceptor::AcceptOne(const BoundListener& listener) {
  // The connection is blocking: io_uring does not wait for a non-blocking one, and the epoll
  // back-end says MSG_DONTWAIT. The listen socket is non-blocking.
  SocketAddress address;
  address.size = sizeof(address.storage);
  UniqueFd fd(accept4(listener.socket->fd(), &address.any, &address.size, SOCK_CLOEXEC));
  if (fd) {
    Take(std::move(fd), address, listener.listener);
    return Outcome::kAccepted;
  }
  switch (errno) {
    case EAGAIN:
      return Outcome::kNothingWaits;
    case ECONNABORTED:
    case EINTR:
    // The network's errors of that connection, which accept(2) passes on.
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
      return Outcome::kConnectionLost;
    default:
      // EMFILE, ENFILE, ENOMEM, ENOBUFS; or a security module's EPERM, which it may say again.
      CannotAccept(listener, errno);
      return Outcome::kCannotAccept;
  }
}

// Returning without handing it over closes the connection.
void Acceptor::Take(UniqueFd fd, const SocketAddress& address,
                    const std::shared_ptr<const Listener>& listener) {
  const std::optional<IpAddress> ip = IpAddress::From(address);
  if (!Admits(fd.get(), *listener, ip)) return;
  NewConnection connection{.fd = std::move(fd), .listener = listener, .peer = nullptr};
  if (ip && listener->peers) {
    connection.peer = listener->peers->Find(*ip, std::chrono::steady_clock::now());
  }
  connection.refusal = WhyNot(*listener, connection.peer.get());
  if (connection.refusal == Refusal::kNone) {
    listener->metrics->At(thread_).Add(Counter::kConnections);
    if (connection.peer) connection.peer->connections.fetch_add(1, std::memory_order_relaxed);
  } else {
    connection.peer.reset();
    size_t gone = 0;
    for (const auto& worker : workers_) gone += worker->refusals_closed();
    if (!listener->reply_errors) return;
    if (refused_ - gone >= kRefusedMax) return RefuseHere(connection);
    ++refused_;
  }
  HandOver(std::move(connection));
}

// Without waiting for the client to read it, so a client that has sent something may not see it.
void Acceptor::RefuseHere(const NewConnection& connection) {
  const Framer& framer = connection.listener->reply_framer();
  std::string frame;
  AppendErrorFrame(framer, framer.canonical_ending(), "full", TextOf(connection.refusal), &frame);
  send(connection.fd.get(), frame.data(), frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool Acceptor::Admits(int fd, const Listener& listener, const std::optional<IpAddress>& address) {
  ListenerMetrics::Block& metrics = listener.metrics->At(thread_);
  const Admission& admission = listener.admission;
  if (address) {
    return !admission.asks_address() ||
           admission.Admits(*address, metrics, Counter::kRefusedDeny, Counter::kRefusedAllow);
  }
  if (!admission.asks_peer()) return true;
  const absl::StatusOr<PeerCredentials> peer = CredentialsOf(fd);
  return admission.Admits(peer.ok() ? std::optional(*peer) : std::nullopt, metrics,
                          Counter::kRefusedPeer);
}

Refusal Acceptor::WhyNot(const Listener& listener, const Peer* peer) {
  ListenerMetrics::Block& metrics = listener.metrics->At(thread_);
  const auto exceeds = [&metrics](const auto& limit, size_t present, Counter counter) {
    if (present < static_cast<size_t>(limit.value)) return false;
    metrics.Add(counter, limit.enforce);
    return limit.enforce;
  };
  size_t connections = 0;
  for (size_t i = 0; i < workers_.size(); ++i) connections += Connections(i);
  if (exceeds(connections_max_, connections, Counter::kRefusedServerConnections)) {
    return Refusal::kServerFull;
  }
  if (exceeds(listener.limits.max_connections, listener.metrics->Connections(),
              Counter::kRefusedListenerConnections)) {
    return Refusal::kListenerFull;
  }
  if (peer != nullptr) {
    const auto present = static_cast<size_t>(peer->connections.load(std::memory_order_relaxed));
    if (exceeds(listener.limits.max_connections_per_ip, present,
                Counter::kRefusedConnectionsPerIp)) {
      return Refusal::kAddressFull;
    }
  }
  const auto bytes = static_cast<size_t>(std::max<int64_t>(metrics_.buffer_bytes().load(), 0));
  if (exceeds(memory_limit_, bytes, Counter::kRefusedMemory)) return Refusal::kMemory;
  return Refusal::kNone;
}

// That a worker serves now.
size_t Acceptor::Connections(size_t worker) const {
  return admitted_[worker] - workers_[worker]->connections_closed();
}

void Acceptor::HandOver(NewConnection connection) {
  size_t chosen = 0;
  for (size_t i = 1; i < workers_.size(); ++i) {
    if (Connections(i) < Connections(chosen)) chosen = i;
  }
  if (connection.refusal == Refusal::kNone) ++admitted_[chosen];
  workers_[chosen]->mailbox().Post(std::move(connection));
}

void Acceptor::CannotAccept(const BoundListener& listener, int error) {
  const MonotonicTime now = std::chrono::steady_clock::now();
  if (now < next_complaint_) return;
  next_complaint_ = now + kComplaintInterval;
  const std::string& name = listener.listener->name;
  LogEvent(*log_, spdlog::level::err, {.listener = name, .reason = strerrorname_np(error)},
           fmt::format("cannot accept on {} ({}): {}; pausing for {} ms at a time",
                       listener.socket->name(), name, strerrordesc_np(error), kPauseMs));
}

}  // namespace bsockd
