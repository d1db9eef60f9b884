#include "lib/server/server.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

#include "lib/base/text.h"

namespace bsockd {
namespace {

// What Apply() waits for workers, at most.
constexpr Duration kApplyPatience = std::chrono::milliseconds(500);

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

int WorkerCount(const ServerConfig& config) {
  return config.workers > 0 ? config.workers : UsableCpus();
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerConfig& config, Metrics* metrics,
                                                      spdlog::logger* log) {
  std::unique_ptr<Server> server(new Server(config, metrics, log));
  auto events = Mailbox<WorkerEvent>::Create();
  if (!events.ok()) return events.status();
  server->events_ = *std::move(events);
  if (absl::Status status = server->StartWorkersFor(config.io); !status.ok()) return status;
  if (absl::Status status = server->StartAcceptor(); !status.ok()) return status;
  return server;
}

absl::Status Server::StartAcceptor() {
  auto mailbox = Mailbox<AcceptorMessage>::Create();
  if (!mailbox.ok()) return mailbox.status();
  acceptor_ =
      std::make_unique<Acceptor>(*std::move(mailbox), workers_, metrics_, workers_.size(), log_);
  return StartThread(
      "acceptor", [acceptor = acceptor_.get()] { acceptor->Run(); }, &acceptor_thread_);
}

void Server::Apply(const ServerConfig& config, Services services) {
  config_ = config;
  services_ = std::move(services);  // The acceptor has the last of what goes, and closes it.
  std::promise<void> promise;
  std::future<void> listening = promise.get_future();
  acceptor_->mailbox().Post(ListenOn{.listeners = services_.streams,
                                     .max_connections = config.max_connections,
                                     .memory_limit = config.memory_limit,
                                     .done = std::move(promise)});
  // The acceptor does not wait for anything long. Behind what it still hands over for the former
  // listeners, the workers learn of the new ones.
  listening.wait();
  std::vector<std::vector<BoundListener>> datagrams = DatagramsByWorker();
  const auto listeners = std::make_shared<const ListenersByName>(services_.listeners);
  std::vector<std::future<void>> applied;
  for (size_t i = 0; i < workers_.size(); ++i) {
    std::promise<void> done;
    applied.push_back(done.get_future());
    workers_[i]->mailbox().Post(Reconfigure{.listeners = listeners,
                                            .datagrams = std::move(datagrams[i]),
                                            .memory_limit = config.memory_limit,
                                            .drain_grace = config.drain_timeout,
                                            .done = std::move(done)});
  }
  // One that is held up by a handler will see to it later.
  const auto deadline = std::chrono::steady_clock::now() + kApplyPatience;
  for (const std::future<void>& worker : applied) worker.wait_until(deadline);
}

// A socket stays with its worker. New ones go round: the sockets of an address stand together, one
// a worker.
std::vector<std::vector<BoundListener>> Server::DatagramsByWorker() {
  std::map<const ListenSocket*, size_t> readers;
  std::vector<std::vector<BoundListener>> datagrams(workers_.size());
  for (const BoundListener& bound : services_.datagrams) {
    const auto former = readers_.find(bound.socket.get());
    const size_t worker =
        former != readers_.end() ? former->second : next_reader_++ % workers_.size();
    readers[bound.socket.get()] = worker;
    datagrams[worker].push_back(bound);
  }
  readers_ = std::move(readers);
  return datagrams;
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
    workers_.push_back(std::make_unique<Worker>(*std::move(mailbox), events_.get(), metrics_,
                                                static_cast<size_t>(i), static_cast<size_t>(count),
                                                config_.memory_limit));
    worker_threads_.emplace_back();
    std::promise<absl::Status> promise;
    std::future<absl::Status> io_made = promise.get_future();
    status = StartThread(
        "worker " + std::to_string(i),
        [worker = workers_.back().get(), &make_io, started = std::move(promise)]() mutable {
          // `make_io` is there until the promise is kept.
          worker->Run(make_io,
                      [&](absl::Status io_status) { started.set_value(std::move(io_status)); });
        },
        &worker_threads_.back());
    if (status.ok()) status = io_made.get();
  }
  if (status.ok()) return status;
  for (const auto& worker : workers_) worker->mailbox().Post(bsockd::Cut());
  for (std::thread& thread : worker_threads_) {
    if (thread.joinable()) thread.join();
  }
  workers_.clear();
  worker_threads_.clear();
  std::vector<WorkerEvent> ignored;
  events_->Take(&ignored);
  return status;
}

void Server::StopAcceptor(SocketsAre sockets) {
  if (!acceptor_thread_.joinable()) return;
  acceptor_->mailbox().Post(StopAccepting{.backlog_left = sockets == SocketsAre::kLeft});
  acceptor_thread_.join();
  services_ = {};  // The workers have those for datagrams until they know.
}

void Server::Drain(Duration spread, SocketsAre sockets) {
  // First the acceptor: what it still hands over is in the mailboxes before the drain is.
  StopAcceptor(sockets);
  for (const auto& worker : workers_) {
    worker->mailbox().Post(
        bsockd::Drain{.spread = spread, .sockets_left = sockets == SocketsAre::kLeft});
  }
}

void Server::Cut() {
  StopAcceptor(SocketsAre::kClosed);
  for (const auto& worker : workers_) worker->mailbox().Post(bsockd::Cut());
}

void Server::Ping() {
  ++pings_;
  for (const auto& worker : workers_) worker->mailbox().Post(bsockd::Ping{pings_});
  acceptor_->mailbox().Post(bsockd::Ping{pings_});
}

std::vector<std::string> Server::Silent() const {
  std::vector<std::string> silent;
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i]->pinged() < pings_) silent.push_back(fmt::format("worker {}", i));
  }
  if (acceptor_thread_.joinable() && acceptor_->pinged() < pings_) silent.push_back("acceptor");
  return silent;
}

ConnectionsCut Server::TakeEvents() {
  pollfd wake{.fd = events_->wake_fd(), .events = POLLIN, .revents = 0};
  if (eventfd_t ignored; poll(&wake, 1, 0) == 1) eventfd_read(wake.fd, &ignored);
  std::vector<WorkerEvent> events;
  events_->Take(&events);
  ConnectionsCut cuts;
  for (WorkerEvent& event : events) {
    if (auto* cut = std::get_if<ConnectionsCut>(&event)) {
      cuts.count += cut->count;
      for (ConnectionsCut::One& one : cut->first) {
        if (cuts.first.size() < kCutsToldMax) cuts.first.push_back(std::move(one));
      }
    } else {
      ++workers_ended_;
    }
  }
  return cuts;
}

Server::~Server() {
  Cut();
  for (std::thread& thread : worker_threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace bsockd
