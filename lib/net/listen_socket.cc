#include "lib/net/listen_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "lib/base/text.h"

namespace bsockd {
namespace {

constexpr int kBacklogMax = 4096;      // The kernel lowers it to net.core.somaxconn.
constexpr int kLockAttemptsMax = 200;  // Of a folder, 10 ms apart.
constexpr useconds_t kLockPauseUs = 10000;
constexpr int kPortAttemptsMax = 16;  // To find one port that is free on every address.

std::string NameOf(const SocketAddress& where, bool datagrams) {
  const std::string name = where.ToString();
  if (!datagrams) return name;
  constexpr std::string_view kUnix = "unix:";
  if (where.family() != AF_UNIX) return "udp:" + name;
  return "unixgram:" + name.substr(kUnix.size());
}

absl::Status BindError(const SocketAddress& where, bool datagrams, int error,
                       std::string_view remedy = "") {
  return absl::ErrnoToStatus(
      error, ToAbsl(fmt::format("cannot listen on {}{}", NameOf(where, datagrams), remedy)));
}

int SocketType(bool datagrams) {
  return (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
}

// The machine has not this address or not even its family; another of the same name may do.
bool IsMissingHere(int error) { return error == EAFNOSUPPORT || error == EADDRNOTAVAIL; }

void SetOption(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof(value));
}

bool IsWildcard(const SocketAddress& address) {
  if (address.family() == AF_INET) return address.v4.sin_addr.s_addr == htonl(INADDR_ANY);
  return address.family() == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address.v6.sin6_addr);
}

void SetStreamOptions(int fd) {
  // A restart must not wait for the last connections' TIME_WAIT (socket(7)). This lets no second
  // server listen on the port.
  SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

// Makes every datagram tell which of our addresses was asked, where more than one can be: the reply
// has to come from it, or the client will not take it for an answer. A dual-stack socket tells it
// of IPv4 datagrams in the way of IPv4, too, which knows more (ip(7), ipi_spec_dst).
void SetUdpOptions(int fd, const SocketAddress& where) {
  if (!IsWildcard(where)) return;
  SetOption(fd, IPPROTO_IP, IP_PKTINFO, 1);
  if (where.family() == AF_INET6) SetOption(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
}

// What stands at the path of a socket file.
enum class Occupant { kNobody, kLive, kStale, kOther };

Occupant WhoIsAt(const SocketAddress& where, bool datagrams) {
  struct stat status;
  if (lstat(where.local.sun_path, &status) != 0) return Occupant::kNobody;
  if (!S_ISSOCK(status.st_mode)) return Occupant::kOther;
  // Non-blocking: a server whose backlog is full is alive (EAGAIN), and must not hold us up. So is
  // one of the other type (EPROTOTYPE).
  const UniqueFd probe(socket(AF_UNIX, SocketType(datagrams), 0));
  if (!probe) return Occupant::kLive;
  if (connect(probe.get(), &where.any, where.size) == 0) return Occupant::kLive;
  return errno == ECONNREFUSED ? Occupant::kStale : Occupant::kLive;
}

}  // namespace

UniqueFd LockFolderOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == path.npos ? "." : std::string(path.substr(0, slash + 1));
  UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; fd && i < kLockAttemptsMax && flock(fd.get(), LOCK_EX | LOCK_NB) != 0; ++i) {
    usleep(kLockPauseUs);
  }
  return fd;
}

ListenSocket::~ListenSocket() {
  if (fd_) Unlink();
}

void ListenSocket::Unlink() {
  if (file_.empty()) return;
  struct stat status;
  if (lstat(file_.c_str(), &status) == 0 && status.st_dev == file_device_ &&
      status.st_ino == file_inode_) {
    unlink(file_.c_str());
  }
  file_.clear();
}

bool ListenSocket::reachable() const {
  if (file_inode_ == 0) return true;
  struct stat status;
  return lstat(local_.local.sun_path, &status) == 0 && status.st_dev == file_device_ &&
         status.st_ino == file_inode_;
}

std::string ListenSocket::name() const { return NameOf(local_, datagrams_); }

absl::Status ListenSocket::SetMode(mode_t mode) {
  if (file_.empty()) return absl::OkStatus();
  // By a descriptor, so that nothing that another has put in its place is touched.
  const UniqueFd file(open(file_.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status;
  int error = 0;
  if (!file || fstat(file.get(), &status) != 0) {
    error = errno;
  } else if (status.st_dev != file_device_ || status.st_ino != file_inode_) {
    error = ESTALE;
  } else if (chmod(fmt::format("/proc/self/fd/{}", file.get()).c_str(), mode) != 0) {
    error = errno;
  }
  if (error == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(
      error, ToAbsl(fmt::format("cannot set the mode of {} to {:04o}", name(), mode)));
}

absl::StatusOr<ListenSocket> ListenSocket::Adopt(UniqueFd fd, bool owns_file) {
  const auto option = [&fd](int name) {
    int value = -1;
    socklen_t size = sizeof(value);
    return getsockopt(fd.get(), SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
  };
  const int family = option(SO_DOMAIN);
  if (family == -1) return absl::InvalidArgumentError("it is not a socket");
  if (family != AF_INET && family != AF_INET6 && family != AF_UNIX) {
    return absl::InvalidArgumentError("it is neither an IP nor a Unix socket");
  }
  const int type = option(SO_TYPE);
  if (type != SOCK_STREAM && type != SOCK_DGRAM) {
    return absl::InvalidArgumentError("it is a socket neither for streams nor for datagrams");
  }
  if (type == SOCK_STREAM && option(SO_ACCEPTCONN) != 1) {
    return absl::InvalidArgumentError(
        "it does not listen (a socket unit must not have Accept=yes: bsockd accepts itself)");
  }
  ListenSocket socket;
  absl::StatusOr<SocketAddress> local = LocalAddress(fd.get());
  if (!local.ok()) return absl::InvalidArgumentError(local.status().message());
  socket.local_ = *local;
  socket.datagrams_ = type == SOCK_DGRAM;
  socket.fd_ = std::move(fd);
  fcntl(socket.fd(), F_SETFD, FD_CLOEXEC);
  fcntl(socket.fd(), F_SETFL, fcntl(socket.fd(), F_GETFL) | O_NONBLOCK);
  socket.SetOptions();
  // Without its file nobody finds it. An abstract name, which begins with a NUL, has none.
  if (owns_file && family == AF_UNIX && socket.RememberFile(local->local.sun_path) != 0) {
    return absl::InvalidArgumentError(ToAbsl(fmt::format("{} is gone", local->ToString())));
  }
  return socket;
}

void ListenSocket::ShareAddress(bool share) {
  if (local_.family() == AF_UNIX || (datagrams_ && !share)) return;
  SetOption(fd(), SOL_SOCKET, SO_REUSEPORT, share ? 1 : 0);
}

void ListenSocket::SetOptions() {
  if (local_.family() == AF_UNIX) {
    if (datagrams_) SetOption(fd(), SOL_SOCKET, SO_PASSCRED, 1);
  } else if (datagrams_) {
    SetUdpOptions(fd(), local_);
  } else {
    SetStreamOptions(fd());
  }
}

// Returns 0, or the errno where it is not there.
int ListenSocket::RememberFile(const char* path) {
  struct stat status;
  if (path[0] == '\0') return 0;
  if (lstat(path, &status) != 0) return errno;
  file_ = path;
  file_device_ = status.st_dev;
  file_inode_ = status.st_ino;
  return 0;
}

int ListenSocket::Open(const SocketAddress& where, const Options& options) {
  datagrams_ = options.datagrams;
  fd_ = UniqueFd(socket(where.family(), SocketType(datagrams_), 0));
  if (!fd_) return errno;
  local_ = where;
  if (where.family() == AF_INET6) {
    SetOption(fd(), IPPROTO_IPV6, IPV6_V6ONLY, options.dual_stack ? 0 : 1);
  }
  SetOptions();
  if (options.shared_port) SetOption(fd(), SOL_SOCKET, SO_REUSEPORT, 1);
  if (bind(fd(), &where.any, where.size) != 0) return errno;
  if (!datagrams_ && listen(fd(), kBacklogMax) != 0) return errno;
  if (!datagrams_) SetOption(fd(), SOL_SOCKET, SO_REUSEPORT, 0);  // No third one is to join.
  absl::StatusOr<SocketAddress> local = LocalAddress(fd());
  if (!local.ok()) return errno;
  local_ = *local;
  return 0;
}

int ListenSocket::OpenFile(const SocketAddress& where, bool datagrams, mode_t mode) {
  const char* path = where.local.sun_path;
  datagrams_ = datagrams;
  fd_ = UniqueFd(socket(AF_UNIX, SocketType(datagrams), 0));
  if (!fd_) return errno;
  local_ = where;
  SetOptions();
  // The file gets the permissions of the socket, less the umask (unix(7)); so it has its mode from
  // its first moment, and nothing that another puts in its place is touched.
  fchmod(fd(), mode);
  const mode_t umask_before = umask(0);
  const int bound = bind(fd(), &where.any, where.size);
  const int bind_error = errno;
  umask(umask_before);
  if (bound != 0) return bind_error;
  if (const int error = RememberFile(path); error != 0) return error;
  if (datagrams) return 0;
  return listen(fd(), kBacklogMax) == 0 ? 0 : errno;
}

absl::StatusOr<std::vector<ListenSocket>> ListenSocket::OnFile(const SocketAddress& where,
                                                               bool datagrams, mode_t mode) {
  const UniqueFd lock = LockFolderOf(where.local.sun_path);
  switch (WhoIsAt(where, datagrams)) {
    case Occupant::kNobody:
      break;
    case Occupant::kLive:
      return BindError(where, datagrams, EADDRINUSE, " (a server answers there)");
    case Occupant::kOther:
      return BindError(where, datagrams, EEXIST,
                       " (the file there is not a socket, and is left alone)");
    case Occupant::kStale:
      if (unlink(where.local.sun_path) != 0) {
        return BindError(where, datagrams, errno, " (a stale socket file is there)");
      }
      break;
  }
  ListenSocket socket;
  if (const int error = socket.OpenFile(where, datagrams, mode); error != 0) {
    return BindError(where, datagrams, error);
  }
  std::vector<ListenSocket> sockets;
  sockets.push_back(std::move(socket));
  return sockets;
}

int ListenSocket::OpenGroup(SocketAddress where, Options options, int count,
                            std::vector<ListenSocket>* sockets) {
  // The first one is bound alone, so a port on which anybody else listens is refused; only then is
  // it opened to the others of its group.
  for (int i = 0; i < count; ++i) {
    ListenSocket socket;
    if (i > 0) options.shared_port = true;
    if (const int error = socket.Open(where, options); error != 0) return error;
    if (i == 0 && count > 1) SetOption(socket.fd(), SOL_SOCKET, SO_REUSEPORT, 1);
    where.set_port(socket.local().port());
    sockets->push_back(std::move(socket));
  }
  return 0;
}

absl::Status AddToGroup(int udp_sockets, std::vector<std::shared_ptr<ListenSocket>>* sockets) {
  std::map<std::string, std::vector<std::shared_ptr<ListenSocket>>> groups;
  for (auto& socket : *sockets) groups[socket->name()].push_back(std::move(socket));
  sockets->clear();
  for (auto& [name, group] : groups) {
    const SocketAddress where = group.front()->local();
    int only_v6 = 0;
    socklen_t size = sizeof(only_v6);
    getsockopt(group.front()->fd(), IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, &size);
    const bool add = where.family() != AF_UNIX && group.front()->datagrams();
    while (add && group.size() < static_cast<size_t>(udp_sockets)) {
      for (const auto& socket : group) SetOption(socket->fd(), SOL_SOCKET, SO_REUSEPORT, 1);
      ListenSocket next;
      const int error =
          next.Open(where, {.datagrams = true, .dual_stack = only_v6 == 0, .shared_port = true});
      if (error != 0) return BindError(where, /*datagrams=*/true, error);
      group.push_back(std::make_shared<ListenSocket>(std::move(next)));
    }
    sockets->insert(sockets->end(), group.begin(), group.end());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ListenSocket>> ListenSocket::OnEvery(const Address& address, mode_t mode,
                                                                int sockets_each, bool beside) {
  absl::StatusOr<std::vector<SocketAddress>> resolved = Resolve(address, ResolveFor::kListen);
  if (!resolved.ok()) {
    return absl::UnavailableError(ToAbsl(
        fmt::format("cannot listen on {}: {}", address.ToString(), MessageOf(resolved.status()))));
  }
  if (address.kind == Address::Kind::kUnixPath) {
    return OnFile(resolved->front(), address.datagrams, mode);
  }

  const bool every_host = address.kind == Address::Kind::kTcp && address.host == "*";
  const Options options{
      .datagrams = address.datagrams, .dual_stack = every_host, .shared_port = beside};
  absl::Status failure;
  bool missing_here = false;
  for (int attempt = 0; attempt < kPortAttemptsMax; ++attempt) {
    std::vector<ListenSocket> sockets;
    int error = 0;
    for (SocketAddress where : *resolved) {
      if (address.port == 0 && !sockets.empty()) where.set_port(sockets.front().local().port());
      error = OpenGroup(where, options, sockets_each, &sockets);
      if (error == 0) continue;
      failure = BindError(where, address.datagrams, error);
      missing_here = IsMissingHere(error);
      if (!missing_here) break;
      error = 0;
    }
    if (error == 0 && !sockets.empty()) return sockets;
    // A free port of the first address was taken on a later one: another will do.
    const bool another_port = error == EADDRINUSE && address.port == 0 && !sockets.empty();
    if (!another_port) break;
  }
  if (every_host && missing_here) {  // A machine without IPv6.
    Address v4 = address;
    v4.host = "0.0.0.0";
    return OnEvery(v4, mode, sockets_each, beside);
  }
  return failure;
}

absl::StatusOr<std::vector<ListenSocket>> Listen(const Address& address, mode_t mode, bool beside) {
  return ListenSocket::OnEvery(address, mode, 1, beside);
}

absl::StatusOr<std::vector<ListenSocket>> BindDatagram(const Address& address, mode_t mode,
                                                       int udp_sockets, bool beside) {
  const bool udp = address.kind == Address::Kind::kTcp;
  return ListenSocket::OnEvery(address, mode, udp ? udp_sockets : 1, beside);
}

}  // namespace bsockd
