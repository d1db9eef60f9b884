// The listen sockets that bsockd is started with: those of systemd's .socket units, and its own of
// the time before a restart, which systemd's store has kept.
#pragma once

#include <absl/status/statusor.h>
#include <spdlog/logger.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lib/net/listen_socket.h"
#include "lib/systemd/inherited_fds.h"
#include "lib/systemd/notify.h"

namespace bsockd {

// Whether sockets of this SocketKey() belong to a .socket unit.
bool IsOfSocketUnit(std::string_view key);

// Makes listen sockets of them, by SocketKey(). What comes from the store and is of no use is
// dropped there. Errors: InvalidArgument, naming every descriptor of a .socket unit that is of no
// use.
absl::StatusOr<ListenSockets> AdoptInherited(std::vector<InheritedFd> fds, Notifier& notifier,
                                             spdlog::logger& log);

// What of `inherited` has no place in `used`: nothing if that is only what the store had, which is
// forgotten. Errors: InvalidArgument, naming every socket of a .socket unit that no listener uses.
absl::Status CheckAllUsed(const ListenSockets& inherited, const ListenSockets& used,
                          spdlog::logger& log);

// The sockets that systemd's store has for the next start (systemd.service(5),
// FileDescriptorStoreMax=). Thread: control.
class SocketStore {
 public:
  // `notifier` outlives the object. `known`: what the store has had before.
  SocketStore(Notifier* notifier, const ListenSockets& known);

  // Makes the store have `sockets`, but for those of .socket units, and no others.
  void Keep(const ListenSockets& sockets, spdlog::logger& log);

 private:
  Notifier& notifier_;
  std::map<std::string, size_t> stored_;  // By SocketKey(): how many.
};

}  // namespace bsockd
