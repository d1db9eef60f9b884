#include "lib/server/server.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <future>
#include <map>
#include <string>
#include <system_error>
#include <utility>

#include "lib/base/text.h"
#include "lib/handler/registry.h"

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

}  // namespace

absl::StatusOr<std::vector<BoundListener>> BindListeners(const Config& config,
                                                         RequestLog* request_log) {
  std::map<std::string, std::shared_ptr<const Handler>> handlers;
  for (const HandlerConfig& handler : config.handlers) {
    handlers[handler.name] = MakeHandler(handler, request_log);
  }
  std::vector<BoundListener> bound;
  for (const ListenerConfig& listener_config : config.listeners) {
    auto listener = std::make_shared<Listener>();
    listener->name = listener_config.name;
    listener->framer = MakeFramer(listener_config.framing, listener_config.limits.max_frame.value);
    listener->handler = handlers.at(listener_config.handler);
    listener->limits = listener_config.limits;
    listener->flush_after = listener_config.framing.flush_after;
    for (const Address& address : listener_config.listen) {
      absl::StatusOr<std::vector<ListenSocket>> sockets = Listen(address, listener_config.mode);
      if (!sockets.ok()) return sockets.status();
      for (ListenSocket& socket : *sockets) bound.push_back({std::move(socket), listener});
    }
  }
  return bound;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerConfig& config,
                                                      std::vector<BoundListener> listeners,
                                                      spdlog::logger* log) {
  std::unique_ptr<Server> server(new Server(log));
  auto events = Mailbox<WorkerEnded>::Create();
  if (!events.ok()) return events.status();
  server->events_ = *std::move(events);

  const int workers = config.workers > 0 ? config.workers : UsableCpus();
  absl::Status status = server->StartWorkersFor(config.io, workers);
  if (!status.ok()) return status;

  auto mailbox = Mailbox<StopAccepting>::Create();
  if (!mailbox.ok()) return mailbox.status();
  server->acceptor_ =
      std::make_unique<Acceptor>(*std::move(mailbox), std::move(listeners), server->workers_,
                                 static_cast<size_t>(config.max_connections.value), log);
  status = StartThread(
      "acceptor", [acceptor = server->acceptor_.get()] { acceptor->Run(); },
      &server->acceptor_thread_);
  if (!status.ok()) return status;
  return server;
}

absl::Status Server::StartWorkersFor(IoBackend backend, int count) {
  if (backend != IoBackend::kEpoll) {
    absl::Status status = StartWorkers(count, MakeUringIo);
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
  absl::Status status = StartWorkers(count, MakeEpollIo);
  if (status.ok()) log_->info("{} worker{} on epoll", count, count == 1 ? "" : "s");
  return status;
}

// All or none.
absl::Status Server::StartWorkers(int count, const IoFactory& make_io) {
  absl::Status status;
  for (int i = 0; i < count && status.ok(); ++i) {
    auto mailbox = Mailbox<WorkerMessage>::Create();
    if (!mailbox.ok()) {
      status = mailbox.status();
      break;
    }
    workers_.push_back(std::make_unique<Worker>(*std::move(mailbox)));
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
