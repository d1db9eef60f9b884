// Who may connect: lists of addresses, lists of users, and listeners that anybody reaches.
#include <fmt/format.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/integration/counters.h"
#include "tests/integration/daemon.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

// The listener "main" with echo at `listen`, and the counters at the address behind its.
std::string Config(std::string_view listen, std::string_view more) {
  return fmt::format(
      "handlers:\n"
      "  echo: {{builtin: echo}}\n"
      "  stats: {{builtin: stats}}\n"
      "listeners:\n"
      "  main:\n"
      "    listen: \"{}\"\n"
      "    handler: echo\n"
      "    {}\n"
      "  stats: {{listen: \"127.0.0.1:0\", handler: stats}}\n",
      listen, more);
}

bool Served(Stream* stream) {
  return stream != nullptr && stream->Exchange("hi\n") == Closed("hi\n");
}

// Without a byte, an error frame neither.
bool Refused(Stream* stream) {
  if (stream == nullptr) return false;
  const Received received = stream->Exchange("hi\n", false);
  return received.bytes.empty() && received.end != Received::End::kTimeout;
}

class AccessTest : public BackendTest {
 protected:
  std::unique_ptr<Daemon> Listen(std::string_view listen, std::string_view more) const {
    DaemonOptions options;
    options.config = Config(listen, more);
    options.address_count = 2;
    return StartWith(std::move(options));
  }

  // "127.0.0.1" to "127.0.0.9", those that are served.
  static std::string ServedHosts(const std::string& address) {
    std::string served;
    for (int i = 1; i <= 9; ++i) {
      const std::string host = fmt::format("127.0.0.{}", i);
      const auto stream = Stream::ConnectFrom(host, address);
      if (!stream) continue;
      const Received received = stream->Exchange("hi\n");
      if (received == Closed("hi\n")) {
        served += fmt::format("{} ", i);
      } else {
        EXPECT_EQ(received.bytes, "") << host;
        EXPECT_NE(received.end, Received::End::kTimeout) << host;
      }
    }
    return served;
  }
  static uint64_t Count(const Daemon& daemon, std::string_view family, std::string_view reason) {
    return ReadCount(daemon.address(1), family, reason);
  }
};
INSTANTIATE_TEST_SUITE_P(, AccessTest, kBackends, BackendName);

TEST_P(AccessTest, WithoutListsEveryoneIsServed) {
  const auto daemon = Listen("127.0.0.1:0", "allow: []");
  ASSERT_NE(daemon, nullptr);
  EXPECT_EQ(ServedHosts(daemon->address()), "1 2 3 4 5 6 7 8 9 ");
}

TEST_P(AccessTest, WhoIsDeniedIsRefusedAndAllOthersAreServed) {
  const auto daemon = Listen("127.0.0.1:0", "deny: [127.0.0.2, 127.0.0.4/31]");
  ASSERT_NE(daemon, nullptr);
  EXPECT_EQ(ServedHosts(daemon->address()), "1 3 6 7 8 9 ");
  EXPECT_EQ(Count(*daemon, "refused", "deny"), 3u);
  EXPECT_EQ(Count(*daemon, "refused", "allow"), 0u);
  EXPECT_EQ(Count(*daemon, "requests", ""), 6u);
}

TEST_P(AccessTest, WithAnAllowListOnlyThoseOnItAreServed) {
  const auto daemon = Listen("127.0.0.1:0", "allow: [127.0.0.8/31, 127.0.0.3, 192.0.2.0/24]");
  ASSERT_NE(daemon, nullptr);
  EXPECT_EQ(ServedHosts(daemon->address()), "3 8 9 ");
  EXPECT_EQ(Count(*daemon, "refused", "allow"), 6u);
  EXPECT_EQ(Count(*daemon, "refused", "deny"), 0u);
}

TEST_P(AccessTest, DenyWinsOverAllow) {
  const auto daemon =
      Listen("127.0.0.1:0", "allow: [127.0.0.2, 127.0.0.4/30]\n    deny: [127.0.0.5, 127.0.0.9]");
  ASSERT_NE(daemon, nullptr);
  EXPECT_EQ(ServedHosts(daemon->address()), "2 4 6 7 ");
  EXPECT_EQ(Count(*daemon, "refused", "deny"), 2u);
  EXPECT_EQ(Count(*daemon, "refused", "allow"), 3u);
}

TEST_P(AccessTest, ARefusedClientIsNeverReadFrom) {
  const auto daemon = Listen("127.0.0.1:0", "allow: 127.0.0.9");
  ASSERT_NE(daemon, nullptr);
  const auto silent = Stream::Connect(daemon->address());
  ASSERT_NE(silent, nullptr);
  EXPECT_EQ(silent->ReceiveToEnd(), Closed("")) << "it need not say a word first";
  for (int i = 0; i < 50; ++i) {
    const auto stream = Stream::Connect(daemon->address());
    ASSERT_NE(stream, nullptr);
    ASSERT_EQ(stream->Exchange("hi\n").bytes, "");
  }
  EXPECT_EQ(Count(*daemon, "requests", ""), 0u);
  EXPECT_EQ(Count(*daemon, "connections", ""), 0u);
  EXPECT_EQ(Count(*daemon, "refused", "allow"), 51u);
}

TEST_P(AccessTest, OnADualStackSocketIPv4ClientsAreIPv4) {
  const auto daemon = Listen("*:0", "deny: [127.0.0.2, \"::ffff:127.0.0.3\", \"::1\"]");
  ASSERT_NE(daemon, nullptr);
  EXPECT_EQ(ServedHosts("127.0.0.1:" + daemon->port()), "1 4 5 6 7 8 9 ");
  std::unique_ptr<Stream> v6;
  if (Stream::TryConnect("[::1]:" + daemon->port(), &v6) == 0) {
    EXPECT_TRUE(Refused(v6.get()));
  }
}

TEST_P(AccessTest, IPv6ClientsAreJudgedByIPv6Blocks) {
  std::unique_ptr<Stream> stream;
  const auto denied = Listen("*:0", "deny: \"::/64\"");
  ASSERT_NE(denied, nullptr);
  if (Stream::TryConnect("[::1]:" + denied->port(), &stream) != 0) {
    GTEST_SKIP() << "this machine has no IPv6";
  }
  EXPECT_TRUE(Refused(stream.get()));
  EXPECT_EQ(Count(*denied, "refused", "deny"), 1u);
  EXPECT_TRUE(Served(Stream::Connect("127.0.0.1:" + denied->port()).get()));
  const auto allowed = Listen("[::1]:0", "allow: [\"::1\", \"2001:db8::/32\"]");
  ASSERT_NE(allowed, nullptr);
  EXPECT_TRUE(Served(Stream::Connect(allowed->address()).get()));
  const auto v4_only = Listen("[::1]:0", "allow: 0.0.0.0/0");
  ASSERT_NE(v4_only, nullptr);
  EXPECT_TRUE(Refused(Stream::Connect(v4_only->address()).get()));
}

TEST_P(AccessTest, AListMayBeTenThousandLong) {
  std::string blocks;
  for (int i = 0; i < 9998; ++i) blocks += fmt::format("10.{}.{}.0/24, ", i / 256, i % 256);
  const auto daemon = Listen("127.0.0.1:0", "deny: [" + blocks + "127.0.0.4, 127.0.0.6]");
  ASSERT_NE(daemon, nullptr);
  EXPECT_EQ(ServedHosts(daemon->address()), "1 2 3 5 7 8 9 ");
}

TEST_P(AccessTest, AListThatIsOnlyTriedOutCountsAndLogsAndRefusesNobody) {
  for (const std::string_view list : {"allow", "deny"}) {
    SCOPED_TRACE(list);
    const std::string value = list == "allow" ? "192.0.2.0/24" : "127.0.0.0/8";
    const auto daemon =
        Listen("127.0.0.1:0", fmt::format("{}: {{value: [{}], enforce: false}}", list, value));
    ASSERT_NE(daemon, nullptr);
    const auto begin = Clock::now();
    constexpr uint64_t kClients = 200;
    for (uint64_t i = 0; i < kClients; ++i) {
      ASSERT_TRUE(Served(Stream::Connect(daemon->address()).get()));
    }
    const Counters counters = ReadCounters(daemon->address(1));
    EXPECT_EQ(CountOf(counters, "shadow_refused", list), kClients);
    EXPECT_EQ(CountOf(counters, "refused", list), 0u);
    EXPECT_EQ(CountOf(counters, "requests", ""), kClients);
    const std::string told = fmt::format("by {}, had it been enforced", list);
    EXPECT_TRUE(daemon->process().WaitForErrors(told)) << daemon->process().errors();
    daemon->Stop();
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin).count();
    const auto lines = LinesWith(told, daemon->process().errors());
    EXPECT_LE(lines.size(), static_cast<size_t>(seconds) + 2) << "one when it ends";
  }
}

TEST_P(AccessTest, ACrowdOfRefusedClientsIsOneLineASecond) {
  const auto daemon = Listen("127.0.0.1:0", "deny: 127.0.0.0/8");
  ASSERT_NE(daemon, nullptr);
  const auto begin = Clock::now();
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(Refused(Stream::Connect(daemon->address()).get()));
  EXPECT_TRUE(daemon->process().WaitForErrors("refused by deny")) << daemon->process().errors();
  daemon->Stop();
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin).count();
  EXPECT_LE(LinesWith("refused by deny", daemon->process().errors()).size(),
            static_cast<size_t>(seconds) + 2);
}

// ---- Unix sockets

// The effective user and group of this thread alone, until it ends: what SO_PEERCRED tells of a
// socket that connects meanwhile. The C library's functions would change those of every thread.
class AsUser {
 public:
  AsUser(uid_t uid, gid_t gid, const std::vector<gid_t>& groups) {
    std::vector<gid_t> before(static_cast<size_t>(getgroups(0, nullptr)));
    getgroups(static_cast<int>(before.size()), before.data());
    groups_ = before;
    EXPECT_EQ(syscall(SYS_setgroups, groups.size(), groups.data()), 0);
    EXPECT_EQ(syscall(SYS_setresgid, -1, gid, -1), 0);
    EXPECT_EQ(syscall(SYS_setresuid, -1, uid, -1), 0);
  }
  ~AsUser() {
    EXPECT_EQ(syscall(SYS_setresuid, -1, 0, -1), 0);
    EXPECT_EQ(syscall(SYS_setresgid, -1, 0, -1), 0);
    EXPECT_EQ(syscall(SYS_setgroups, groups_.size(), groups_.data()), 0);
  }
  AsUser(const AsUser&) = delete;
  AsUser& operator=(const AsUser&) = delete;

 private:
  std::vector<gid_t> groups_;
};

class PeerTest : public AccessTest {
 protected:
  void SetUp() override {
    AccessTest::SetUp();
    ASSERT_EQ(chmod(folder_.path().c_str(), 0755), 0);  // Others are to reach the socket.
  }
  std::unique_ptr<Daemon> ListenFor(std::string_view peer) const {
    return Listen("unix:" + folder_.File("socket"), fmt::format("mode: 0666\n    peer: {}", peer));
  }

  const TemporaryFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(, PeerTest, kBackends, BackendName);

TEST_P(PeerTest, WhoIsListedByUserOrByGroupIsServed) {
  const std::string uid = std::to_string(geteuid());
  const std::string gid = std::to_string(getegid());
  const std::string user = getpwuid(geteuid())->pw_name;
  const std::string group = getgrgid(getegid())->gr_name;
  const std::vector<std::string> lists = {
      fmt::format("{{uid: {}}}", uid),
      fmt::format("{{uid: {}}}", user),
      fmt::format("{{gid: [{}]}}", gid),
      fmt::format("{{gid: [12345, {}]}}", group),
      fmt::format("{{uid: [54321], gid: {}}}", gid),
      fmt::format("{{uid: [54321, {}], gid: 12345}}", uid),
      "{}",
  };
  for (const std::string& list : lists) {
    SCOPED_TRACE(list);
    const auto daemon = ListenFor(list);
    ASSERT_NE(daemon, nullptr);
    EXPECT_TRUE(Served(Stream::Connect(daemon->address()).get()));
    EXPECT_EQ(Count(*daemon, "refused", "peer"), 0u);
  }
}

TEST_P(PeerTest, WhoIsNotListedIsRefused) {
  for (const std::string list : {"{uid: 54321}", "{gid: 12345}", "{uid: 54321, gid: [12345]}"}) {
    SCOPED_TRACE(list);
    const auto daemon = ListenFor(list);
    ASSERT_NE(daemon, nullptr);
    EXPECT_TRUE(Refused(Stream::Connect(daemon->address()).get()));
    EXPECT_TRUE(Refused(Stream::Connect(daemon->address()).get()));
    EXPECT_EQ(Count(*daemon, "refused", "peer"), 2u);
    EXPECT_EQ(Count(*daemon, "requests", ""), 0u);
  }
}

TEST_P(PeerTest, ItIsTheUserWhoConnectsThatCounts) {
  if (!CanBecome(kNobody)) GTEST_SKIP() << "not root, or in a user namespace";
  const auto connect_as = [](const Daemon& daemon, uid_t uid, gid_t gid,
                             const std::vector<gid_t>& groups) {
    const AsUser user(uid, gid, groups);
    return Stream::Connect(daemon.address());
  };
  const auto daemon = ListenFor("{uid: [65534, 1234], gid: 4321}");
  ASSERT_NE(daemon, nullptr);
  EXPECT_TRUE(Refused(Stream::Connect(daemon->address()).get())) << "root is nobody special";
  EXPECT_TRUE(Served(connect_as(*daemon, 65534, 65534, {}).get()));
  EXPECT_TRUE(Served(connect_as(*daemon, 1234, 0, {}).get()));
  EXPECT_TRUE(Served(connect_as(*daemon, 1235, 4321, {}).get()));
  EXPECT_TRUE(Served(connect_as(*daemon, 1235, 1, {7, 4321, 8}).get())) << "a further group";
  EXPECT_TRUE(Refused(connect_as(*daemon, 1235, 1, {7, 8}).get()));
  EXPECT_TRUE(Refused(connect_as(*daemon, 4321, 1234, {65534}).get()));
  EXPECT_EQ(Count(*daemon, "refused", "peer"), 3u);
}

TEST_P(PeerTest, AListThatIsOnlyTriedOutRefusesNobody) {
  const auto daemon = ListenFor("{value: {uid: 54321}, enforce: false}");
  ASSERT_NE(daemon, nullptr);
  EXPECT_TRUE(Served(Stream::Connect(daemon->address()).get()));
  EXPECT_EQ(Count(*daemon, "shadow_refused", "peer"), 1u);
  EXPECT_EQ(Count(*daemon, "refused", "peer"), 0u);
}

TEST(Peer, AUserThatThereIsNotIsAnErrorInTheConfiguration) {
  const TemporaryFolder folder;
  for (const std::string_view what : {"user", "group"}) {
    const std::string list =
        fmt::format("peer: {{{}: [root, bsockd-no-such]}}", what == "user" ? "uid" : "gid");
    const std::string config =
        folder.Write("bsockd.yaml", Config("unix:" + folder.File("socket"), list));
    const Outcome outcome = RunBsockd({"--config", config});
    EXPECT_EQ(outcome.end, Exited(kExitConfig)) << outcome.errors;
    EXPECT_EQ(LinesWith(fmt::format("no {} is called bsockd-no-such", what), outcome.errors).size(),
              1u)
        << outcome.errors;
    EXPECT_EQ(LinesWith("main", outcome.errors).size(), 1u) << "which listener?";
  }
}

// ---- Listeners that the network reaches

class ProtectedTest : public AccessTest {
 protected:
  // How many lines warn of the listener.
  size_t Warnings(std::string_view listen, std::string_view more = "framing: line",
                  std::string_view server = "") const {
    DaemonOptions options;
    options.config = std::string(server) + Config(listen, more);
    options.address_count = 2;
    const auto daemon = StartWith(std::move(options));
    if (!daemon) return 0;
    daemon->Stop();
    size_t warnings = 0;
    for (const std::string& line : LinesWith("listener main", daemon->process().errors())) {
      // What to do, in words of the configuration.
      EXPECT_NE(line.find("allow"), line.npos) << line;
      EXPECT_NE(line.find("server.protected"), line.npos) << line;
      ++warnings;
    }
    return warnings;
  }
};
INSTANTIATE_TEST_SUITE_P(, ProtectedTest, kBackends, BackendName);

TEST_P(ProtectedTest, WhatTheNetworkReachesAndNoListGuardsIsWarnedOf) {
  for (const std::string_view listen : {"0.0.0.0:0", "*:0", "udp:0.0.0.0:0", "udp:*:0"}) {
    SCOPED_TRACE(listen);
    EXPECT_EQ(Warnings(listen), 1u);
    EXPECT_EQ(Warnings(listen, "allow: {value: [10.0.0.0/8], enforce: false}"), 1u);
    EXPECT_EQ(Warnings(listen, "deny: 192.0.2.0/24"), 1u);
    EXPECT_EQ(Warnings(listen, "allow: [10.0.0.0/8]"), 0u);
    EXPECT_EQ(Warnings(listen, "framing: line", "server: {protected: off}\n"), 0u);
  }
}

TEST_P(ProtectedTest, WhatOnlyThisMachineReachesIsNot) {
  const TemporaryFolder folder;
  for (const std::string& listen :
       {std::string("127.0.0.1:0"), std::string("127.0.0.7:0"), std::string("udp:127.0.0.1:0"),
        "unix:" + folder.File("socket"), "unixgram:" + folder.File("datagrams")}) {
    SCOPED_TRACE(listen);
    EXPECT_EQ(Warnings(listen), 0u);
    EXPECT_EQ(Warnings(listen, "framing: line", "server: {protected: strict}\n"), 0u);
  }
}

TEST(Protected, StrictRefusesToStart) {
  const TemporaryFolder folder;
  const auto run = [&](std::string_view listen, std::string_view more) {
    const std::string config =
        folder.Write("bsockd.yaml", "server: {protected: strict}\n" + Config(listen, more));
    return RunBsockd({"--config", config});
  };
  for (const std::string_view listen : {"0.0.0.0:0", "*:0", "[::]:0", "udp:*:0"}) {
    for (const std::string_view more :
         {"framing: line", "deny: 192.0.2.1", "allow: {value: [10.0.0.0/8], enforce: false}"}) {
      const Outcome outcome = run(listen, more);
      EXPECT_EQ(outcome.end, Exited(kExitConfig)) << listen << " " << more;
      // The place of the address, and what would be right.
      EXPECT_EQ(LinesWith("bsockd.yaml:7:", outcome.errors).size(), 1u) << outcome.errors;
      EXPECT_EQ(LinesWith("allow", outcome.errors).size(), 1u) << outcome.errors;
    }
  }
}

TEST_P(ProtectedTest, StrictIsContentWithAnAllowList) {
  DaemonOptions options;
  options.config = "server: {protected: strict}\n" + Config("*:0", "allow: 127.0.0.0/8");
  options.address_count = 2;
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  EXPECT_TRUE(Served(Stream::Connect("127.0.0.1:" + daemon->port()).get()));
}

}  // namespace
}  // namespace bsockd::integration
