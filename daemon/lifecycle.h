// The process as the system sees it: its signals and its limits.
#pragma once

#include <absl/status/statusor.h>
#include <spdlog/logger.h>

#include "lib/base/unique_fd.h"

namespace bsockd {

// What must be so before anything else happens: descriptors 0 to 2 are open, SIGPIPE is ignored,
// and malloc(3) gives large buffers back to the system when they are freed. By default glibc raises
// the size from which it does so with every large buffer that it sees, and would keep the memory of
// a crowd of slow readers for ever (mallopt(3), M_MMAP_THRESHOLD).
void PrepareProcess();

// Takes SIGTERM, SIGINT, SIGHUP and SIGUSR1 out of every thread's way, so that only the returned
// signalfd(2) tells of them. Call it before any thread starts.
// Errors: that of signalfd(2).
absl::StatusOr<UniqueFd> TakeSignals();

// The next of them, or 0 where none waits. It must be readable.
int ReadSignal(const UniqueFd& signals);

// Ends the process as `signal`, one of them, does by default.
[[noreturn]] void DieBySignal(int signal);

// Raises the limit of open descriptors as far as it goes, and warns where that is too little for so
// many connections.
void RaiseDescriptorLimit(int connections_max, spdlog::logger& log);

}  // namespace bsockd
