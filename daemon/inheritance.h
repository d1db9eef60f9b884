// The listen sockets that bsockd is started with: those of systemd's .socket units, and its own of
// the time before a restart, which systemd's store has kept.
#pragma once

#include <absl/status/statusor.h>
#include <spdlog/logger.h>

#include <cstddef>
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

// Closes what the store had and what is not among `keys` any more. It is done before anything is
// bound, since an old address may be part of a new one.
// Errors: InvalidArgument, naming every socket of a .socket unit that is not among `keys`.
absl::Status DropUnused(const std::set<std::string>& keys, ListenSockets* inherited,
                        Notifier& notifier, spdlog::logger& log);

// The sockets that systemd's store has for the next start (systemd.service(5),
// FileDescriptorStoreMax=). Thread: control.
class SocketStore {
 public:
  // `notifier` outlives the object.
  explicit SocketStore(Notifier* notifier) : notifier_(*notifier) {}

  // Makes the store have `sockets`, but for those of .socket units, and no others.
  void Keep(const ListenSockets& sockets, spdlog::logger& log);

 private:
  Notifier& notifier_;
  std::map<std::string, size_t> stored_;  // By SocketKey(): how many.
};

}  // namespace bsockd
