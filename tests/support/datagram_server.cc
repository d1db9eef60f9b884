#include "tests/support/datagram_server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace bsockd {
namespace {

constexpr size_t kDatagramBytesMax = 256 * 1024;

// Binds to `*address` and writes the port into it.
UniqueFd BoundTo(Address* address) {
  SocketAddress bound = Resolve(*address, ResolveFor::kListen)->front();
  UniqueFd fd(socket(bound.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(bind(fd.get(), &bound.any, bound.size), 0) << std::strerror(errno);
  address->port = LocalAddress(fd.get())->port();
  return fd;
}

Address FreePort() {
  Address address;
  address.host = "127.0.0.1";
  address.datagrams = true;
  return address;
}

}  // namespace

DatagramServer::DatagramServer(Script script, const std::string& path)
    : stop_(eventfd(0, EFD_CLOEXEC)), address_(FreePort()) {
  if (!path.empty()) address_ = *Address::Parse("unixgram:" + path);
  socket_ = BoundTo(&address_);
  thread_ = std::thread([this, script = std::move(script)] { Serve(script); });
}

DatagramServer::~DatagramServer() {
  EXPECT_EQ(eventfd_write(stop_.get(), 1), 0);
  thread_.join();
}

bool DatagramServer::Send(const SocketAddress& to, std::string_view bytes) {
  return sendto(socket_.get(), bytes.data(), bytes.size(), 0, &to.any, to.size) >= 0;
}

void DatagramServer::Echo(DatagramServer& server, const Datagram& datagram) {
  EXPECT_TRUE(server.Send(datagram.from, "re: " + datagram.bytes));
}

void DatagramServer::Serve(const Script& script) {
  std::string buffer(kDatagramBytesMax, '\0');
  for (int index = 0;;) {
    pollfd entries[] = {{socket_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (poll(entries, 2, -1) < 0 && errno != EINTR) return;
    if (entries[0].revents == 0 && entries[1].revents != 0) return;  // What has come is served.
    Datagram datagram;
    datagram.from.size = sizeof(datagram.from.storage);
    const ssize_t got = recvfrom(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                 &datagram.from.any, &datagram.from.size);
    if (got < 0) continue;
    datagram.bytes = buffer.substr(0, static_cast<size_t>(got));
    datagram.index = index++;
    script(*this, datagram);
  }
}

Address DatagramServer::RefusingAddress(UniqueFd* hold) {
  // Connected to itself, so that it hears no one else, and the port stays taken.
  Address address = FreePort();
  *hold = BoundTo(&address);
  const SocketAddress own = *LocalAddress(hold->get());
  EXPECT_EQ(connect(hold->get(), &own.any, own.size), 0) << std::strerror(errno);
  return address;
}

}  // namespace bsockd
