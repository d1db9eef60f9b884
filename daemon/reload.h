// Reloader: reads the configuration again and makes what it needs, on a thread of its own, because
// names may have to be resolved, which can take long, and signals and the watchdog do not wait.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/flags.h"
#include "daemon/settings.h"
#include "lib/base/unique_fd.h"
#include "lib/server/services.h"

namespace bsockd {

// Thread: control.
class Reloader {
 public:
  // Errors: that of eventfd(2).
  static absl::StatusOr<std::unique_ptr<Reloader>> Create();
  // Waits for the thread, if it is still at work.
  ~Reloader();

  bool busy() const { return thread_.joinable(); }

  // What MakeServices() is to be given.
  struct Request {
    Flags flags;
    int workers;
    ListenSockets present;
    ListenersByName former;
    RequestLog* request_log;
    Metrics* metrics;
  };
  // Not while it is busy. Errors: there are no more threads.
  absl::Status Start(Request request);

  // Readable when Take() has something.
  int event_fd() const { return event_.get(); }

  struct Result {
    std::vector<std::string> errors;  // Not empty: nothing else is of use.
    Config config;                    // As it was read, ...
    NewServices services;             // ... and made with what stays as it is.
  };
  Result Take();

 private:
  explicit Reloader(UniqueFd event) : event_(std::move(event)) {}

  const UniqueFd event_;
  std::thread thread_;
  Result result_;  // The thread's, until it has signalled.
};

}  // namespace bsockd
