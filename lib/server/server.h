// Server: the whole of it for a configuration: listen sockets, acceptor, workers.
//
//   listeners = BindListeners(config, ...)      // control thread; a bad address fails here
//   server = Server::Start(config, listeners)   // starts the threads
//   ... server->Drain(); wait for event_fd() until ended(); perhaps server->Cut() ...
//
// Thread: all calls on one, the control thread. Destroying a server that has not ended cuts it.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <spdlog/logger.h>

#include <memory>
#include <thread>
#include <vector>

#include "lib/base/mailbox.h"
#include "lib/config/config.h"
#include "lib/handler/request_log.h"
#include "lib/metrics/metrics.h"
#include "lib/server/acceptor.h"
#include "lib/server/worker.h"

namespace bsockd {

// How many worker threads there are to be, where the configuration leaves that open.
int WorkerCount(const ServerConfig& config);

// In what follows, the number of workers must be settled.

// The counters for a configuration; they outlive the server.
std::unique_ptr<Metrics> MakeMetrics(const Config& config);

struct BoundListeners {
  std::vector<BoundListener> streams;    // The acceptor's.
  std::vector<BoundListener> datagrams;  // The workers': each address is there once a worker.
};

// Binds every address of every listener, and looks up the users that it names. `request_log` and
// `metrics` outlive what is returned. A listener that the whole network can reach is a warning.
//
// Errors: InvalidArgument where `server.protected: strict` forbids that, and for a user that there
// is not; Unavailable, naming the address and the reason, where it cannot be bound.
absl::StatusOr<BoundListeners> BindListeners(const Config& config, RequestLog* request_log,
                                             Metrics* metrics, spdlog::logger* log);

class Server {
 public:
  // `metrics` and `log` outlive the server. Errors: what the operating system refused (threads,
  // descriptors, io_uring where `io: io_uring` demands it).
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerConfig& config,
                                                       BoundListeners listeners, Metrics* metrics,
                                                       spdlog::logger* log);
  ~Server();

  // Stops accepting, answers what has come, closes connections at frame boundaries. Returns at
  // once; call it at most once.
  void Drain();
  // Closes everything now. May follow Drain().
  void Cut();

  // Readable when ended() may have changed; ended() resets it.
  int event_fd() const { return events_->wake_fd(); }
  // Whether every thread has done its work.
  bool ended();
  // Connections that were closed with something unfinished, so far.
  size_t connections_cut() const { return connections_cut_; }

 private:
  Server(const ServerConfig& config, Metrics* metrics, spdlog::logger* log)
      : config_(config), metrics_(metrics), log_(log) {}

  absl::Status StartWorkers(const IoFactory& make_io);
  absl::Status StartWorkersFor(IoBackend backend);
  void GiveToWorkers(std::vector<BoundListener> datagrams);
  void StopAcceptor();
  template <typename Message>
  void TellWorkers();

  const ServerConfig config_;
  Metrics* const metrics_;
  spdlog::logger* const log_;
  std::unique_ptr<Mailbox<WorkerEnded>> events_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> worker_threads_;
  std::unique_ptr<Acceptor> acceptor_;
  std::thread acceptor_thread_;
  size_t workers_ended_ = 0;
  size_t connections_cut_ = 0;
};

}  // namespace bsockd
