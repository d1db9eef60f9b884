#include "lib/client/connect.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "lib/client/wait.h"

namespace bsockd {
namespace {

// Each returns 0 or an errno; ETIMEDOUT where the deadline has passed.

// A Unix socket whose backlog is full refuses a non-blocking connect with EAGAIN and gives nothing
// to poll for (connect(2)), but a blocking one waits as long as SO_SNDTIMEO says (socket(7)).
int ConnectUnix(int fd, const SocketAddress& address, MonotonicTime deadline) {
  for (;;) {
    const int left_ms = std::max(PollMilliseconds(deadline), 1);  // 0 would be for ever.
    const timeval left{left_ms / 1000, left_ms % 1000 * 1000};
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof(left)) != 0) return errno;
    if (connect(fd, &address.any, address.size) == 0) return 0;
    if (errno == EAGAIN) return ETIMEDOUT;
    if (errno != EINTR) return errno;
  }
}

int ConnectTcp(int fd, const SocketAddress& address, MonotonicTime deadline) {
  if (connect(fd, &address.any, address.size) == 0) return 0;
  if (errno != EINPROGRESS && errno != EINTR) return errno;
  const absl::StatusOr<short> ready = WaitFor(fd, POLLOUT, deadline);
  if (!ready.ok()) return EIO;
  if (*ready == 0) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

// A connect to a free port of this machine can pick that very port for its own end and so meet
// itself (for TCP: RFC 9293, section 3.5, simultaneous open). Nobody listens there.
bool MetItself(int fd, const SocketAddress& address) {
  const absl::StatusOr<SocketAddress> own = LocalAddress(fd);
  return own.ok() && own->size == address.size &&
         std::memcmp(&own->storage, &address.storage, own->size) == 0;
}

int ConnectTo(const SocketAddress& address, MonotonicTime deadline, UniqueFd* connected) {
  const bool local = address.family() == AF_UNIX;
  const int type = SOCK_STREAM | SOCK_CLOEXEC | (local ? 0 : SOCK_NONBLOCK);
  UniqueFd fd(socket(address.family(), type, 0));
  if (!fd) return errno;
  if (local) {
    if (const int error = ConnectUnix(fd.get(), address, deadline); error != 0) return error;
    if (fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return errno;
  } else {
    if (const int error = ConnectTcp(fd.get(), address, deadline); error != 0) return error;
    if (MetItself(fd.get(), address)) return ECONNREFUSED;
    // Requests are written whole, so waiting to fill a segment only adds delay.
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  *connected = std::move(fd);
  return 0;
}

bool SaysLittle(int error) {
  return error == EAFNOSUPPORT || error == EADDRNOTAVAIL || error == ENETUNREACH;
}

}  // namespace

absl::StatusOr<UniqueFd> ConnectToAny(const std::vector<SocketAddress>& addresses,
                                      MonotonicTime deadline) {
  int telling = 0;
  for (size_t i = 0; i < addresses.size(); ++i) {
    const MonotonicTime now = std::chrono::steady_clock::now();
    const Duration left = std::max<Duration>(deadline - now, Duration(0));
    const MonotonicTime until = now + left / static_cast<int64_t>(addresses.size() - i);
    UniqueFd connected;
    const int error = ConnectTo(addresses[i], until, &connected);
    if (error == 0) return connected;
    if (telling == 0 || SaysLittle(telling) || !SaysLittle(error)) telling = error;
  }
  return SocketError(telling);
}

absl::StatusOr<UniqueFd> OpenDatagramSocket(const SocketAddress& peer) {
  UniqueFd fd(socket(peer.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return SocketError(errno);
  if (peer.family() == AF_UNIX) {
    const sockaddr unnamed{AF_UNIX, {}};
    if (bind(fd.get(), &unnamed, sizeof(unnamed.sa_family)) != 0) return SocketError(errno);
  }
  if (connect(fd.get(), &peer.any, peer.size) != 0) return SocketError(errno);
  if (MetItself(fd.get(), peer)) return SocketError(ECONNREFUSED);
  return fd;
}

}  // namespace bsockd
