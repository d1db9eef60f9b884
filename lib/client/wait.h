// Waiting for one descriptor, and the words for what the kernel says of it.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "lib/base/clock.h"

namespace bsockd {

// The moment `timeout` from now. Never overflows: a timeout above a year is a year.
MonotonicTime DeadlineAfter(Duration timeout);

// poll(2)'s argument: the milliseconds until `deadline`, rounded up so that nobody wakes too early
// and spins; 0 once it has passed.
int PollMilliseconds(MonotonicTime deadline);

// Waits until `fd` shows one of `events` (POLLIN, POLLOUT), an error or a hang-up, or until the
// deadline. Returns poll's revents, 0 when time is up. Signals do not cut the wait short.
// Errors: that of poll(2).
absl::StatusOr<short> WaitFor(int fd, short events, MonotonicTime deadline);

// An errno as a status whose message is the system's own words alone, such as "Connection refused".
absl::Status SocketError(int error);

}  // namespace bsockd
