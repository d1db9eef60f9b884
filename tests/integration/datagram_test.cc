// Datagrams, UDP and Unix, as a client meets them that knows nothing but sockets: one datagram is
// one request, and its reply is one datagram.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/net/address.h"
#include "tests/integration/counters.h"
#include "tests/integration/daemon.h"
#include "tests/integration/datagram_client.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

constexpr size_t kUdpBytesMax = 65507;  // Of a payload over IPv4: RFC 768 and RFC 791.

using Client = DatagramClient;

bool IsOfDatagrams(const std::string& address) {
  return address.starts_with("udp:") || address.starts_with("unixgram:");
}

class DatagramTest : public BackendTest {
 protected:
  // The listener "main" at `listen`, and the counters.
  static std::string Config(std::string_view listen, std::string_view handler,
                            std::string_view more) {
    return fmt::format(
        "handlers:\n"
        "  only: {}\n"
        "  stats: {{builtin: stats}}\n"
        "listeners:\n"
        "  main:\n"
        "    listen: [\"{}\"]\n"
        "    handler: only\n"
        "    {}\n"
        "  stats: {{listen: \"127.0.0.1:0\", handler: stats}}\n",
        handler, listen, more);
  }
  std::unique_ptr<Daemon> Listen(std::string_view listen,
                                 std::string_view handler = "{builtin: echo}",
                                 std::string_view more = "framing: line", int workers = 2) const {
    DaemonOptions options;
    options.config =
        fmt::format("server: {{workers: {}}}\n", workers) + Config(listen, handler, more);
    options.address_count = 2;
    return StartWith(std::move(options));
  }
  // Of main, and of the counters, in whatever order they are printed.
  static const std::string& AddressOf(const Daemon& daemon) {
    return daemon.address(IsOfDatagrams(daemon.address(0)) ? 0 : 1);
  }
  static uint64_t Count(const Daemon& daemon, std::string_view family, std::string_view reason) {
    return ReadCount(daemon.address(IsOfDatagrams(daemon.address(0)) ? 1 : 0), family, reason);
  }
  // One of each kind.
  std::vector<std::string> EveryKind() const {
    return {"udp:127.0.0.1:0", "udp:[::1]:0", "unixgram:" + folder_.File("socket"),
            "unixgram:@bsockd-test" + folder_.path()};
  }

  const TemporaryFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(, DatagramTest, kBackends, BackendName);

bool HasIpv6() {
  const UniqueFd fd(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const SocketAddress loopback = FirstOf("udp:[::1]:0", ResolveFor::kListen);
  return fd && bind(fd.get(), &loopback.any, loopback.size) == 0;
}

TEST_P(DatagramTest, ADatagramIsARequestAndItsReplyIsADatagram) {
  for (const std::string& address : EveryKind()) {
    if (address.find("::1") != address.npos && !HasIpv6()) continue;
    SCOPED_TRACE(address);
    const auto daemon = Listen(address);
    ASSERT_NE(daemon, nullptr);
    EXPECT_TRUE(daemon->process().WaitForErrors("listening on " + AddressOf(*daemon)));
    const Client client(AddressOf(*daemon));
    // Whatever it holds: framing is for streams.
    for (const std::string_view request :
         {std::string_view("hello"), std::string_view(""), std::string_view("one\ntwo\n"),
          std::string_view("\0\xFF\r\n\0", 5), std::string_view("\n"), std::string_view("")}) {
      ASSERT_EQ(client.Call(request), request);
    }
    EXPECT_EQ(Count(*daemon, "requests", ""), 6u);
  }
}

TEST_P(DatagramTest, AHandlerThatSaysNothingSaysItInADatagram) {
  const auto daemon = Listen("udp:127.0.0.1:0", "{builtin: discard}");
  ASSERT_NE(daemon, nullptr);
  EXPECT_EQ(Client(AddressOf(*daemon)).Call("hello"), "");
}

TEST_P(DatagramTest, RequestsAreAnsweredInTheirOrder) {
  for (const std::string& address : {EveryKind().front(), EveryKind().back()}) {
    const auto daemon = Listen(address);
    ASSERT_NE(daemon, nullptr);
    const Client client(AddressOf(*daemon));
    constexpr int kRequests = 100;
    for (int i = 0; i < kRequests; ++i) ASSERT_TRUE(client.Send(std::to_string(i)));
    for (int i = 0; i < kRequests; ++i) ASSERT_EQ(client.Receive(), std::to_string(i));
  }
}

TEST_P(DatagramTest, TheRequestLogHasThem) {
  const auto daemon = Listen("udp:127.0.0.1:0", "{builtin: echo, log_requests: true}");
  ASSERT_NE(daemon, nullptr);
  EXPECT_EQ(Client(AddressOf(*daemon)).Call("remember me"), "remember me");
  EXPECT_TRUE(daemon->process().WaitForOutput("remember me"));
}

TEST_P(DatagramTest, AsMuchAsADatagramHolds) {
  const std::string most(kUdpBytesMax, 'x');
  const auto udp = Listen("udp:127.0.0.1:0");
  ASSERT_NE(udp, nullptr);
  EXPECT_TRUE(Client(AddressOf(*udp)).Call(most) == most);
  const auto unix_socket = Listen("unixgram:" + folder_.File("socket"));
  ASSERT_NE(unix_socket, nullptr);
  const std::string more(65535, 'x');
  EXPECT_TRUE(Client(AddressOf(*unix_socket)).Call(more) == more);
}

TEST_P(DatagramTest, ATooLongDatagramIsToldSo) {
  for (const std::string& address : {EveryKind()[0], EveryKind()[2]}) {
    SCOPED_TRACE(address);
    const auto daemon = Listen(address, "{builtin: echo}", "limits: {max_frame: 1KiB}");
    ASSERT_NE(daemon, nullptr);
    const Client client(AddressOf(*daemon));
    const std::string longest(1024, 'x');
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(client.Call(longest), longest);
      for (const size_t size : {size_t{1025}, size_t{1026}, size_t{9000}, kUdpBytesMax}) {
        const auto reply = client.Call(std::string(size, 'y'));
        ASSERT_TRUE(reply.has_value());
        EXPECT_TRUE(reply->starts_with("ERR overlong ")) << *reply;
        EXPECT_NE(reply->find("1024"), reply->npos) << *reply;
        EXPECT_EQ(reply->find('\n'), reply->npos) << "framing does not apply";
      }
    }
    EXPECT_EQ(Count(*daemon, "shed", "max_frame"), 12u);
    EXPECT_EQ(Count(*daemon, "requests", ""), 3u);
  }
}

TEST_P(DatagramTest, AReplyThatFitsNoDatagramIsTheHandlersFailure) {
  const std::string reply(70000, 'r');
  const auto udp = Listen("udp:127.0.0.1:0", "{reply: \"" + reply + "\"}");
  ASSERT_NE(udp, nullptr);
  const Client client(AddressOf(*udp));
  for (int i = 0; i < 3; ++i) {
    const auto told = client.Call("hello");
    ASSERT_TRUE(told.has_value());
    EXPECT_TRUE(told->starts_with("ERR failed ")) << told->substr(0, 100);
  }
  EXPECT_EQ(Count(*udp, "failed", ""), 3u);
}

TEST_P(DatagramTest, WithErrorsCloseAnErrorIsSilence) {
  const auto daemon = Listen("udp:127.0.0.1:0", "{builtin: echo}",
                             "errors: close\n    limits: {max_frame: 1KiB}", 1);
  ASSERT_NE(daemon, nullptr);
  const Client client(AddressOf(*daemon));
  ASSERT_TRUE(client.Send(std::string(2000, 'x')));
  EXPECT_EQ(client.Call("short"), "short") << "nothing has come before this";
  EXPECT_EQ(Count(*daemon, "shed", "max_frame"), 1u);
}

TEST_P(DatagramTest, ASenderWithoutANameCannotBeAnsweredAndHurtsNobody) {
  const auto daemon = Listen("unixgram:" + folder_.File("socket"));
  ASSERT_NE(daemon, nullptr);
  const Client nameless(AddressOf(*daemon), "", Client::Name::kNone);
  const Client client(AddressOf(*daemon));
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(nameless.Send("who am I"));
    ASSERT_EQ(client.Call("hello"), "hello");
  }
  EXPECT_EQ(nameless.TakeWhatIsThere(), std::nullopt);
  EXPECT_EQ(Count(*daemon, "requests", ""), 100u);
  EXPECT_TRUE(Eventually([&] { return Count(*daemon, "shed", "reply") == 50; }));
}

TEST_P(DatagramTest, AClientThatAsksTooOftenIsToldSoAndTheOthersAreNot) {
  const auto daemon = Listen("udp:127.0.0.1:0", "{builtin: echo}",
                             "limits: {requests_per_second: 1, requests_burst: 3}");
  ASSERT_NE(daemon, nullptr);
  const auto begin = Clock::now();
  const Client greedy(AddressOf(*daemon), "127.0.0.2");
  constexpr int kRequests = 40;
  int served = 0;
  uint64_t busy = 0;
  for (int i = 0; i < kRequests; ++i) {
    // Another port of the same address is the same client.
    const Client again(AddressOf(*daemon), "127.0.0.2");
    const auto reply = (i % 2 == 0 ? greedy : again).Call("hello");
    ASSERT_TRUE(reply.has_value()) << "nothing is dropped silently";
    if (*reply == "hello") {
      ++served;
    } else {
      EXPECT_TRUE(reply->starts_with("ERR busy ")) << *reply;
      ++busy;
    }
  }
  EXPECT_EQ(Client(AddressOf(*daemon), "127.0.0.3").Call("hello"), "hello");
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin).count();
  EXPECT_GE(served, 3);
  EXPECT_LE(served, 3 + seconds + 1);
  EXPECT_EQ(Count(*daemon, "shed", "requests_per_second"), busy);
}

TEST_P(DatagramTest, ARateThatIsOnlyTriedOutIsCounted) {
  const auto daemon =
      Listen("udp:127.0.0.1:0", "{builtin: echo}",
             "limits: {requests_per_second: {value: 1, enforce: false}, requests_burst: 1}");
  ASSERT_NE(daemon, nullptr);
  const Client client(AddressOf(*daemon));
  for (int i = 0; i < 20; ++i) ASSERT_EQ(client.Call("hello"), "hello");
  EXPECT_GE(Count(*daemon, "shadow_shed", "requests_per_second"), 1u);
  EXPECT_EQ(Count(*daemon, "shed", "requests_per_second"), 0u);
}

TEST_P(DatagramTest, WhoIsDeniedHearsNothing) {
  const auto daemon =
      Listen("udp:127.0.0.1:0", "{builtin: echo}", "allow: 127.0.0.0/29\n    deny: [127.0.0.2]", 1);
  ASSERT_NE(daemon, nullptr);
  const Client denied(AddressOf(*daemon), "127.0.0.2");
  const Client not_allowed(AddressOf(*daemon), "127.0.0.8");
  const Client allowed(AddressOf(*daemon), "127.0.0.3");
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(denied.Send("hello"));
    ASSERT_TRUE(not_allowed.Send(std::string(60000, 'x')));
    ASSERT_EQ(allowed.Call("hello"), "hello");
  }
  // The one worker had theirs before.
  EXPECT_EQ(denied.TakeWhatIsThere(), std::nullopt);
  EXPECT_EQ(not_allowed.TakeWhatIsThere(), std::nullopt);
  EXPECT_EQ(Count(*daemon, "shed", "deny"), 10u);
  EXPECT_EQ(Count(*daemon, "shed", "allow"), 10u);
  EXPECT_EQ(Count(*daemon, "requests", ""), 10u);
}

TEST_P(DatagramTest, AUnixSenderIsJudgedByItsUser) {
  const std::string listen = "unixgram:" + folder_.File("socket");
  const auto own = Listen(listen, "{builtin: echo}", fmt::format("peer: {{uid: {}}}", geteuid()));
  ASSERT_NE(own, nullptr);
  EXPECT_EQ(Client(AddressOf(*own)).Call("hello"), "hello");
  own->Stop();
  const auto others = Listen(listen, "{builtin: echo}", "peer: {uid: 54321, gid: [12345]}");
  ASSERT_NE(others, nullptr);
  const Client client(AddressOf(*others));
  ASSERT_TRUE(client.Send("hello"));
  EXPECT_TRUE(Eventually([&] { return Count(*others, "shed", "peer") == 1; }));
  EXPECT_EQ(client.TakeWhatIsThere(), std::nullopt);
  EXPECT_EQ(Count(*others, "requests", ""), 0u);
}

TEST_P(DatagramTest, BoundToEveryAddressItAnswersFromTheOneThatWasAsked) {
  for (const std::string listen : {"udp:*:0", "udp:0.0.0.0:0"}) {
    SCOPED_TRACE(listen);
    const auto daemon = Listen(listen, "{builtin: echo}", "allow: [127.0.0.0/8, \"::1\"]");
    ASSERT_NE(daemon, nullptr);
    const std::string& address = AddressOf(*daemon);
    const std::string port = address.substr(address.rfind(':'));
    for (const std::string host : {"127.0.0.1", "127.0.0.2", "127.9.8.7"}) {
      // A connected client takes no reply from elsewhere.
      EXPECT_EQ(Client("udp:" + host + port, "127.0.0.5").Call("hello"), "hello") << host;
    }
    if (listen == "udp:*:0" && HasIpv6()) {
      EXPECT_EQ(Client("udp:[::1]" + port).Call("hello"), "hello");
    }
  }
}

TEST_P(DatagramTest, ClientsThatAreGoneDoNotStopIt) {
  for (const std::string& address : {EveryKind()[0], EveryKind()[2]}) {
    SCOPED_TRACE(address);
    const auto daemon = Listen(address);
    ASSERT_NE(daemon, nullptr);
    const Client client(AddressOf(*daemon));
    for (int i = 0; i < 500; ++i) {
      // Its port is closed when the reply comes: the kernel answers with an error (ICMP).
      { ASSERT_TRUE(Client(AddressOf(*daemon)).Send("gone")); }
      if (i % 10 != 0) continue;
      ASSERT_EQ(client.Call("here"), "here");
    }
    EXPECT_EQ(client.Call("still here"), "still here");
  }
}

TEST_P(DatagramTest, TenThousandFromManySocketsAreAllAnswered) {
  for (const int workers : {1, 4}) {
    const auto daemon = Listen("udp:127.0.0.1:0", "{builtin: echo}", "framing: line", workers);
    ASSERT_NE(daemon, nullptr);
    // As many at a time as the sockets' buffers hold for sure.
    constexpr int kClients = 100;
    constexpr int kRounds = 100;
    std::vector<Client> clients;
    for (int i = 0; i < kClients; ++i) clients.emplace_back(AddressOf(*daemon));
    for (int round = 0; round < kRounds; ++round) {
      const auto request = [round](int i) { return fmt::format("{} of {}", i, round); };
      for (int i = 0; i < kClients; ++i) ASSERT_TRUE(clients[i].Send(request(i)));
      for (int i = 0; i < kClients; ++i) ASSERT_EQ(clients[i].Receive(), request(i));
    }
    for (const Client& client : clients) EXPECT_EQ(client.TakeWhatIsThere(), std::nullopt);
    EXPECT_EQ(Count(*daemon, "requests", ""), uint64_t{kClients} * kRounds);
  }
}

// So many that the one worker has not read them all when it learns of the stop.
TEST_P(DatagramTest, WhatHasComeBeforeTheStopIsAnswered) {
  constexpr int kSockets = 30;
  constexpr int kOfEach = 200;  // A socket's buffer holds them.
  std::string listen = "udp:127.0.0.1:0";
  for (int i = 1; i < kSockets; ++i) listen += "\", \"udp:127.0.0.1:0";
  DaemonOptions options;
  options.config = "server: {workers: 1}\n" + Config(listen, "{builtin: upper}", "framing: line");
  options.address_count = kSockets + 1;
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  std::vector<Client> clients;
  for (size_t i = 0; i <= kSockets; ++i) {
    if (IsOfDatagrams(daemon->address(i))) clients.emplace_back(daemon->address(i));
  }
  ASSERT_EQ(clients.size(), static_cast<size_t>(kSockets));
  // It does not look while they come, and the signal is there before it looks again.
  daemon->process().Signal(SIGSTOP);
  for (const Client& client : clients) {
    for (int i = 0; i < kOfEach; ++i) ASSERT_TRUE(client.Send(fmt::format("a{}", i)));
  }
  daemon->process().Signal(SIGTERM);
  daemon->process().Signal(SIGCONT);
  for (const Client& client : clients) {
    for (int i = 0; i < kOfEach; ++i) ASSERT_EQ(client.Receive(), fmt::format("A{}", i));
  }
  daemon->ExpectEnd(Exited(0));
}

TEST_P(DatagramTest, AUnixSocketsFileGoesWithTheDaemonAndAStaleOneIsReplaced) {
  const std::string path = folder_.File("socket");
  for (const int signal : {SIGTERM, SIGKILL, SIGTERM}) {
    const auto daemon = Listen("unixgram:" + path);
    ASSERT_NE(daemon, nullptr);
    const Client client(AddressOf(*daemon));
    EXPECT_EQ(client.Call("hello"), "hello");
    daemon->process().Signal(SIGSTOP);
    ASSERT_TRUE(client.Send("the last"));
    daemon->process().Signal(signal);
    daemon->process().Signal(SIGCONT);
    daemon->ExpectEnd(signal == SIGKILL ? KilledBy(SIGKILL) : Exited(0));
    if (signal == SIGTERM) {
      EXPECT_EQ(client.TakeWhatIsThere(), "the last");
    }
    EXPECT_EQ(access(path.c_str(), F_OK) == 0, signal == SIGKILL);
  }
}

TEST_P(DatagramTest, AFloodFromWhoNeverReadsLeavesTheOthersTheirTurnAndMemoryFlat) {
  DaemonOptions options;
  options.config = "server: {workers: 1}\n" +
                   Config("udp:127.0.0.1:0\", \"127.0.0.1:0", "{builtin: echo}", "framing: line");
  options.address_count = 3;
  if (Sanitized()) options.process.environment = {"ASAN_OPTIONS=quarantine_size_mb=1"};
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  std::string udp;
  std::string tcp;  // The first one: the counters' comes behind it.
  for (size_t i = 3; i-- > 0;) {
    (IsOfDatagrams(daemon->address(i)) ? udp : tcp) = daemon->address(i);
  }
  const Client flooder(udp);
  const std::string large(60000, 'x');
  const auto flood = [&](int count) {
    for (int i = 0; i < count; ++i) flooder.Send(i % 2 == 0 ? "small" : large);
  };
  flood(200);  // The buffers that are there anyway have been used now.
  ASSERT_EQ(Client(udp).CallPatiently("hello"), "hello");
  ForgetPeak(daemon->pid());
  const size_t before = ResidentBytes(daemon->pid());
  const auto stream = Stream::Connect(tcp);
  ASSERT_NE(stream, nullptr);
  for (int i = 0; i < 50; ++i) {
    flood(200);
    ASSERT_EQ(stream->Call("hello\n", "hello\n"), "hello\n");
    ASSERT_EQ(Client(udp).CallPatiently("hello"), "hello");
  }
  constexpr size_t kMiB = 1 << 20;
  EXPECT_LT(PeakResidentBytes(daemon->pid()), before + (Sanitized() ? 64 : 8) * kMiB);
}

TEST_P(DatagramTest, ASecondServerOnThePortIsRefused) {
  const auto daemon = Listen("udp:127.0.0.1:0");
  ASSERT_NE(daemon, nullptr);
  const std::string config =
      folder_.Write("second.yaml", Config(AddressOf(*daemon), "{builtin: echo}", "framing: line"));
  const Outcome second = RunBsockd({"--config", config, "--io", GetParam()});
  EXPECT_EQ(second.end, Exited(kExitCannotBind)) << second.errors;
  EXPECT_EQ(LinesWith("cannot listen on " + AddressOf(*daemon) + ": Address already in use",
                      second.errors)
                .size(),
            1u)
      << second.errors;
  EXPECT_EQ(Client(AddressOf(*daemon)).Call("hello"), "hello");
}

}  // namespace
}  // namespace bsockd::integration
