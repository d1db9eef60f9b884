#include "lib/client/wait.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <system_error>

#include "lib/base/text.h"

namespace bsockd {

MonotonicTime DeadlineAfter(Duration timeout) {
  constexpr Duration kTimeoutMax = std::chrono::hours(24 * 365);
  return std::chrono::steady_clock::now() + std::min(timeout, kTimeoutMax);
}

int PollMilliseconds(MonotonicTime deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, std::numeric_limits<int>::max()));
}

absl::StatusOr<short> WaitFor(int fd, short events, MonotonicTime deadline) {
  pollfd entry{fd, events, 0};
  for (;;) {
    const int ready = poll(&entry, 1, PollMilliseconds(deadline));
    if (ready > 0) return entry.revents;
    if (ready < 0 && errno != EINTR) return SocketError(errno);
    // A year is more milliseconds than poll(2) takes, so only the clock says that time is up.
    if (std::chrono::steady_clock::now() >= deadline) return short{0};
  }
}

absl::Status SocketError(int error) {
  return {absl::ErrnoToStatusCode(error), std::generic_category().message(error)};
}

}  // namespace bsockd
