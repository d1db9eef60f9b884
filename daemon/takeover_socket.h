// The socket file of a takeover, seen from both sides.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <sys/types.h>

#include <string>
#include <string_view>

#include "lib/base/unique_fd.h"

namespace bsockd {

// Connects to the daemon that serves `path`; an empty descriptor if nobody does: there is no file,
// or a stale one. The descriptor is blocking.
// Errors: Unavailable, with the path, where that file is no such socket or cannot be used.
absl::StatusOr<UniqueFd> ConnectTakeover(const std::string& path);

// Listens at `path`, where nobody does; a stale file is replaced. Only the same user may connect.
// Errors: Unavailable, with the path and the reason.
absl::StatusOr<UniqueFd> ListenTakeover(const std::string& path);

// Who is at the other end of a connection.
struct TakeoverPeer {
  pid_t pid = 0;
  uid_t uid = 0;

  // Whether it may give us sockets and take ours: it is us, or root.
  bool trusted() const;
  std::string ToString() const;  // process 123 of user 1000
};
absl::StatusOr<TakeoverPeer> TakeoverPeerOf(int connection);

// Unavailable: `takeover at PATH: WHAT`
absl::Status TakeoverError(std::string_view path, std::string_view what);

}  // namespace bsockd
