// Server: the threads that serve: an acceptor and workers.
//
//   services = MakeServices(...), Assemble(...)          // a bad address fails here
//   server = Server::Start(config, ...)                  // starts the threads
//   server->Apply(config, services)                      // now it accepts; later perhaps once more
//   server->Drain(); wait for event_fd() until ended(); perhaps server->Cut() ...
//
// Thread: all calls on one, the control thread. Destroying a server that has not ended cuts it.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <spdlog/logger.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/mailbox.h"
#include "lib/config/config.h"
#include "lib/metrics/metrics.h"
#include "lib/server/acceptor.h"
#include "lib/server/services.h"
#include "lib/server/worker.h"

namespace bsockd {

// How many worker threads there are to be, where the configuration leaves that open.
int WorkerCount(const ServerConfig& config);
// How many threads will count: the workers and the acceptor. The number of workers must be settled.
inline size_t CountingThreads(const ServerConfig& config) {
  return static_cast<size_t>(config.workers) + 1;
}

// Who else has the listen sockets when the server stops: nobody, so they are closed and what waits
// in their backlogs is served; or somebody, who will serve it.
enum class SocketsAre { kClosed, kLeft };

class Server {
 public:
  // `metrics` and `log` outlive the server. Errors: what the operating system refused (threads,
  // descriptors, io_uring where `io: io_uring` demands it).
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerConfig& config, Metrics* metrics,
                                                       spdlog::logger* log);
  ~Server();

  // Serves `services`, and nothing that it has served before. What comes in from now on belongs to
  // the new listeners, and so do the connections of a listener that has the same name and framing
  // in them. Connections of one that is gone drain, and are cut after config.drain_timeout. Sockets
  // that are gone are closed; what waited there is served first. The numbers of workers and the
  // back-end stay as they are.
  void Apply(const ServerConfig& config, Services services);
  const Services& services() const { return services_; }

  // Stops accepting, answers what has come, closes connections at frame boundaries, those that are
  // idle within `spread`. Returns at once; call it at most once.
  void Drain(Duration spread, SocketsAre sockets);
  // Closes everything, within a second. May follow Drain().
  void Cut();

  // Asks every thread for a sign of life.
  void Ping();
  // The threads that have not answered the last Ping().
  std::vector<std::string> Silent() const;

  // Readable when TakeEvents() may have something, or ended() may have changed.
  int event_fd() const { return events_->wake_fd(); }
  // What has been cut since the last call.
  ConnectionsCut TakeEvents();
  // Whether every thread has done its work, as of the last TakeEvents().
  bool ended() const { return workers_ended_ == workers_.size(); }

 private:
  Server(const ServerConfig& config, Metrics* metrics, spdlog::logger* log)
      : config_(config), metrics_(metrics), log_(log) {}

  absl::Status StartWorkers(const IoFactory& make_io);
  absl::Status StartWorkersFor(IoBackend backend);
  absl::Status StartAcceptor();
  std::vector<std::vector<BoundListener>> DatagramsByWorker();
  void StopAcceptor(SocketsAre sockets);

  ServerConfig config_;
  Services services_;
  Metrics* const metrics_;
  spdlog::logger* const log_;
  std::unique_ptr<Mailbox<WorkerEvent>> events_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> worker_threads_;
  std::unique_ptr<Acceptor> acceptor_;
  std::thread acceptor_thread_;
  std::map<const ListenSocket*, size_t> readers_;  // The worker that reads a socket's datagrams.
  size_t next_reader_ = 0;
  uint64_t pings_ = 0;
  size_t workers_ended_ = 0;
};

}  // namespace bsockd
