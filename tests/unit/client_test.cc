// The client library against servers that do what the test says. Waiting is never for a fixed time:
// a short timeout is only used where it must pass.
#include "lib/client/client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/client/connect.h"
#include "lib/client/wait.h"
#include "tests/support/scripted_server.h"

namespace bsockd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::string_literals::operator""s;

constexpr Duration kMustPass = milliseconds(30);

ClientOptions Options(Duration timeout = seconds(20)) {
  ClientOptions options;
  options.timeout = timeout;
  return options;
}

ClientOptions WithDelimiters(std::vector<std::string> delimiters) {
  ClientOptions options = Options();
  options.framing.kind = FramingConfig::Kind::kDelimiter;
  options.framing.delimiters = std::move(delimiters);
  return options;
}

ClientOptions Raw() {
  ClientOptions options = Options();
  options.framing.kind = FramingConfig::Kind::kRaw;
  return options;
}

Client MustConnect(const Address& address, ClientOptions options) {
  absl::StatusOr<Client> client = Client::Connect(address, std::move(options));
  EXPECT_TRUE(client.ok()) << client.status().ToString();
  return std::move(*client);
}

// A client and, in the test's own hands, the server's end of its connection.
struct Pair {
  Client client;
  UniqueFd server_fd;
  ServedConnection server;
};

Pair MakePair(ClientOptions options) {
  int fds[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  absl::StatusOr<Client> client = Client::FromSocket(UniqueFd(fds[0]), std::move(options));
  EXPECT_TRUE(client.ok()) << client.status().ToString();
  return {std::move(*client), UniqueFd(fds[1]), ServedConnection(fds[1])};
}

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

TEST(Client, CallsSeveralTimes) {
  ScriptedServer server([](ServedConnection& connection, int) {
    for (;;) {
      const std::string line = connection.ReadUntil("\n");
      if (line.empty()) return;
      connection.Write("got " + line);
    }
  });
  Client client = MustConnect(server.address(), Options());
  EXPECT_EQ(client.Call("one").value_or("none"), "got one");
  EXPECT_EQ(client.Call("").value_or("none"), "got ");
  EXPECT_EQ(client.Call("N\0L"s).value_or("none"), "got N\0L"s);
  Client moved = std::move(client);
  EXPECT_EQ(moved.Call("two").value_or("none"), "got two");
}

TEST(Client, PutsAReplyTogetherByteByByte) {
  ScriptedServer server([](ServedConnection& connection, int) {
    connection.ReadUntil("\n");
    for (const char c : std::string("slow\n")) connection.Write(std::string(1, c));
    connection.ReadToEnd();
  });
  Client client = MustConnect(server.address(), Options());
  EXPECT_EQ(client.Call("x").value_or("none"), "slow");
}

TEST(Client, ReceivesTheSameHoweverTheBytesAreCut) {
  const char* given = std::getenv("BSOCKD_SEED");
  const uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device()();
  SCOPED_TRACE("BSOCKD_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::vector<std::string> replies;
  std::string stream;
  for (int i = 0; i < 500; ++i) {
    replies.emplace_back(random() % 300, static_cast<char>('a' + random() % 26));
    stream += replies.back() + (random() % 2 == 0 ? "\n" : "\r\n");
  }
  Pair pair = MakePair(Options());
  std::thread writer([&pair, &stream, cuts = std::mt19937_64(seed)]() mutable {
    for (size_t at = 0; at < stream.size();) {
      const size_t size = std::min<size_t>(1 + cuts() % 700, stream.size() - at);
      pair.server.Write(std::string_view(stream).substr(at, size));
      at += size;
    }
  });
  for (const std::string& reply : replies) EXPECT_EQ(pair.client.Receive().value_or("none"), reply);
  writer.join();
}

TEST(Client, TakesAReplyThatEndsWithAnyDelimiter) {
  Pair pair = MakePair(WithDelimiters({"@@", "\r\n", "\n"}));
  ASSERT_TRUE(pair.client.Send("request").ok());
  EXPECT_EQ(pair.server.Read(9), "request@@");
  pair.server.Write("a@@b\r\nc\nd@");
  for (const char* reply : {"a", "b", "c"}) {
    EXPECT_EQ(pair.client.Receive().value_or("none"), reply);
  }
  pair.server_fd.Reset();
  EXPECT_EQ(pair.client.Receive().value_or("none"), "d@");
}

TEST(Client, SendsALargeRequestThroughASmallBuffer) {
  const std::string request(1 << 20, 'r');
  Pair pair = MakePair(Options());
  const int bytes = 1;  // The kernel makes its minimum of it.
  ASSERT_EQ(setsockopt(pair.client.fd(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
  std::string seen;
  std::thread server([&] {
    for (size_t count = 1; seen.size() <= request.size(); count = count * 3 % 4099) {
      seen += pair.server.Read(std::min(count, request.size() + 1 - seen.size()));
    }
    pair.server.Write("thanks\n");
  });
  EXPECT_EQ(pair.client.Call(request).value_or("none"), "thanks");
  server.join();
  EXPECT_EQ(seen, request + "\n");
}

TEST(Client, EchoOf8MiBDoesNotDeadlock) {
  // Echoes as it reads, and stops reading while its own output is stuck. A pair of Unix sockets
  // holds a fraction of a megabyte, where TCP's buffers can grow until they hold it all.
  Pair pair = MakePair(Options());
  std::thread server([&connection = pair.server] {
    for (;;) {
      const std::string bytes = connection.ReadSome(16 * 1024);
      if (bytes.empty() || !connection.Write(bytes)) return;
    }
  });
  std::string request(8 << 20, 'e');
  request[12345] = '\0';
  EXPECT_TRUE(pair.client.Call(request).value_or("none") == request);
  EXPECT_EQ(pair.client.Call("and on").value_or("none"), "and on");
  shutdown(pair.client.fd(), SHUT_RDWR);
  server.join();
}

TEST(Client, RepliesToRequestsSentAheadComeInOrder) {
  constexpr int kRequests = 1000;
  ScriptedServer server([](ServedConnection& connection, int) {
    for (int i = 0; i < kRequests; ++i) connection.Write(connection.ReadUntil("\n"));
  });
  Client client = MustConnect(server.address(), Options());
  for (int i = 0; i < kRequests; ++i) ASSERT_TRUE(client.Send(std::to_string(i)).ok());
  EXPECT_EQ(client.unanswered(), static_cast<size_t>(kRequests));
  for (int i = 0; i < kRequests; ++i) {
    ASSERT_EQ(client.Receive().value_or("none"), std::to_string(i));
  }
  EXPECT_EQ(client.unanswered(), 0U);
}

TEST(Client, DeliversAnUnterminatedReplyWhenTheServerCloses) {
  ScriptedServer server([](ServedConnection& connection, int) {
    connection.ReadUntil("\n");
    connection.Write("I am the server, and I got your message");
  });
  Client client = MustConnect(server.address(), Options());
  EXPECT_FALSE(client.ClosedByServer());
  EXPECT_EQ(client.Call("x").value_or("none"), "I am the server, and I got your message");
  EXPECT_TRUE(client.ClosedByServer());
  const absl::StatusOr<std::string> next = client.Call("y");
  EXPECT_EQ(next.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(MessageOf(next.status()), "the server has closed the connection");
}

TEST(Client, DiscardsAnUnterminatedReplyWhereTheFramingSaysSo) {
  ClientOptions options = Options();
  options.framing.eof = FramingConfig::AtEof::kDiscard;
  ScriptedServer server([](ServedConnection& connection, int) {
    connection.ReadUntil("\n");
    connection.Write("half");
  });
  Client client = MustConnect(server.address(), options);
  const absl::StatusOr<std::string> reply = client.Call("x");
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(MessageOf(reply.status()), "the server closed the connection before it replied");
}

TEST(Client, SaysThatTheServerClosed) {
  ScriptedServer server([](ServedConnection& connection, int) { connection.ReadUntil("\n"); });
  Client client = MustConnect(server.address(), Options());
  const absl::StatusOr<std::string> reply = client.Call("x");
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(MessageOf(reply.status()), "the server closed the connection before it replied");
}

TEST(Client, SaysThatTheServerReset) {
  ScriptedServer server([](ServedConnection& connection, int) {
    connection.ReadUntil("\n");
    connection.Write("hal");
    connection.ResetOnClose();
  });
  Client client = MustConnect(server.address(), Options());
  const absl::StatusOr<std::string> reply = client.Call("x");
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(MessageOf(reply.status()), "the server reset the connection");
}

TEST(Client, TakesAnAnswerThatComesBeforeTheWholeRequestIsRead) {
  std::promise<void> answered;
  ScriptedServer server([&answered](ServedConnection& connection, int) {
    connection.Read(1000);
    connection.Write("ERR overlong\n");
    shutdown(connection.fd(), SHUT_WR);
    answered.get_future().wait();  // Does not read on: the client has to notice by itself.
  });
  Client client = MustConnect(server.address(), Options());
  EXPECT_EQ(client.Call(std::string(64 << 20, 'x')).value_or("none"), "ERR overlong");
  answered.set_value();
}

TEST(Client, GivesUpAfterItsTimeout) {
  Pair pair = MakePair(Options(kMustPass));
  const absl::StatusOr<std::string> reply = pair.client.Call("x");
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(MessageOf(reply.status()), "no reply within 30ms");
  // The reply may still come, and must not be taken for that to another request.
  EXPECT_EQ(pair.client.Call("y").status().code(), absl::StatusCode::kFailedPrecondition);
  pair.server.Write("late\n");
  EXPECT_EQ(pair.client.Receive().value_or("none"), "late");
  pair.server.Write("hello\n");
  EXPECT_EQ(pair.client.Call("y").value_or("none"), "hello");
}

TEST(Client, GoesOnWaitingForTheRestOfAReply) {
  Pair pair = MakePair(Options(kMustPass));
  ASSERT_TRUE(pair.client.Send("x").ok());
  pair.server.Write("hel");
  const absl::StatusOr<std::string> reply = pair.client.Receive();
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(MessageOf(reply.status()), "no whole reply within 30ms (3 bytes of one came)");
  pair.server.Write("lo\n");
  EXPECT_EQ(pair.client.Receive().value_or("none"), "hello");
}

TEST(Client, GivesUpSendingToAServerThatDoesNotRead) {
  Pair pair = MakePair(Options(kMustPass));
  const absl::Status sent = pair.client.Send(std::string(64 << 20, 'x'));
  EXPECT_EQ(sent.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(MessageOf(sent), "the server did not take the request within 30ms");
  // Half a request is on its way, so nothing may follow it.
  EXPECT_EQ(pair.client.Send("y"), sent);
}

TEST(Client, BuffersNoMoreThanItsLimitWhileItSends) {
  ClientOptions options = Options(kMustPass);
  options.reply_bytes_max = 1000;
  Pair pair = MakePair(options);
  std::thread server([&pair] { pair.server.Write(std::string(4 << 20, 'r')); });
  const absl::Status sent = pair.client.Send(std::string(4 << 20, 'x'));
  EXPECT_EQ(sent.code(), absl::StatusCode::kDeadlineExceeded);
  shutdown(pair.server.fd(), SHUT_RDWR);
  server.join();
}

TEST(Client, RefusesAReplyAboveItsLimit) {
  ClientOptions options = Options();
  options.reply_bytes_max = 5;
  Pair pair = MakePair(options);
  pair.server.Write("12345\n");
  EXPECT_EQ(pair.client.Receive().value_or("none"), "12345");
  pair.server.Write("123456\n");
  const absl::StatusOr<std::string> reply = pair.client.Receive();
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(MessageOf(reply.status()), "the reply is longer than 5 bytes");
}

TEST(Client, HandsOverASilentReplyAfterFlushAfter) {
  ClientOptions options = Options();
  options.framing.flush_after = kMustPass;
  Pair pair = MakePair(options);
  pair.server.Write("no newline");
  EXPECT_EQ(pair.client.Call("x").value_or("none"), "no newline");
  pair.server.Write("newline\n");
  EXPECT_EQ(pair.client.Call("y").value_or("none"), "newline");
}

TEST(Client, RawIsWhatOneReadReturned) {
  Pair pair = MakePair(Raw());
  ASSERT_TRUE(pair.client.Send("no terminator").ok());
  EXPECT_EQ(pair.server.Read(13), "no terminator");
  pair.server.Write("a\nb\n");
  EXPECT_EQ(pair.client.Receive().value_or("none"), "a\nb\n");
  const absl::Status empty = pair.client.Send("");
  EXPECT_EQ(empty.code(), absl::StatusCode::kInvalidArgument);
}

TEST(Client, RefusesARequestThatWouldArriveAsSeveral) {
  Pair pair = MakePair(Options());
  const absl::Status cut = pair.client.Call("a\nb").status();
  EXPECT_EQ(cut.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MessageOf(cut),
            "the request contains a delimiter of the framing, so it would arrive as several "
            "requests");
  EXPECT_EQ(pair.client.Call("a\r").status().code(), absl::StatusCode::kInvalidArgument);
  // Nothing was sent, and the connection is as good as before.
  pair.server.Write("fine\n");
  EXPECT_EQ(pair.client.Call("a\rb").value_or("none"), "fine");
  EXPECT_EQ(pair.server.Read(4), "a\rb\n");

  Pair delimited = MakePair(WithDelimiters({"@@", ";"}));
  for (const char* request : {"a@@b", "a;", "@"}) {
    EXPECT_EQ(delimited.client.Send(request).code(), absl::StatusCode::kInvalidArgument) << request;
  }
  EXPECT_TRUE(delimited.client.Send("a@b\n").ok());
}

TEST(Client, ShowsTheObserverEveryBuffer) {
  std::vector<std::pair<Direction, std::string>> seen;
  ClientOptions options = Options();
  options.observer = [&seen](Direction direction, std::string_view bytes) {
    seen.emplace_back(direction, bytes);
  };
  Pair pair = MakePair(options);
  pair.server.Write("one\r\nt");
  EXPECT_EQ(pair.client.Call("question").value_or("none"), "one");
  pair.server.Write("wo\n");
  EXPECT_EQ(pair.client.Receive().value_or("none"), "two");
  const std::vector<std::pair<Direction, std::string>> expected = {
      {Direction::kSent, "question\n"},
      {Direction::kReceived, "one\r\nt"},
      {Direction::kReceived, "wo\n"}};
  EXPECT_EQ(seen, expected);
}

TEST(ClientConnect, SaysWhyInTheSystemsWords) {
  UniqueFd hold;
  const SocketAddress refusing = ScriptedServer::RefusingAddress(&hold);
  const absl::StatusOr<Client> refused =
      Client::Connect(*Address::Parse(refusing.ToString()), Options());
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(MessageOf(refused.status()), "Connection refused");

  const absl::StatusOr<Client> missing =
      Client::Connect(*Address::Parse("unix:/nowhere/at/all"), Options());
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(MessageOf(missing.status()), "No such file or directory");
}

TEST(ClientConnect, TriesEveryAddressOfAName) {
  ScriptedServer server(
      [](ServedConnection& connection, int) { connection.Write(connection.ReadUntil("\n")); });
  // localhost is ::1 first, and the server has only 127.0.0.1.
  Address address = server.address();
  address.host = "localhost";
  EXPECT_EQ(MustConnect(address, Options()).Call("x").value_or("none"), "x");
}

TEST(ClientConnect, GoesOnToTheNextAddress) {
  UniqueFd hold;
  const SocketAddress refusing = ScriptedServer::RefusingAddress(&hold);
  ScriptedServer server([](ServedConnection& connection, int) { connection.ReadToEnd(); });
  const SocketAddress good = Resolve(server.address(), ResolveFor::kConnect)->front();
  const SocketAddress unsupported;  // Of no family.
  EXPECT_TRUE(ConnectToAny({refusing, unsupported, good}, DeadlineAfter(seconds(20))).ok());
  // The refusal says more than that the other kind of address does not exist here.
  for (const auto& order : {std::vector{refusing, unsupported}, {unsupported, refusing}}) {
    EXPECT_EQ(MessageOf(ConnectToAny(order, DeadlineAfter(seconds(20))).status()),
              "Connection refused");
  }
}

TEST(ClientConnect, ReachesAUnixSocketAndGivesUpOnAFullOne) {
  char folder[] = "/tmp/bsockd-client-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/s";
  {
    ScriptedServer server(
        [](ServedConnection& connection, int) { connection.Write(connection.ReadUntil("\n")); },
        path);
    EXPECT_EQ(MustConnect(server.address(), Options()).Call("x").value_or("none"), "x");
  }
  std::filesystem::remove(path);

  const Address address = *Address::Parse("unix:" + path);
  const SocketAddress bound = Resolve(address, ResolveFor::kListen)->front();
  const UniqueFd full(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(full.get(), &bound.any, bound.size), 0);
  ASSERT_EQ(listen(full.get(), 0), 0);
  const Client first = MustConnect(address, Options());
  const absl::StatusOr<Client> second = Client::Connect(address, Options(kMustPass));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(MessageOf(second.status()), "Connection timed out");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace bsockd
