#include "lib/server/server.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "lib/base/text.h"
#include "lib/handler/registry.h"
#include "lib/net/ip.h"

namespace bsockd {
namespace {

int UsableCpus() {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0) return 1;
  return std::clamp(CPU_COUNT(&cpus), 1, kWorkersMax);
}

// Starts a thread under a name that ps(1) and gdb(1) show, of at most 15 characters
// (pthread_setname_np(3)). std::thread reports by an exception that the system has no more threads.
template <typename Function>
absl::Status StartThread(const std::string& name, Function function, std::thread* thread) {
  try {
    *thread = std::thread(std::move(function));
    pthread_setname_np(thread->native_handle(), name.c_str());
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(std::string("cannot start a thread: ") + error.what());
  }
  return absl::OkStatus();
}

// A listener's own limits for an address need a table of addresses; one that the limit on all
// connections implies does not.
bool LimitsAddresses(const LimitsConfig& limits) {
  return limits.requests_per_second.value > 0 || !limits.max_connections.enforce ||
         limits.max_connections_per_ip.value < limits.max_connections.value;
}

absl::StatusOr<std::shared_ptr<const Listener>> MakeListener(
    const ListenerConfig& config, size_t index, const std::shared_ptr<const Handler>& handler) {
  absl::StatusOr<Admission> admission = Admission::Make(config);
  if (!admission.ok()) return admission.status();
  auto listener = std::make_shared<Listener>();
  listener->name = config.name;
  listener->index = index;
  const LimitsConfig& limits = config.limits;
  const size_t max_frame = limits.max_frame.enforce ? limits.max_frame.value : kMaxFrameMax;
  listener->framer = MakeFramer(config.framing, max_frame);
  if (config.reply_framing) {
    listener->own_reply_framer = MakeFramer(*config.reply_framing, kMaxFrameMax);
  }
  listener->handler = handler;
  listener->limits = limits;
  listener->timeouts = config.timeouts;
  listener->flush_after = config.framing.flush_after;
  listener->reply_errors = config.reply_errors;
  if (const int rate = limits.requests_per_second.value; rate > 0) {
    const int burst = limits.requests_burst > 0 ? limits.requests_burst : rate;
    listener->request_rate = {std::chrono::nanoseconds(std::chrono::seconds(1)) / rate, burst};
  }
  if (LimitsAddresses(limits)) listener->peers = std::make_unique<PeerTable>();
  listener->admission = *std::move(admission);
  return listener;
}

// Whether whoever reaches the machine may use a listener that is bound so.
absl::Status CheckProtection(const ServerConfig& server, const ListenerConfig& listener,
                             const std::vector<ListenSocket>& sockets, spdlog::logger* log) {
  const bool listed = !listener.allow.value.empty() && listener.allow.enforce;
  if (listed || server.protection == Protected::kOff) return absl::OkStatus();
  for (const ListenSocket& socket : sockets) {
    const std::optional<IpAddress> address = IpAddress::From(socket.local());
    if (!address || address->is_loopback()) continue;
    const std::string text = fmt::format(
        "listener {}: whoever reaches {} may use it (say who may, as in allow: [192.0.2.0/24], or "
        "listen on 127.0.0.1; server.protected: off, if that is meant)",
        listener.name, socket.name());
    if (server.protection == Protected::kStrict) {
      return absl::InvalidArgumentError(ToAbsl(text));
    }
    log->warn("{}", text);
    break;  // Once for each address as it was written.
  }
  return absl::OkStatus();
}

}  // namespace

int WorkerCount(const ServerConfig& config) {
  return config.workers > 0 ? config.workers : UsableCpus();
}

std::unique_ptr<Metrics> MakeMetrics(const Config& config) {
  std::vector<std::string> names;
  for (const ListenerConfig& listener : config.listeners) names.push_back(listener.name);
  // The workers and the acceptor.
  return std::make_unique<Metrics>(std::move(names),
                                   static_cast<size_t>(config.server.workers) + 1);
}

absl::StatusOr<BoundListeners> BindListeners(const Config& config, RequestLog* request_log,
                                             Metrics* metrics, spdlog::logger* log) {
  std::map<std::string, std::shared_ptr<const Handler>> handlers;
  for (const HandlerConfig& handler : config.handlers) {
    handlers[handler.name] = MakeHandler(handler, request_log, metrics);
  }
  BoundListeners bound;
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    const ListenerConfig& listener_config = config.listeners[i];
    const std::shared_ptr<const Handler>& handler = handlers.at(listener_config.handler);
    auto listener = MakeListener(listener_config, i, handler);
    if (!listener.ok()) return listener.status();
    for (const Address& address : listener_config.listen) {
      absl::StatusOr<std::vector<ListenSocket>> sockets =
          address.datagrams ? BindDatagram(address, listener_config.mode, config.server.workers)
                            : Listen(address, listener_config.mode);
      if (!sockets.ok()) return absl::UnavailableError(ToAbsl(MessageOf(sockets.status())));
      if (absl::Status status = CheckProtection(config.server, listener_config, *sockets, log);
          !status.ok()) {
        return status;
      }
      std::vector<BoundListener>& kind = address.datagrams ? bound.datagrams : bound.streams;
      for (ListenSocket& socket : *sockets) kind.push_back({std::move(socket), *listener});
    }
  }
  return bound;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerConfig& config,
                                                      BoundListeners listeners, Metrics* metrics,
                                                      spdlog::logger* log) {
  std::unique_ptr<Server> server(new Server(config, metrics, log));
  auto events = Mailbox<WorkerEnded>::Create();
  if (!events.ok()) return events.status();
  server->events_ = *std::move(events);

  absl::Status status = server->StartWorkersFor(config.io);
  if (!status.ok()) return status;
  server->GiveToWorkers(std::move(listeners.datagrams));

  auto mailbox = Mailbox<StopAccepting>::Create();
  if (!mailbox.ok()) return mailbox.status();
  const size_t thread = server->workers_.size();
  server->acceptor_ = std::make_unique<Acceptor>(*std::move(mailbox), std::move(listeners.streams),
                                                 server->workers_, config, metrics, thread, log);
  status = StartThread(
      "acceptor", [acceptor = server->acceptor_.get()] { acceptor->Run(); },
      &server->acceptor_thread_);
  if (!status.ok()) return status;
  return server;
}

// The sockets of an address stand together, one a worker; a Unix address is one socket.
void Server::GiveToWorkers(std::vector<BoundListener> datagrams) {
  size_t next = 0;
  for (BoundListener& bound : datagrams) {
    workers_[next++ % workers_.size()]->mailbox().Post(
        NewDatagramSocket{std::move(bound.socket), std::move(bound.listener)});
  }
}

absl::Status Server::StartWorkersFor(IoBackend backend) {
  const int count = config_.workers;
  if (backend != IoBackend::kEpoll) {
    absl::Status status = StartWorkers(MakeUringIo);
    if (status.ok()) {
      log_->info("{} worker{} on io_uring", count, count == 1 ? "" : "s");
      return status;
    }
    if (backend == IoBackend::kIoUring) {
      return absl::Status(
          status.code(),
          ToAbsl(fmt::format("io_uring is not to be had here: {} (io: auto uses epoll then)",
                             MessageOf(status))));
    }
    log_->warn("io_uring is not to be had here ({}), so epoll is used", MessageOf(status));
  }
  absl::Status status = StartWorkers(MakeEpollIo);
  if (status.ok()) log_->info("{} worker{} on epoll", count, count == 1 ? "" : "s");
  return status;
}

// All or none.
absl::Status Server::StartWorkers(const IoFactory& make_io) {
  const int count = config_.workers;
  absl::Status status;
  for (int i = 0; i < count && status.ok(); ++i) {
    auto mailbox = Mailbox<WorkerMessage>::Create();
    if (!mailbox.ok()) {
      status = mailbox.status();
      break;
    }
    workers_.push_back(std::make_unique<Worker>(*std::move(mailbox), metrics_,
                                                static_cast<size_t>(i), config_.memory_limit));
    worker_threads_.emplace_back();
    std::promise<absl::Status> promise;
    std::future<absl::Status> io_made = promise.get_future();
    status = StartThread(
        "worker " + std::to_string(i),
        [worker = workers_.back().get(), events = events_.get(), &make_io,
         started = std::move(promise)]() mutable {
          bool works = false;  // `make_io` is there until the promise is kept.
          const WorkerEnded ended = worker->Run(make_io, [&](absl::Status io_status) {
            works = io_status.ok();
            started.set_value(std::move(io_status));
          });
          if (works) events->Post(ended);
        },
        &worker_threads_.back());
    if (status.ok()) status = io_made.get();
  }
  if (status.ok()) return status;
  TellWorkers<bsockd::Cut>();
  for (std::thread& thread : worker_threads_) {
    if (thread.joinable()) thread.join();
  }
  workers_.clear();
  worker_threads_.clear();
  std::vector<WorkerEnded> ignored;
  events_->Take(&ignored);
  return status;
}

template <typename Message>
void Server::TellWorkers() {
  for (const auto& worker : workers_) worker->mailbox().Post(Message());
}

void Server::StopAcceptor() {
  if (!acceptor_thread_.joinable()) return;
  acceptor_->mailbox().Post(StopAccepting());
  acceptor_thread_.join();
}

void Server::Drain() {
  // First the acceptor: what it still hands over is in the mailboxes before the drain is.
  StopAcceptor();
  TellWorkers<bsockd::Drain>();
}

void Server::Cut() {
  StopAcceptor();
  TellWorkers<bsockd::Cut>();
}

bool Server::ended() {
  pollfd wake{.fd = events_->wake_fd(), .events = POLLIN, .revents = 0};
  if (eventfd_t ignored; poll(&wake, 1, 0) == 1) eventfd_read(wake.fd, &ignored);
  std::vector<WorkerEnded> ended;
  events_->Take(&ended);
  for (const WorkerEnded& worker : ended) {
    ++workers_ended_;
    connections_cut_ += worker.connections_cut;
  }
  return workers_ended_ == workers_.size();
}

Server::~Server() {
  Cut();
  for (std::thread& thread : worker_threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace bsockd
