// The client of datagrams against servers that lose, delay and repeat them as the test says.
// Waiting is never for a fixed time: a short timeout is only used where it must pass.
#include "lib/client/datagram_client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/text.h"
#include "tests/support/datagram_server.h"

namespace bsockd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::string_literals::operator""s;

constexpr Duration kMustPass = milliseconds(30);

ClientOptions Options(Duration timeout = seconds(20), int retries = 2) {
  ClientOptions options;
  options.timeout = timeout;
  options.retries = retries;
  return options;
}

DatagramClient MustOpen(const Address& address, ClientOptions options = Options()) {
  absl::StatusOr<DatagramClient> client = DatagramClient::Open(address, std::move(options));
  EXPECT_TRUE(client.ok()) << client.status().ToString();
  return std::move(*client);
}

// A folder for Unix sockets.
class Folder {
 public:
  Folder() { EXPECT_NE(mkdtemp(path_), nullptr); }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string File(const std::string& name) const { return std::string(path_) + "/" + name; }

 private:
  char path_[64] = "/tmp/bsockd-datagrams-XXXXXX";
};

TEST(DatagramClient, CallsSeveralTimesFromOnePort) {
  std::vector<std::string> peers;
  DatagramServer server([&peers](DatagramServer& self, const DatagramServer::Datagram& datagram) {
    peers.push_back(datagram.from.ToString());
    DatagramServer::Echo(self, datagram);
  });
  DatagramClient client = MustOpen(server.address());
  EXPECT_EQ(client.Call("one").value_or("none"), "re: one");
  DatagramClient moved = std::move(client);
  EXPECT_EQ(moved.Call("N\0L\n"s).value_or("none"), "re: N\0L\n"s);
  EXPECT_EQ(moved.Call("").value_or("none"), "re: ");
  EXPECT_EQ(peers, std::vector<std::string>(3, peers.front()));
}

TEST(DatagramClient, TakesAnEmptyReply) {
  DatagramServer server([](DatagramServer& self, const DatagramServer::Datagram& datagram) {
    self.Send(datagram.from, "");
  });
  EXPECT_EQ(MustOpen(server.address()).Call("x").value_or("none"), "");
}

TEST(DatagramClient, ReachesAUnixSocketThatCanAnswer) {
  const Folder folder;
  DatagramServer server(DatagramServer::Echo, folder.File("s"));
  DatagramClient client = MustOpen(server.address());
  EXPECT_EQ(client.Call("x").value_or("none"), "re: x");
  const std::string large(100'000, 'l');
  EXPECT_TRUE(client.Call(large).value_or("none") == "re: " + large);

  const absl::StatusOr<DatagramClient> missing =
      DatagramClient::Open(*Address::Parse("unixgram:" + folder.File("nobody")), Options());
  EXPECT_EQ(MessageOf(missing.status()), "No such file or directory");
}

TEST(DatagramClient, AsksAgainWhereADatagramIsLost) {
  DatagramServer server([](DatagramServer& self, const DatagramServer::Datagram& datagram) {
    if (datagram.index >= 2) DatagramServer::Echo(self, datagram);
  });
  DatagramClient client = MustOpen(server.address(), Options(kMustPass, 1000));
  EXPECT_EQ(client.Call("x").value_or("none"), "re: x");
}

TEST(DatagramClient, GivesUpAfterItsTries) {
  std::vector<std::string> seen;
  {
    DatagramServer server(
        [&seen](DatagramServer&, const DatagramServer::Datagram& d) { seen.push_back(d.bytes); });
    DatagramClient client = MustOpen(server.address(), Options(kMustPass));
    const absl::StatusOr<std::string> reply = client.Call("x");
    EXPECT_EQ(reply.status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(MessageOf(reply.status()), "no reply within 30ms (3 tries)");
    DatagramClient once = MustOpen(server.address(), Options(kMustPass, 0));
    EXPECT_EQ(MessageOf(once.Call("y").status()), "no reply within 30ms");
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), "x"), 3);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), "y"), 1);
}

// The answer to the first try comes when the next request has already been sent.
TEST(DatagramClient, ALateAnswerIsNotTheReplyToTheNextRequest) {
  SocketAddress old;
  DatagramServer server([&old](DatagramServer& self, const DatagramServer::Datagram& datagram) {
    if (datagram.bytes == "slow") {
      old = datagram.from;
      if (datagram.index >= 1) DatagramServer::Echo(self, datagram);
    } else {
      self.Send(old, "late");
      DatagramServer::Echo(self, datagram);
    }
  });
  DatagramClient client = MustOpen(server.address(), Options(kMustPass, 1000));
  EXPECT_EQ(client.Call("slow").value_or("none"), "re: slow");
  EXPECT_EQ(client.Call("next").value_or("none"), "re: next");
}

TEST(DatagramClient, NorIsTheAnswerToARequestThatWasGivenUp) {
  SocketAddress old;
  DatagramServer server([&old](DatagramServer& self, const DatagramServer::Datagram& datagram) {
    if (datagram.bytes == "given up") {
      old = datagram.from;
    } else {
      self.Send(old, "late");
      DatagramServer::Echo(self, datagram);
    }
  });
  DatagramClient client = MustOpen(server.address(), Options(kMustPass, 0));
  EXPECT_EQ(client.Call("given up").status().code(), absl::StatusCode::kDeadlineExceeded);
  absl::StatusOr<std::string> reply;
  do {  // On a busy machine even a willing server can be late.
    reply = client.Call("next");
  } while (absl::IsDeadlineExceeded(reply.status()));
  EXPECT_EQ(reply.value_or("none"), "re: next");
}

TEST(DatagramClient, NorIsWhatCameUnasked) {
  const Folder folder;
  std::promise<void> sent;
  // On a Unix socket a datagram has arrived when it is sent.
  DatagramServer server(
      [&sent](DatagramServer& self, const DatagramServer::Datagram& datagram) {
        DatagramServer::Echo(self, datagram);
        if (datagram.index > 0) return;
        self.Send(datagram.from, "again");
        sent.set_value();
      },
      folder.File("s"));
  DatagramClient client = MustOpen(server.address());
  EXPECT_EQ(client.Call("one").value_or("none"), "re: one");
  sent.get_future().wait();
  EXPECT_EQ(client.Call("two").value_or("none"), "re: two");
}

TEST(DatagramClient, SaysThatNobodyIsThere) {
  UniqueFd hold;
  const Address refusing = DatagramServer::RefusingAddress(&hold);
  DatagramClient client = MustOpen(refusing);
  for (int i = 0; i < 2; ++i) {  // The second time as well.
    const absl::StatusOr<std::string> reply = client.Call("x");
    EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(MessageOf(reply.status()), "Connection refused");
  }
}

TEST(DatagramClient, GoesOnToTheNextAddressOfAName) {
  DatagramServer server(DatagramServer::Echo);
  // localhost is ::1 first, and the server has only 127.0.0.1.
  Address address = server.address();
  address.host = "localhost";
  DatagramClient client = MustOpen(address);
  EXPECT_EQ(client.Call("one").value_or("none"), "re: one");
  EXPECT_EQ(client.Call("two").value_or("none"), "re: two");
}

TEST(DatagramClient, RefusesWhatDoesNotFitIntoADatagram) {
  DatagramServer server([](DatagramServer& self, const DatagramServer::Datagram& datagram) {
    self.Send(datagram.from, std::to_string(datagram.bytes.size()));
  });
  DatagramClient client = MustOpen(server.address());
  const absl::StatusOr<std::string> reply = client.Call(std::string(65508, 'x'));
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MessageOf(reply.status()), "a request of 65508 bytes does not fit into one datagram");
  EXPECT_EQ(client.Call(std::string(65507, 'x')).value_or("none"), "65507");
}

TEST(DatagramClient, RefusesAReplyAboveItsLimit) {
  ClientOptions options = Options();
  options.reply_bytes_max = 5;
  DatagramServer server([](DatagramServer& self, const DatagramServer::Datagram& datagram) {
    self.Send(datagram.from, datagram.bytes);
  });
  DatagramClient client = MustOpen(server.address(), options);
  const absl::StatusOr<std::string> reply = client.Call("123456");
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(MessageOf(reply.status()), "the reply is longer than 5 bytes");
  EXPECT_EQ(client.Call("12345").value_or("none"), "12345");
}

TEST(DatagramClient, ShowsTheObserverEveryDatagram) {
  std::vector<std::pair<Direction, std::string>> seen;
  ClientOptions options = Options();
  options.observer = [&seen](Direction direction, std::string_view bytes) {
    seen.emplace_back(direction, bytes);
  };
  DatagramServer server(DatagramServer::Echo);
  EXPECT_TRUE(MustOpen(server.address(), options).Call("x").ok());
  const std::vector<std::pair<Direction, std::string>> expected = {{Direction::kSent, "x"},
                                                                   {Direction::kReceived, "re: x"}};
  EXPECT_EQ(seen, expected);
}

TEST(DatagramClient, TakesOnlyAddressesOfDatagrams) {
  const absl::StatusOr<DatagramClient> client =
      DatagramClient::Open(*Address::Parse("127.0.0.1:1"), Options());
  EXPECT_EQ(client.status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace bsockd
