#include "lib/net/listen_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

namespace bsockd {
namespace {

class ListenSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/bsockd.XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Address At(const std::string& name) const {
    return {.kind = Address::Kind::kUnixPath, .host = {}, .path = folder_ + "/" + name};
  }

  std::string folder_;
};

TEST_F(ListenSocketTest, AFileHasItsModeWhateverTheUmask) {
  for (const mode_t mask : {0077, 0000}) {
    const mode_t before = umask(mask);
    const auto sockets = Listen(At("socket"), 0624);
    EXPECT_EQ(umask(before), mask) << "the umask is as it was";
    ASSERT_TRUE(sockets.ok()) << sockets.status();
    struct stat status;
    ASSERT_EQ(stat(At("socket").path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0624u);
  }
}

// Listens on `address` when `start` ends, writes to `results` whether it could, and holds on until
// `release` ends. As from a daemon that was killed, the file stays behind.
[[noreturn]] void Serve(const Address& address, int start, int results, int release) {
  char ignored;
  [[maybe_unused]] ssize_t size = read(start, &ignored, 1);
  const auto sockets = Listen(address, 0600);
  size = write(results, sockets.ok() ? "y" : "n", 1);
  size = read(release, &ignored, 1);
  _exit(0);
}

struct Pipe {
  Pipe() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return;
    out = UniqueFd(fds[0]);
    in = UniqueFd(fds[1]);
  }
  UniqueFd out;
  UniqueFd in;
};

TEST_F(ListenSocketTest, OfManyThatStartTogetherOneListens) {
  constexpr int kRounds = 100;  // From the second on, each server finds a stale file to remove.
  constexpr int kServers = 4;
  for (int round = 0; round < kRounds; ++round) {
    Pipe start;
    Pipe results;
    Pipe release;
    std::vector<pid_t> servers;
    for (int i = 0; i < kServers; ++i) {
      // The write ends must end with this process alone.
      servers.push_back(fork());
      if (servers.back() == 0) {
        start.in.Reset();
        release.in.Reset();
        Serve(At("socket"), start.out.get(), results.in.get(), release.out.get());
      }
    }
    start.in.Reset();
    int listening = 0;
    for (int i = 0; i < kServers; ++i) {
      char result = 0;
      ASSERT_EQ(read(results.out.get(), &result, 1), 1);
      listening += result == 'y' ? 1 : 0;
    }
    release.in.Reset();
    for (const pid_t server : servers) waitpid(server, nullptr, 0);
    ASSERT_EQ(listening, 1) << "in round " << round;
  }
}

TEST_F(ListenSocketTest, TheFileGoesWithTheSocketUnlessItIsAnothers) {
  {
    const auto sockets = Listen(At("mine"), 0600);
    ASSERT_TRUE(sockets.ok()) << sockets.status();
  }
  EXPECT_FALSE(std::filesystem::exists(At("mine").path));
  auto sockets = Listen(At("replaced"), 0600);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  std::filesystem::remove(At("replaced").path);
  const auto others = Listen(At("replaced"), 0600);
  ASSERT_TRUE(others.ok()) << others.status();
  sockets->clear();
  EXPECT_TRUE(std::filesystem::exists(At("replaced").path));
}

TEST_F(ListenSocketTest, OnePortForEveryAddressOfAName) {
  Address address;
  address.host = "localhost";
  const auto sockets = Listen(address, 0600);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  for (const ListenSocket& socket : *sockets) {
    EXPECT_NE(socket.local().port(), 0);
    EXPECT_EQ(socket.local().port(), sockets->front().local().port());
  }
  // Taken now.
  Address taken;
  taken.host = "127.0.0.1";
  taken.port = sockets->front().local().port();
  const auto second = Listen(taken, 0600);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().message(),
            "cannot listen on " + taken.ToString() + ": Address already in use");
}

TEST_F(ListenSocketTest, ANameForTheLogIsAnAddressThatCanBeWritten) {
  const std::vector<std::string> texts = {
      "127.0.0.1:0",
      "udp:127.0.0.1:0",
      "unix:@bsockd-test",
      "unixgram:@bsockd-test",
      "unix:" + folder_ + "/stream",
      "unixgram:" + folder_ + "/datagrams",
  };
  for (const std::string& text : texts) {
    const auto address = Address::Parse(text);
    ASSERT_TRUE(address.ok()) << text;
    const auto sockets =
        address->datagrams ? BindDatagram(*address, 0600, 1) : Listen(*address, 0600);
    ASSERT_TRUE(sockets.ok()) << sockets.status();
    Address expected = *address;
    expected.port = sockets->front().local().port();
    EXPECT_EQ(sockets->front().name(), expected.ToString());
    EXPECT_EQ(sockets->front().datagrams(), address->datagrams);
  }
}

int Option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  EXPECT_EQ(getsockopt(fd, level, name, &value, &size), 0);
  return value;
}

// A socket as another program makes one.
UniqueFd PlainSocket(const std::string& text) {
  const auto address = Address::Parse(text);
  EXPECT_TRUE(address.ok()) << text;
  const auto where = Resolve(*address, ResolveFor::kListen);
  EXPECT_TRUE(where.ok()) << where.status();
  UniqueFd fd(socket(where->front().family(), address->datagrams ? SOCK_DGRAM : SOCK_STREAM, 0));
  EXPECT_EQ(bind(fd.get(), &where->front().any, where->front().size), 0) << text;
  EXPECT_TRUE(address->datagrams || listen(fd.get(), 1) == 0);
  return fd;
}

TEST_F(ListenSocketTest, AnAdoptedSocketIsLikeOneOfItsOwn) {
  const std::string abstract = "@bsockd-test" + folder_;
  for (const std::string& text : std::vector<std::string>{
           "127.0.0.1:0", "udp:127.0.0.1:0", "udp:0.0.0.0:0", "unix:" + folder_ + "/stream",
           "unixgram:" + folder_ + "/datagrams", "unix:" + abstract, "unixgram:" + abstract}) {
    const bool datagrams = text.starts_with("udp") || text.starts_with("unixgram");
    auto socket = ListenSocket::Adopt(PlainSocket(text), /*owns_file=*/true);
    ASSERT_TRUE(socket.ok()) << text << socket.status();
    EXPECT_EQ(socket->datagrams(), datagrams) << text;
    EXPECT_EQ(socket->name().substr(0, text.size() - 1), text.substr(0, text.size() - 1));
    EXPECT_NE(fcntl(socket->fd(), F_GETFD) & FD_CLOEXEC, 0) << text;
    EXPECT_NE(fcntl(socket->fd(), F_GETFL) & O_NONBLOCK, 0) << text;
    if (text == "127.0.0.1:0") {
      EXPECT_EQ(Option(socket->fd(), IPPROTO_TCP, TCP_NODELAY), 1);
    } else if (text == "udp:0.0.0.0:0") {
      EXPECT_EQ(Option(socket->fd(), IPPROTO_IP, IP_PKTINFO), 1);
    }
    if (text.starts_with("unixgram")) {
      EXPECT_EQ(Option(socket->fd(), SOL_SOCKET, SO_PASSCRED), 1);
    }
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_)) << "the files go with the sockets that own them";
}

TEST_F(ListenSocketTest, TheFileOfAnAdoptedSocketGoesOnlyWithAnOwner) {
  const std::string path = At("socket").path;
  {
    auto others = ListenSocket::Adopt(PlainSocket("unix:" + path), /*owns_file=*/false);
    ASSERT_TRUE(others.ok()) << others.status();
    EXPECT_TRUE(others->SetMode(0612).ok());
    others->Unlink();
  }
  ASSERT_TRUE(std::filesystem::exists(path));
  struct stat status;
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_NE(status.st_mode & 0777, 0612u) << "its mode is for the owner to set";
  std::filesystem::remove(path);
  {
    auto left = ListenSocket::Adopt(PlainSocket("unix:" + path), /*owns_file=*/true);
    ASSERT_TRUE(left.ok()) << left.status();
    EXPECT_TRUE(left->SetMode(0612).ok());
    left->LeaveFile();
  }
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0612u);
}

TEST_F(ListenSocketTest, WhatIsNoListenSocketIsNotAdopted) {
  const auto why_not = [](UniqueFd fd) {
    return std::string(ListenSocket::Adopt(std::move(fd), /*owns_file=*/true).status().message());
  };
  EXPECT_EQ(why_not(UniqueFd()), "it is not a socket");
  EXPECT_EQ(why_not(UniqueFd(open("/dev/null", O_RDONLY))), "it is not a socket");
  EXPECT_EQ(why_not(UniqueFd(socket(AF_NETLINK, SOCK_DGRAM, 0))),
            "it is neither an IP nor a Unix socket");
  EXPECT_EQ(why_not(UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET, 0))),
            "it is a socket neither for streams nor for datagrams");
  EXPECT_EQ(why_not(UniqueFd(socket(AF_INET, SOCK_STREAM, 0))),
            "it does not listen (a socket unit must not have Accept=yes: bsockd accepts itself)");
  UniqueFd gone = PlainSocket("unix:" + At("gone").path);
  std::filesystem::remove(At("gone").path);
  EXPECT_EQ(why_not(std::move(gone)), "unix:" + At("gone").path + " is gone");
}

// What datagrams add to it.
class DatagramSocketTest : public ListenSocketTest {
 protected:
  static Address Udp(std::string host, uint16_t port = 0) {
    Address address;
    address.host = std::move(host);
    address.port = port;
    address.datagrams = true;
    return address;
  }
  Address Gram(const std::string& name) const {
    Address address = At(name);
    address.datagrams = true;
    return address;
  }
};

int Option(const ListenSocket& socket, int level, int name) {
  return Option(socket.fd(), level, name);
}

TEST_F(DatagramSocketTest, EveryThreadHasASocketOfItsOwnForEachAddress) {
  constexpr size_t kSockets = 3;
  const auto sockets = BindDatagram(Udp("localhost"), 0600, kSockets);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  ASSERT_EQ(sockets->size() % kSockets, 0u);
  for (size_t i = 0; i < sockets->size(); ++i) {
    const ListenSocket& socket = (*sockets)[i];
    EXPECT_EQ(socket.name(), (*sockets)[i - i % kSockets].name());
    EXPECT_EQ(socket.local().port(), sockets->front().local().port());
    EXPECT_NE(fcntl(socket.fd(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(fcntl(socket.fd(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(Option(socket, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
  }
  EXPECT_EQ(sockets->front().local().family(), AF_INET);
}

TEST_F(DatagramSocketTest, TheClientsAreSpreadOverTheSockets) {
  constexpr size_t kSockets = 4;
  const auto sockets = BindDatagram(Udp("127.0.0.1"), 0600, kSockets);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  ASSERT_EQ(sockets->size(), kSockets);
  const SocketAddress& where = sockets->front().local();
  constexpr int kClients = 200;  // By chance, all of them miss a socket once in 10^24 runs.
  for (int i = 0; i < kClients; ++i) {
    const UniqueFd client(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(sendto(client.get(), "x", 1, 0, &where.any, where.size), 1);
  }
  int received = 0;
  for (const ListenSocket& socket : *sockets) {
    char buffer[8];
    int of_this = 0;
    while (recv(socket.fd(), buffer, sizeof(buffer), MSG_DONTWAIT) == 1) ++of_this;
    EXPECT_GT(of_this, 0);
    received += of_this;
  }
  EXPECT_EQ(received, kClients);
}

TEST_F(DatagramSocketTest, ASecondServerOnAPortIsRefused) {
  for (const int count : {1, 2}) {
    const auto first = BindDatagram(Udp("127.0.0.1"), 0600, count);
    ASSERT_TRUE(first.ok()) << first.status();
    const Address taken = Udp("127.0.0.1", first->front().local().port());
    for (const int second_count : {1, 2}) {
      const auto second = BindDatagram(taken, 0600, second_count);
      ASSERT_FALSE(second.ok());
      EXPECT_EQ(second.status().message(),
                "cannot listen on " + taken.ToString() + ": Address already in use");
    }
    // Every address is one of them, too; and a port of TCP is another thing.
    EXPECT_FALSE(BindDatagram(Udp("*", taken.port), 0600, 2).ok());
  }
}

TEST_F(DatagramSocketTest, AStarIsEveryAddressAndTellsWhichWasAsked) {
  const auto sockets = BindDatagram(Udp("*"), 0600, 2);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  ASSERT_EQ(sockets->size(), 2u);
  for (const ListenSocket& socket : *sockets) {
    EXPECT_EQ(Option(socket, IPPROTO_IP, IP_PKTINFO), 1);
    if (socket.local().family() != AF_INET6) continue;
    EXPECT_EQ(Option(socket, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    EXPECT_EQ(Option(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
  }
  const auto one = BindDatagram(Udp("127.0.0.1"), 0600, 1);
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(Option(one->front(), IPPROTO_IP, IP_PKTINFO), 0);
  EXPECT_EQ(Option(one->front(), SOL_SOCKET, SO_REUSEPORT), 0);
}

TEST_F(DatagramSocketTest, AUnixSocketIsOneFileForAllThreads) {
  {
    const auto sockets = BindDatagram(Gram("socket"), 0640, 4);
    ASSERT_TRUE(sockets.ok()) << sockets.status();
    ASSERT_EQ(sockets->size(), 1u);
    struct stat status;
    ASSERT_EQ(stat(At("socket").path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0640u);
  }
  EXPECT_FALSE(std::filesystem::exists(At("socket").path));
}

TEST_F(DatagramSocketTest, ALiveSocketFileIsLeftAloneWhateverItsType) {
  for (const bool first_datagrams : {false, true}) {
    for (const bool second_datagrams : {false, true}) {
      const Address first = first_datagrams ? Gram("socket") : At("socket");
      const Address second = second_datagrams ? Gram("socket") : At("socket");
      const auto listening = first_datagrams ? BindDatagram(first, 0600, 1) : Listen(first, 0600);
      ASSERT_TRUE(listening.ok()) << listening.status();
      const auto refused = second_datagrams ? BindDatagram(second, 0600, 1) : Listen(second, 0600);
      ASSERT_FALSE(refused.ok());
      EXPECT_EQ(refused.status().message(), "cannot listen on " + second.ToString() +
                                                " (a server answers there): "
                                                "Address already in use");
    }
  }
}

TEST_F(DatagramSocketTest, AStaleSocketFileIsReplacedWhateverItsType) {
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    for (const bool datagrams : {false, true}) {
      const auto where = Resolve(At("socket"), ResolveFor::kListen);
      ASSERT_TRUE(where.ok());
      {
        const UniqueFd killed(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
        ASSERT_EQ(bind(killed.get(), &where->front().any, where->front().size), 0);
      }
      ASSERT_TRUE(std::filesystem::exists(At("socket").path));
      const auto sockets =
          datagrams ? BindDatagram(Gram("socket"), 0600, 1) : Listen(At("socket"), 0600);
      EXPECT_TRUE(sockets.ok()) << sockets.status();
    }
  }
  // What is no socket stays.
  std::filesystem::create_directory(At("folder").path);
  EXPECT_FALSE(BindDatagram(Gram("folder"), 0600, 1).ok());
  EXPECT_TRUE(std::filesystem::is_directory(At("folder").path));
}

}  // namespace
}  // namespace bsockd
