#include "tests/support/scripted_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace bsockd {
namespace {

UniqueFd BoundTo(const Address& address, SocketAddress* bound) {
  const absl::StatusOr<std::vector<SocketAddress>> resolved = Resolve(address, ResolveFor::kListen);
  EXPECT_TRUE(resolved.ok()) << resolved.status().ToString();
  *bound = resolved->front();
  UniqueFd fd(socket(bound->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(bind(fd.get(), &bound->any, bound->size), 0) << std::strerror(errno);
  const absl::StatusOr<SocketAddress> local = LocalAddress(fd.get());
  EXPECT_TRUE(local.ok()) << local.status().ToString();
  *bound = *local;
  return fd;
}

Address FreePort() { return Address{Address::Kind::kTcp, "127.0.0.1", 0, ""}; }

}  // namespace

std::string ServedConnection::ReadSome(size_t count) {
  std::string result(count, '\0');
  ssize_t got;
  do {
    got = recv(fd_, result.data(), count, 0);
  } while (got < 0 && errno == EINTR);
  result.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return result;
}

std::string ServedConnection::Read(size_t count) {
  std::string result;
  while (result.size() < count) {
    const std::string more = ReadSome(count - result.size());
    if (more.empty()) break;
    result += more;
  }
  return result;
}

std::string ServedConnection::ReadUntil(std::string_view ending) {
  std::string result;
  while (!result.ends_with(ending)) {
    const std::string byte = Read(1);
    if (byte.empty()) break;
    result += byte;
  }
  return result;
}

void ServedConnection::ReadToEnd() {
  while (!ReadSome(64 * 1024).empty()) {
  }
}

bool ServedConnection::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void ServedConnection::ResetOnClose() {
  const linger none{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

ScriptedServer::ScriptedServer(Script script, const std::string& path) {
  address_ = path.empty() ? FreePort() : Address{Address::Kind::kUnixPath, "", 0, path};
  SocketAddress bound;
  listening_ = BoundTo(address_, &bound);
  address_.port = bound.port();
  EXPECT_EQ(listen(listening_.get(), 16), 0) << std::strerror(errno);
  thread_ = std::thread([this, script = std::move(script)] { Serve(script); });
}

ScriptedServer::~ScriptedServer() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    shutdown(listening_.get(), SHUT_RDWR);
    if (connection_) shutdown(connection_.get(), SHUT_RDWR);
  }
  thread_.join();
}

void ScriptedServer::Serve(const Script& script) {
  for (int index = 0;; ++index) {
    UniqueFd accepted(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!accepted) return;
    int fd;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) return;
      connection_ = std::move(accepted);
      fd = connection_.get();
    }
    ServedConnection connection(fd);
    script(connection, index);
    const std::lock_guard<std::mutex> lock(mutex_);
    connection_.Reset();
  }
}

SocketAddress ScriptedServer::RefusingAddress(UniqueFd* hold) {
  // Bound, so that no one else gets the port, but not listening.
  SocketAddress bound;
  *hold = BoundTo(FreePort(), &bound);
  return bound;
}

}  // namespace bsockd
