// The listen sockets that bsockd is started with: those of systemd's .socket units, and its own of
// the time before a restart, which systemd's store has kept.
#pragma once

#include <absl/status/statusor.h>
#include <spdlog/logger.h>

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "lib/net/listen_socket.h"
#include "lib/systemd/inherited_fds.h"
#include "lib/systemd/notify.h"

namespace bsockd {

// The sockets that there are before anything is bound. If the start fails, whoever has them beside
// this process (systemd, a predecessor) goes on with them, so their files stay.
class StartSockets {
 public:
  StartSockets() = default;
  StartSockets(StartSockets&&) = default;
  StartSockets& operator=(StartSockets&&) = delete;
  ~StartSockets();

  // Makes listen sockets of what was inherited. What comes from the store and is of no use is
  // dropped there; a descriptor of a .socket unit that is of no use is for Check() to tell.
  static StartSockets Adopt(std::vector<InheritedFd> fds, Notifier& notifier, spdlog::logger& log);
  // Adds those of a predecessor, which has them still.
  void Add(const ListenSockets& taken_over);

  // `keys`: what the configuration names. The others stay open for now, so that a start that fails
  // has changed nothing; but a file that is to be a socket of the other type is made free.
  // Errors: InvalidArgument, naming all at once: every descriptor of a .socket unit that is of no
  // use or not among `keys`, and every one of `keys` that is not there.
  absl::Status Check(const std::set<std::string>& keys, Notifier& notifier);

  const ListenSockets& sockets() const { return sockets_; }
  // The start has succeeded: those that are not among `keys` are closed, their files removed, and
  // the store does not have them any more.
  void Release(const std::set<std::string>& keys, Notifier& notifier, spdlog::logger& log);

 private:
  ListenSockets sockets_;  // By SocketKey().
  std::map<std::string, std::string>
      useless_;  // Of .socket units, by SocketKey(): why, a line each.
};

// The sockets that systemd's store has for the next start (systemd.service(5),
// FileDescriptorStoreMax=). Thread: control.
class SocketStore {
 public:
  // `notifier` outlives the object.
  explicit SocketStore(Notifier* notifier) : notifier_(*notifier) {}

  // Makes the store have none but `sockets`, and waits until it is so: as long as it has a socket,
  // clients can connect there, and find nobody.
  void ForgetOthers(const ListenSockets& sockets);
  // Makes it have `sockets`, but for those of .socket units.
  void Keep(const ListenSockets& sockets, spdlog::logger& log);

 private:
  Notifier& notifier_;
  std::map<std::string, size_t> stored_;  // By SocketKey(): how many.
};

}  // namespace bsockd
