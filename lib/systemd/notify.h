// Notifier: tells the service manager how the service is, sd_notify(3).
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <optional>
#include <string>
#include <string_view>

#include "lib/base/clock.h"
#include "lib/base/unique_fd.h"

namespace bsockd {

// Without NOTIFY_SOCKET every call does nothing. Errors are not reported: nothing that the service
// does depends on who listens.
//
// sd_notify() itself would look for NOTIFY_SOCKET in the environment at every call, and it is to be
// gone from there; so the messages, which are a stable protocol, are sent here.
//
// Thread: control.
class Notifier {
 public:
  // Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment, so that children do
  // not get them: call it before any thread starts, and once.
  static Notifier FromEnvironment();

  bool active() const { return static_cast<bool>(socket_); }
  // WatchdogSec=, if it is meant for this process. Watchdog() is due at least twice in this time.
  std::optional<Duration> watchdog_timeout() const { return watchdog_timeout_; }

  // A status is one line; control characters become spaces.
  void Ready(std::string_view status);
  void Reloading();
  void Stopping(std::string_view status);
  void Status(std::string_view status);  // Nothing is sent if it is the last one still.
  // The manager's time limit on starting, reloading or stopping ends no sooner than `by` from now.
  void ExtendTimeout(Duration by);
  void Watchdog();

  // Leaves `fd` with the manager, which gives it to the next start as an inherited descriptor. The
  // caller keeps its own. The manager keeps one of each open file, whatever its names. `name`:
  // printable ASCII without ':', 1 to 255 characters; several descriptors may have the same one.
  void Store(std::string_view name, int fd);
  void Unstore(std::string_view name);  // All of that name.
  // Waits until the manager has done what it was told so far, for a second at most.
  void Barrier();

 private:
  enum class Urgency { kMustArrive, kMayBeLost };

  bool Send(std::string_view message, Urgency urgency, int fd = -1);
  // READY=1 and the like with a status, or a status alone.
  void SendWithStatus(std::string_view message, std::string_view status, Urgency urgency);

  UniqueFd socket_;
  sockaddr_un manager_{};
  socklen_t manager_size_ = 0;
  std::optional<Duration> watchdog_timeout_;
  std::optional<std::string> status_;  // The last one that was sent.
};

}  // namespace bsockd
