// The process's life: its signals, its limits, and its end.
#pragma once

#include <absl/status/statusor.h>
#include <spdlog/logger.h>

#include "lib/base/clock.h"
#include "lib/base/unique_fd.h"
#include "lib/metrics/metrics.h"
#include "lib/server/server.h"

namespace bsockd {

// What must be so before anything else happens: descriptors 0 to 2 are open, SIGPIPE is ignored,
// and malloc(3) gives large buffers back to the system when they are freed. By default glibc raises
// the size from which it does so with every large buffer that it sees, and would keep the memory of
// a crowd of slow readers for ever (mallopt(3), M_MMAP_THRESHOLD).
void PrepareProcess();

// Takes SIGTERM, SIGINT and SIGUSR1 out of every thread's way, so that only the returned
// signalfd(2) tells of them. Call it before any thread starts.
// Errors: that of signalfd(2).
absl::StatusOr<UniqueFd> TakeSignals();

// Raises the limit of open descriptors as far as it goes, and warns where that is too little for so
// many connections.
void RaiseDescriptorLimit(int connections_max, spdlog::logger& log);

// Serves until SIGTERM or SIGINT, then drains: what has come is answered, for `drain_timeout` at
// most, and what is still unfinished is cut. A second one ends the process at once, as that signal
// does. SIGUSR1 writes all counters to the log, and what the limits have done is logged once a
// second. Returns the exit status.
int Serve(Server& server, const UniqueFd& signals, Duration drain_timeout, const Metrics& metrics,
          spdlog::logger& log);

}  // namespace bsockd
