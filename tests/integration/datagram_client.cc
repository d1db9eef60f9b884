#include "tests/integration/datagram_client.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "tests/integration/process.h"

namespace bsockd::integration {

SocketAddress FirstOf(const std::string& address, ResolveFor use) {
  const auto parsed = Address::Parse(address);
  EXPECT_TRUE(parsed.ok()) << address;
  const auto found = Resolve(parsed.value_or(Address()), use);
  EXPECT_TRUE(found.ok()) << address;
  return found.ok() ? found->front() : SocketAddress();
}

DatagramClient::DatagramClient(const std::string& address, const std::string& own, Name name) {
  const SocketAddress server = FirstOf(address, ResolveFor::kConnect);
  fd_ = UniqueFd(socket(server.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (server.family() == AF_UNIX && name == Name::kGiven) {
    const sockaddr_un any{.sun_family = AF_UNIX, .sun_path = {}};
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(sa_family_t)), 0);
  } else if (!own.empty()) {
    const SocketAddress from = FirstOf("udp:" + own + ":0", ResolveFor::kListen);
    EXPECT_EQ(bind(fd_.get(), &from.any, from.size), 0) << own;
  }
  EXPECT_EQ(connect(fd_.get(), &server.any, server.size), 0) << strerrordesc_np(errno);
}

bool DatagramClient::Send(std::string_view bytes) const {
  for (;;) {
    const ssize_t sent = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return sent == static_cast<ssize_t>(bytes.size());
    if (errno != EAGAIN || !WaitFor(POLLOUT)) return false;
  }
}

std::optional<std::string> DatagramClient::Receive() const {
  if (!WaitFor(POLLIN)) return std::nullopt;
  return TakeWhatIsThere();
}

std::optional<std::string> DatagramClient::TakeWhatIsThere() const {
  const ssize_t size = recv(fd_.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC);
  if (size < 0) return std::nullopt;
  std::string bytes(static_cast<size_t>(size), '\0');
  if (recv(fd_.get(), bytes.data(), bytes.size(), 0) != size) return std::nullopt;
  return bytes;
}

std::optional<std::string> DatagramClient::Call(std::string_view request) const {
  if (!Send(request)) return std::nullopt;
  return Receive();
}

std::optional<std::string> DatagramClient::CallPatiently(std::string_view request) const {
  std::optional<std::string> reply;
  Eventually([&] {
    Send(request);
    pollfd polled = {fd_.get(), POLLIN, 0};
    if (poll(&polled, 1, 200) == 1) reply = TakeWhatIsThere();
    return reply.has_value();
  });
  return reply;
}

bool DatagramClient::WaitFor(short events) const {
  pollfd polled = {fd_.get(), events, 0};
  return poll(&polled, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) == 1;
}

}  // namespace bsockd::integration
