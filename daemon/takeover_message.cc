#include "daemon/takeover_message.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace bsockd {
namespace {

constexpr size_t kControlBytes = CMSG_SPACE(kTakeoverFdsMax * sizeof(int));

// Whatever becomes of the message, its descriptors are ours now.
void TakeDescriptors(msghdr* header, std::vector<UniqueFd>* fds) {
  for (cmsghdr* part = CMSG_FIRSTHDR(header); part != nullptr; part = CMSG_NXTHDR(header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      fds->emplace_back(fd);
    }
  }
}

}  // namespace

absl::Status SendMessage(int socket, std::string_view text, std::span<const int> fds) {
  iovec data{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) char control[kControlBytes] = {};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(part), fds.data(), fds.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = sendmsg(socket, &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return absl::OkStatus();
  if (errno == EAGAIN) return absl::UnavailableError("");
  return absl::ErrnoToStatus(errno, "sendmsg");
}

absl::StatusOr<TakeoverMessage> ReceiveMessage(int socket) {
  TakeoverMessage message;
  message.text.resize(kTakeoverTextBytesMax);
  iovec data{message.text.data(), message.text.size()};
  alignas(cmsghdr) char control[kControlBytes];
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  // An end that has not read all from us is told first, and once; what it had said is still there.
  ssize_t size = 0;
  bool reset = false;
  do {
    size = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (size < 0 && (errno == EINTR || (errno == ECONNRESET && !std::exchange(reset, true))));
  if (size < 0 && errno == EAGAIN) return absl::UnavailableError("");
  if (size < 0) return absl::ErrnoToStatus(errno, "recvmsg");
  TakeDescriptors(&header, &message.fds);
  if ((header.msg_flags & MSG_TRUNC) != 0) {
    return absl::InvalidArgumentError("a message is too long");
  }
  if ((header.msg_flags & MSG_CTRUNC) != 0) {
    // There may be too many of them in the process.
    return absl::InvalidArgumentError(
        "descriptors were lost (is the limit of open files too low?)");
  }
  if (size == 0) return absl::AbortedError("the other end has closed");
  message.text.resize(static_cast<size_t>(size));
  return message;
}

bool TakePrefix(std::string_view prefix, std::string_view* text) {
  if (!text->starts_with(prefix)) return false;
  text->remove_prefix(prefix.size());
  return true;
}

}  // namespace bsockd
