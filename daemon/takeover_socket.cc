#include "daemon/takeover_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "lib/base/text.h"
#include "lib/net/listen_socket.h"

namespace bsockd {
namespace {

constexpr int kBacklog = 8;

absl::Status SystemError(std::string_view path, std::string_view what, int error) {
  return TakeoverError(path, fmt::format("{}: {}", what, strerrordesc_np(error)));
}

absl::StatusOr<sockaddr_un> SocketAddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return TakeoverError(
        path, fmt::format("a socket's path has 1 to {} bytes", sizeof(address.sun_path) - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

UniqueFd NewSocket() { return UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)); }

}  // namespace

absl::Status TakeoverError(std::string_view path, std::string_view what) {
  return absl::UnavailableError(ToAbsl(fmt::format("takeover at {}: {}", path, what)));
}

absl::StatusOr<UniqueFd> ConnectTakeover(const std::string& path) {
  const absl::StatusOr<sockaddr_un> address = SocketAddressOf(path);
  if (!address.ok()) return address.status();
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return UniqueFd();
    return SystemError(path, "cannot look at it", errno);
  }
  if (!S_ISSOCK(status.st_mode)) {
    return TakeoverError(path, "the file there is not a socket, and is left alone");
  }
  UniqueFd connection = NewSocket();
  if (!connection) return SystemError(path, "cannot make a socket", errno);
  if (connect(connection.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) ==
      0) {
    return connection;
  }
  if (errno == ECONNREFUSED || errno == ENOENT) return UniqueFd();
  if (errno == EPROTOTYPE) {
    return TakeoverError(path, "the socket there is another program's, and is left alone");
  }
  return SystemError(path, "cannot connect", errno);
}

absl::StatusOr<UniqueFd> ListenTakeover(const std::string& path) {
  const absl::StatusOr<sockaddr_un> address = SocketAddressOf(path);
  if (!address.ok()) return address.status();
  const UniqueFd lock = LockFolderOf(path);
  const absl::StatusOr<UniqueFd> other = ConnectTakeover(path);
  if (!other.ok()) return other.status();
  if (*other) return TakeoverError(path, "another daemon has just begun to serve it");
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return SystemError(path, "cannot remove the stale socket file", errno);
  }
  UniqueFd listening = NewSocket();
  // The file gets the permissions of the socket, less the umask (unix(7)).
  if (!listening || fchmod(listening.get(), 0600) != 0 ||
      bind(listening.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0 ||
      listen(listening.get(), kBacklog) != 0) {
    return SystemError(path, "cannot listen", errno);
  }
  return listening;
}

bool TakeoverPeer::trusted() const { return uid == 0 || uid == geteuid(); }

std::string TakeoverPeer::ToString() const {
  return fmt::format("process {} of user {}", pid, uid);
}

absl::StatusOr<TakeoverPeer> TakeoverPeerOf(int connection) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return absl::ErrnoToStatus(errno, "SO_PEERCRED");
  }
  return TakeoverPeer{credentials.pid, credentials.uid};
}

}  // namespace bsockd
