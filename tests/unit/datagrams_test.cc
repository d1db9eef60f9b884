#include "lib/net/datagrams.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/net/ip.h"

namespace bsockd {
namespace {

constexpr int kPatienceMs = 10000;
constexpr size_t kPayloadMax = 1024;

bool Readable(int fd, int patience_ms = kPatienceMs) {
  pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&waiting, 1, patience_ms) == 1;
}

std::vector<ListenSocket> Bind(const std::string& address) {
  const auto parsed = Address::Parse(address);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  auto sockets = BindDatagram(*parsed, 0600, 1);
  EXPECT_TRUE(sockets.ok()) << sockets.status();
  return sockets.ok() ? *std::move(sockets) : std::vector<ListenSocket>();
}

// The socket address of `host`, which is numeric, at the port of `socket`.
SocketAddress At(const std::string& host, const ListenSocket& socket) {
  auto address = Address::FromHostAndPort(host, std::to_string(socket.local().port()));
  EXPECT_TRUE(address.ok()) << address.status();
  return Resolve(*address, ResolveFor::kConnect).value().front();
}

// A client that takes nothing but what comes from the address that it has asked.
class Client {
 public:
  explicit Client(const SocketAddress& server, const SocketAddress* own = nullptr)
      : fd_(socket(server.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    if (own != nullptr) {
      EXPECT_EQ(bind(fd_.get(), &own->any, own->size), 0);
    }
    EXPECT_EQ(connect(fd_.get(), &server.any, server.size), 0) << strerrordesc_np(errno);
  }

  void Send(std::string_view bytes) const {
    EXPECT_EQ(send(fd_.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()))
        << strerrordesc_np(errno);
  }
  std::optional<std::string> Receive() const {
    if (!Readable(fd_.get())) return std::nullopt;
    std::string bytes(65536, '\0');
    const ssize_t size = recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (size < 0) return std::nullopt;
    bytes.resize(static_cast<size_t>(size));
    return bytes;
  }
  bool nothing_came() const { return !Readable(fd_.get(), 0); }
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

class DatagramBatchTest : public testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/bsockd.XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  int ReceiveSome(const ListenSocket& socket) {
    EXPECT_TRUE(Readable(socket.fd()));
    return batch_.Receive(socket);
  }
  // Sends `request` and expects it back, followed by "!".
  void ExpectEcho(const ListenSocket& socket, const Client& client, const std::string& request) {
    client.Send(request);
    ASSERT_EQ(ReceiveSome(socket), 1);
    ASSERT_EQ(batch_.payload(0), request);
    const std::string reply = request + "!";
    batch_.Reply(0, reply);
    ASSERT_EQ(batch_.Send(), 1) << strerrordesc_np(batch_.send_error(0));
    EXPECT_EQ(client.Receive(), reply);
  }
  SocketAddress UnixAt(const std::string& name) const {
    return Resolve(Address::Parse("unix:" + folder_ + "/" + name).value(), ResolveFor::kConnect)
        .value()
        .front();
  }

  std::string folder_;
  DatagramBatch batch_{kPayloadMax};
};

TEST_F(DatagramBatchTest, AnswersComeFromTheSocketToTheSender) {
  for (const std::string address : {"udp:127.0.0.1:0", "udp:[::1]:0"}) {
    const auto sockets = BindDatagram(Address::Parse(address).value(), 0600, 1);
    if (!sockets.ok()) continue;  // A machine without IPv6.
    const Client client(sockets->front().local());
    ExpectEcho(sockets->front(), client, "hello");
    ExpectEcho(sockets->front(), client, "");
    ExpectEcho(sockets->front(), client, std::string(kPayloadMax, 'x'));
    EXPECT_EQ(batch_.sender(0).family(), sockets->front().local().family());
    EXPECT_EQ(batch_.sender(0).ToString(), LocalAddress(client.fd())->ToString());
    EXPECT_FALSE(batch_.credentials(0));
  }
}

TEST_F(DatagramBatchTest, NothingWaitsForNothing) {
  const auto sockets = Bind("udp:127.0.0.1:0");
  EXPECT_EQ(batch_.Receive(sockets.front()), 0);
  EXPECT_EQ(batch_.Send(), 0);
}

TEST_F(DatagramBatchTest, ManyAtOnceEachGetsItsOwn) {
  const auto sockets = Bind("udp:127.0.0.1:0");
  constexpr int kClients = DatagramBatch::kDatagramsMax + 8;
  std::vector<Client> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back(sockets.front().local());
    clients.back().Send("from " + std::to_string(i));
  }
  std::vector<int> counts;
  for (int count = batch_.Receive(sockets.front()); count > 0;
       count = batch_.Receive(sockets.front())) {
    counts.push_back(count);
    for (int i = 0; i < count; ++i) {
      if (batch_.payload(i) != "from 3") batch_.Reply(i, batch_.payload(i));  // Not everyone.
    }
    batch_.Send();
  }
  EXPECT_EQ(counts, (std::vector<int>{DatagramBatch::kDatagramsMax, 8}));
  for (int i = 0; i < kClients; ++i) {
    if (i == 3) continue;
    EXPECT_EQ(clients[i].Receive(), "from " + std::to_string(i));
  }
  EXPECT_TRUE(clients[3].nothing_came());
}

TEST_F(DatagramBatchTest, TooLongIsNoticed) {
  const auto sockets = Bind("udp:127.0.0.1:0");
  const Client client(sockets.front().local());
  client.Send(std::string(kPayloadMax, 'a'));
  client.Send(std::string(kPayloadMax + 1, 'b'));
  client.Send("c");
  ASSERT_EQ(ReceiveSome(sockets.front()), 3);
  EXPECT_FALSE(batch_.overlong(0));
  EXPECT_EQ(batch_.payload(0), std::string(kPayloadMax, 'a'));
  EXPECT_TRUE(batch_.overlong(1));
  EXPECT_EQ(batch_.payload(1), std::string(kPayloadMax, 'b'));
  EXPECT_FALSE(batch_.overlong(2));
  EXPECT_EQ(batch_.payload(2), "c");
}

TEST_F(DatagramBatchTest, TheReplyComesFromTheAddressThatWasAsked) {
  for (const std::string address : {"udp:*:0", "udp:0.0.0.0:0", "udp:[::]:0"}) {
    SCOPED_TRACE(address);
    auto sockets = BindDatagram(Address::Parse(address).value(), 0600, 1);
    if (!sockets.ok()) continue;  // A machine without IPv6.
    const ListenSocket& socket = sockets->front();
    const bool v6 = socket.local().family() == AF_INET6;
    if (address != "udp:[::]:0") {
      for (const std::string host : {"127.0.0.1", "127.0.0.2", "127.3.4.5"}) {
        const SocketAddress own = At("127.0.0.9", socket);
        SocketAddress client_end = own;
        client_end.set_port(0);
        ExpectEcho(socket, Client(At(host, socket), &client_end), "to " + host);
        const auto ip = IpAddress::From(batch_.sender(0));
        ASSERT_TRUE(ip.has_value());
        EXPECT_EQ(ip->ToString(), "127.0.0.9");
      }
    }
    if (v6) ExpectEcho(socket, Client(At("::1", socket)), "to ::1");
  }
}

TEST_F(DatagramBatchTest, OneReplyThatCannotLeaveHoldsUpNoOther) {
  const auto sockets = Bind("udp:127.0.0.1:0");
  std::vector<Client> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back(sockets.front().local());
    clients.back().Send(std::to_string(i));
  }
  ASSERT_EQ(ReceiveSome(sockets.front()), 4);
  const std::string too_long(65536, 'x');
  batch_.Reply(0, too_long);
  batch_.Reply(1, "one");
  batch_.Reply(2, too_long);
  batch_.Reply(3, "three");
  EXPECT_EQ(batch_.Send(), 2);
  EXPECT_EQ(batch_.send_error(0), EMSGSIZE);
  EXPECT_EQ(batch_.send_error(1), 0);
  EXPECT_EQ(batch_.send_error(2), EMSGSIZE);
  EXPECT_EQ(batch_.send_error(3), 0);
  // They can still be told so.
  batch_.Reply(0, "too long");
  batch_.Reply(2, "too long");
  EXPECT_EQ(batch_.Send(), 2);
  EXPECT_EQ(batch_.send_error(0), 0);
  const std::vector<std::string> expected = {"too long", "one", "too long", "three"};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(clients[i].Receive(), expected[i]);
}

TEST_F(DatagramBatchTest, ClientsThatAreGoneHurtNobody) {
  const auto sockets = Bind("udp:127.0.0.1:0");
  // Even where the socket hears of it.
  const int on = 1;
  ASSERT_EQ(setsockopt(sockets.front().fd(), IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
  for (int i = 0; i < 20; ++i) {
    { Client(sockets.front().local()).Send("gone"); }
    ASSERT_EQ(ReceiveSome(sockets.front()), 1);
    batch_.Reply(0, "reply");
    batch_.Send();  // The port is closed: an ICMP error comes back and is pending now.
    const Client client(sockets.front().local());
    client.Send("here");
    ASSERT_EQ(ReceiveSome(sockets.front()), 1);
    EXPECT_EQ(batch_.payload(0), "here");
  }
}

TEST_F(DatagramBatchTest, AUnixSocketAnswersWhoHasANameAndKnowsEveryone) {
  const auto sockets = Bind("unixgram:" + folder_ + "/server");
  const ListenSocket& socket = sockets.front();
  const SocketAddress name = UnixAt("client");
  const Client client(socket.local(), &name);
  ExpectEcho(socket, client, "hello");
  ExpectEcho(socket, client, "");
  EXPECT_EQ(batch_.sender(0).ToString(), "unix:" + folder_ + "/client");
  ASSERT_TRUE(batch_.credentials(0));
  EXPECT_EQ(batch_.credentials(0)->uid, geteuid());
  EXPECT_EQ(batch_.credentials(0)->gid, getegid());

  const Client nameless(socket.local());
  nameless.Send("who am I");
  client.Send("and I");
  ASSERT_EQ(ReceiveSome(socket), 2);
  EXPECT_EQ(batch_.payload(0), "who am I");
  EXPECT_EQ(batch_.sender(0).ToString(), "unix:");
  EXPECT_FALSE(IpAddress::From(batch_.sender(0)).has_value());
  ASSERT_TRUE(batch_.credentials(0));
  EXPECT_EQ(batch_.credentials(0)->uid, geteuid());
  batch_.Reply(0, "no one");
  batch_.Reply(1, "you");
  EXPECT_EQ(batch_.Send(), 1);
  EXPECT_EQ(batch_.send_error(0), ENOTCONN);
  EXPECT_EQ(batch_.send_error(1), 0);
  EXPECT_EQ(client.Receive(), "you");
}

TEST_F(DatagramBatchTest, AUnixClientThatDoesNotReadIsFoundOut) {
  const auto sockets = Bind("unixgram:" + folder_ + "/server");
  const ListenSocket& socket = sockets.front();
  // Room for more than a queue holds (net.unix.max_dgram_qlen).
  const int bytes = 4 << 20;
  ASSERT_EQ(setsockopt(socket.fd(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
  const SocketAddress deaf_name = UnixAt("deaf");
  const UniqueFd deaf(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(deaf.get(), &deaf_name.any, deaf_name.size), 0);
  const auto deaf_sends = [&] {
    return sendto(deaf.get(), "x", 1, 0, &socket.local().any, socket.local().size) == 1;
  };
  int error = 0;
  for (int i = 0; i < 100000 && error == 0; ++i) {
    ASSERT_TRUE(deaf_sends());
    ASSERT_EQ(ReceiveSome(socket), 1);
    batch_.Reply(0, "x");
    batch_.Send();
    error = batch_.send_error(0);
  }
  EXPECT_EQ(error, EAGAIN);

  const SocketAddress gone_name = UnixAt("gone");
  const SocketAddress name = UnixAt("client");
  const Client client(socket.local(), &name);
  ASSERT_TRUE(deaf_sends());
  { Client(socket.local(), &gone_name).Send("gone"); }
  client.Send("here");
  ASSERT_EQ(ReceiveSome(socket), 3);
  for (int i = 0; i < 3; ++i) batch_.Reply(i, "reply");
  EXPECT_EQ(batch_.Send(), 1);
  EXPECT_EQ(batch_.send_error(0), EAGAIN);
  EXPECT_EQ(batch_.send_error(1), ECONNREFUSED);
  EXPECT_EQ(client.Receive(), "reply");
}

size_t OpenDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

TEST_F(DatagramBatchTest, NobodyCanFillTheServerWithDescriptors) {
  const auto sockets = Bind("unixgram:" + folder_ + "/server");
  const Client client(sockets.front().local());
  const size_t before = OpenDescriptors();
  alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = {};
  char byte = 'x';
  iovec payload{.iov_base = &byte, .iov_len = 1};
  msghdr message{};
  message.msg_iov = &payload;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(4 * sizeof(int));
  const std::vector<int> fds(4, client.fd());
  std::memcpy(CMSG_DATA(header), fds.data(), 4 * sizeof(int));
  ASSERT_EQ(sendmsg(client.fd(), &message, 0), 1);
  ASSERT_EQ(ReceiveSome(sockets.front()), 1);
  EXPECT_EQ(batch_.payload(0), "x");
  EXPECT_TRUE(batch_.credentials(0));
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_F(DatagramBatchTest, AnAbstractUnixSocketWorksTheSame) {
  const auto sockets = Bind("unixgram:@bsockd-datagrams-test");
  const SocketAddress name =
      Resolve(Address::Parse("unix:@bsockd-datagrams-client").value(), ResolveFor::kConnect)
          .value()
          .front();
  ExpectEcho(sockets.front(), Client(sockets.front().local(), &name), "hello");
  EXPECT_EQ(batch_.sender(0).ToString(), "unix:@bsockd-datagrams-client");
}

}  // namespace
}  // namespace bsockd
