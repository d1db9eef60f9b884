#include "tests/integration/stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "lib/base/text.h"
#include "lib/net/address.h"
#include "tests/integration/process.h"

namespace bsockd::integration {
namespace {

constexpr size_t kPrintedBytesMax = 300;

// False after kPatience.
bool WaitFor(int fd, short events) {
  const auto deadline = Clock::now() + kPatience;
  pollfd polled = {fd, events, 0};
  while (poll(&polled, 1, 1000) <= 0) {
    if (Clock::now() > deadline) return false;
  }
  return true;
}

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

void PrintTo(const Received& received, std::ostream* out) {
  static constexpr std::array<const char*, 4> kEnds = {"still open", "closed", "reset", "timeout"};
  std::string text;
  AppendEscaped(received.bytes, kPrintedBytesMax, &text);
  *out << '"' << text << "\", then " << kEnds[static_cast<size_t>(received.end)];
}

Stream::Stream(UniqueFd fd) : fd_(std::move(fd)) {
  const int on = 1;
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // No matter on Unix sockets.
  fcntl(fd_.get(), F_SETFL, fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
}

int Stream::TryConnect(const std::string& address, std::unique_ptr<Stream>* stream) {
  const absl::StatusOr<Address> parsed = Address::Parse(address);
  if (!parsed.ok()) return EINVAL;
  const absl::StatusOr<std::vector<SocketAddress>> found = Resolve(*parsed, ResolveFor::kConnect);
  if (!found.ok()) return EHOSTUNREACH;
  int error = EHOSTUNREACH;
  for (const SocketAddress& each : *found) {
    UniqueFd fd(socket(each.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) return errno;
    if (connect(fd.get(), &each.any, each.size) != 0) {
      error = errno;
      continue;
    }
    stream->reset(new Stream(std::move(fd)));
    return 0;
  }
  return error;
}

std::unique_ptr<Stream> Stream::Connect(const std::string& address) {
  std::unique_ptr<Stream> stream;
  const int error = TryConnect(address, &stream);
  if (error != 0) ADD_FAILURE() << "cannot connect to " << address << ": " << strerror(error);
  return stream;
}

std::unique_ptr<Stream> Stream::ConnectFrom(const std::string& host, const std::string& address) {
  const auto own = Address::FromHostAndPort(host, "0");
  const auto other = Address::Parse(address);
  if (!own.ok() || !other.ok()) {
    ADD_FAILURE() << "no addresses: " << host << ", " << address;
    return nullptr;
  }
  const SocketAddress from = Resolve(*own, ResolveFor::kListen)->front();
  const SocketAddress to = Resolve(*other, ResolveFor::kConnect)->front();
  UniqueFd fd(socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (bind(fd.get(), &from.any, from.size) != 0 || connect(fd.get(), &to.any, to.size) != 0) {
    ADD_FAILURE() << "cannot connect from " << host << " to " << address << ": " << strerror(errno);
    return nullptr;
  }
  return std::unique_ptr<Stream>(new Stream(std::move(fd)));
}

ssize_t Stream::SendSome(std::string_view bytes) {
  const ssize_t sent = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0) return sent;
  return WouldBlock(errno) ? 0 : -errno;
}

bool Stream::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!WaitFor(fd_.get(), POLLOUT)) return false;
    const ssize_t sent = SendSome(bytes);
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void Stream::HalfClose() { shutdown(fd_.get(), SHUT_WR); }

void Stream::Reset() {
  const linger at_once = {1, 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  fd_.Reset();
}

std::string Stream::ReceiveSome(Received::End* end) {
  std::string bytes(65536, '\0');
  const ssize_t count = recv(fd_.get(), bytes.data(), bytes.size(), 0);
  if (count == 0) *end = Received::End::kClosed;
  if (count < 0 && !WouldBlock(errno)) *end = Received::End::kReset;
  bytes.resize(count > 0 ? static_cast<size_t>(count) : 0);
  return bytes;
}

std::string Stream::ReceiveExactly(size_t count) {
  std::string bytes;
  while (bytes.size() < count && WaitFor(fd_.get(), POLLIN)) {
    const size_t before = bytes.size();
    bytes.resize(count);
    const ssize_t got = recv(fd_.get(), bytes.data() + before, count - before, 0);
    bytes.resize(before + (got > 0 ? static_cast<size_t>(got) : 0));
    if (got == 0 || (got < 0 && !WouldBlock(errno))) break;
  }
  return bytes;
}

std::string Stream::ReceiveUntil(std::string_view end) {
  std::string bytes;
  size_t found = std::string::npos;
  while (found == std::string::npos && WaitFor(fd_.get(), POLLIN)) {
    // Looked at first, because what comes behind `end` is to stay where it is.
    std::array<char, 16384> next;
    const ssize_t count = recv(fd_.get(), next.data(), next.size(), MSG_PEEK);
    if (count < 0 && WouldBlock(errno)) continue;
    if (count <= 0) break;
    const size_t before = bytes.size();
    bytes.append(next.data(), static_cast<size_t>(count));
    found = bytes.find(end, before < end.size() ? 0 : before - end.size() + 1);
    if (found != std::string::npos) bytes.resize(found + end.size());
    recv(fd_.get(), next.data(), bytes.size() - before, 0);
  }
  return bytes;
}

bool Stream::ReadableWithin(std::chrono::milliseconds time) {
  pollfd polled = {fd_.get(), POLLIN, 0};
  return poll(&polled, 1, static_cast<int>(time.count())) > 0;
}

bool Stream::WaitForReset() {
  // Reported whether asked for or not; what has been received does not matter.
  return WaitFor(fd_.get(), 0);
}

bool Stream::WaitUntilTaken() {
  // SIOCOUTQ, unix(7), is what the peer has not read. There is no event to wait for.
  const auto deadline = Clock::now() + kPatience;
  int unread = 0;
  while (ioctl(fd_.get(), SIOCOUTQ, &unread) == 0 && unread > 0) {
    if (Clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

Received Stream::ReceiveToEnd() { return Exchange("", false); }

Received Stream::Exchange(std::string_view bytes, bool half_close) {
  Received received;
  auto deadline = Clock::now() + kPatience;  // Starts anew whenever something moves.
  if (bytes.empty() && half_close) HalfClose();
  bool reads_on = true;
  while (reads_on || !bytes.empty()) {
    const auto events = static_cast<short>((reads_on ? POLLIN : 0) | (bytes.empty() ? 0 : POLLOUT));
    pollfd polled = {fd_.get(), events, 0};
    if (poll(&polled, 1, 1000) <= 0) {
      if (Clock::now() < deadline) continue;
      received.end = Received::End::kTimeout;
      return received;
    }
    deadline = Clock::now() + kPatience;
    if (reads_on && (polled.revents & ~POLLOUT) != 0) {
      received.bytes += ReceiveSome(&received.end);
      reads_on = received.end == Received::End::kOpen;
    }
    if (!bytes.empty() && (polled.revents & ~POLLIN) != 0) {
      const ssize_t sent = SendSome(bytes.substr(0, 1 << 20));
      // The peer takes nothing more; what it said before may still be there to read.
      bytes.remove_prefix(sent < 0 ? bytes.size() : static_cast<size_t>(sent));
      if (bytes.empty() && half_close && sent > 0) HalfClose();
    }
  }
  return received;
}

std::string Stream::Call(std::string_view request, std::string_view reply) {
  if (!Send(request)) return "(cannot send)";
  return ReceiveExactly(reply.size());
}

}  // namespace bsockd::integration
