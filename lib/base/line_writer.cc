#include "lib/base/line_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace bsockd {

LineWriter::LineWriter(int fd) : fd_(fd) {
  struct stat status;
  if (fstat(fd, &status) != 0) return;
  if (S_ISREG(status.st_mode)) {
    way_ = Way::kWrite;
  } else if (S_ISSOCK(status.st_mode)) {
    way_ = Way::kSend;
  } else {
    // proc(5), /proc/pid/fd: opening it makes a new description of the same pipe or terminal.
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    reopened_ = UniqueFd(open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (reopened_) way_ = Way::kReopened;
  }
}

bool LineWriter::HasRoom(std::chrono::milliseconds patience) const {
  pollfd room{.fd = reopened_ ? reopened_.get() : fd_, .events = POLLOUT, .revents = 0};
  return poll(&room, 1, static_cast<int>(patience.count())) == 1;
}

// What was written, or -1 and errno, EAGAIN where there is no room.
ssize_t LineWriter::TryWrite(std::string_view line) const {
  switch (way_) {
    case Way::kSend:
      return send(fd_, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    case Way::kReopened:
      return write(reopened_.get(), line.data(), line.size());
    case Way::kAskFirst:
      if (HasRoom(std::chrono::milliseconds(0))) break;
      errno = EAGAIN;
      return -1;
    case Way::kWrite:
      break;
  }
  return write(fd_, line.data(), line.size());
}

void LineWriter::Write(std::string_view line) {
  using Clock = std::chrono::steady_clock;
  ssize_t written = TryWrite(line);
  if (written < 0 && errno == EAGAIN && !stalled_.load(std::memory_order_relaxed)) {
    const Clock::time_point deadline = Clock::now() + kPatience;
    std::chrono::milliseconds left = kPatience;
    // Another thread may take the room that came.
    while (written < 0 && errno == EAGAIN && left.count() > 0 && HasRoom(left)) {
      written = TryWrite(line);
      left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    }
  }
  stalled_.store(written < 0, std::memory_order_relaxed);
  if (written < 0) dropped_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace bsockd
