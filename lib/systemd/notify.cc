#include "lib/systemd/notify.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/time.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace bsockd {
namespace {

constexpr int kBarrierTimeoutMs = 1000;

// How long a message that must arrive may wait for room in the manager's queue.
constexpr timeval kSendTimeout{.tv_sec = 1, .tv_usec = 0};

int64_t Microseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

// A path or an abstract name, which begins with '@'. 0: it is neither.
socklen_t FillAddress(std::string_view name, sockaddr_un* address) {
  if (name.size() < 2 || name.size() >= sizeof(address->sun_path)) return 0;
  if (name.front() != '/' && name.front() != '@') return 0;
  address->sun_family = AF_UNIX;
  std::memcpy(address->sun_path, name.data(), name.size());
  size_t size = offsetof(sockaddr_un, sun_path) + name.size();
  if (name.front() == '@') {
    address->sun_path[0] = '\0';
  } else {
    ++size;  // A path counts its terminating NUL (unix(7)).
  }
  return static_cast<socklen_t>(size);
}

}  // namespace

Notifier Notifier::FromEnvironment() {
  Notifier notifier;
  uint64_t watchdog_usec = 0;
  if (sd_watchdog_enabled(/*unset_environment=*/1, &watchdog_usec) > 0) {
    notifier.watchdog_timeout_ = std::chrono::microseconds(watchdog_usec);
  }
  const char* name = std::getenv("NOTIFY_SOCKET");
  if (name == nullptr) return notifier;
  notifier.manager_size_ = FillAddress(name, &notifier.manager_);
  unsetenv("NOTIFY_SOCKET");
  if (notifier.manager_size_ == 0) return notifier;
  notifier.socket_ = UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  setsockopt(notifier.socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendTimeout, sizeof(kSendTimeout));
  return notifier;
}

void Notifier::Ready(std::string_view status) {
  SendWithStatus("READY=1\n", status, Urgency::kMustArrive);
}

void Notifier::Reloading() {
  // The moment is in the manager's clock, CLOCK_MONOTONIC, which is std::chrono::steady_clock.
  const Duration now = std::chrono::steady_clock::now().time_since_epoch();
  Send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", Microseconds(now)), Urgency::kMustArrive);
}

void Notifier::Stopping(std::string_view status) {
  SendWithStatus("STOPPING=1\n", status, Urgency::kMustArrive);
}

void Notifier::Status(std::string_view status) {
  if (status != status_) SendWithStatus("", status, Urgency::kMayBeLost);
}

void Notifier::ExtendTimeout(Duration by) {
  Send(fmt::format("EXTEND_TIMEOUT_USEC={}", Microseconds(by)), Urgency::kMustArrive);
}

void Notifier::Watchdog() { Send("WATCHDOG=1", Urgency::kMustArrive); }

void Notifier::Store(std::string_view name, int fd) {
  Send(fmt::format("FDSTORE=1\nFDNAME={}", name), Urgency::kMustArrive, fd);
}

void Notifier::Unstore(std::string_view name) {
  Send(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name), Urgency::kMustArrive);
}

// The manager closes the descriptor that comes with it when it gets to it: sd_notify_barrier(3),
// which would look for NOTIFY_SOCKET in the environment.
void Notifier::Barrier() {
  int ends[2];
  if (!active() || pipe2(ends, O_CLOEXEC) != 0) return;
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  if (!Send("BARRIER=1", Urgency::kMustArrive, writer.get())) return;
  writer.Reset();
  pollfd polled{.fd = reader.get(), .events = 0, .revents = 0};
  poll(&polled, 1, kBarrierTimeoutMs);
}

void Notifier::SendWithStatus(std::string_view message, std::string_view status, Urgency urgency) {
  std::string line(status);
  // A line break would begin another assignment.
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  if (Send(fmt::format("{}STATUS={}", message, line), urgency)) status_ = status;
}

bool Notifier::Send(std::string_view message, Urgency urgency, int fd) {
  if (!active()) return false;
  iovec bytes{.iov_base = const_cast<char*>(message.data()), .iov_len = message.size()};
  msghdr header{};
  header.msg_name = &manager_;
  header.msg_namelen = manager_size_;
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &fd, sizeof(int));
  }
  const int flags = MSG_NOSIGNAL | (urgency == Urgency::kMayBeLost ? MSG_DONTWAIT : 0);
  ssize_t sent;
  do {
    sent = sendmsg(socket_.get(), &header, flags);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

}  // namespace bsockd
