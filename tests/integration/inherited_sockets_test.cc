// Sockets that bsockd is started with: those of socket units, by `listen: systemd:NAME`, and its
// own of the time before a restart, which the service manager has kept.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/net/address.h"
#include "tests/integration/daemon.h"
#include "tests/integration/datagram_client.h"
#include "tests/integration/process.h"
#include "tests/integration/service_manager.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

using std::chrono::milliseconds;

// A socket as a socket unit makes one, with no option set. `address` is where it is.
struct UnitSocket {
  explicit UnitSocket(const std::string& listen) {
    const bool datagrams = listen.starts_with("udp:") || listen.starts_with("unixgram:");
    const SocketAddress where = FirstOf(listen, ResolveFor::kListen);
    fd = UniqueFd(socket(where.family(), (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
    EXPECT_EQ(bind(fd.get(), &where.any, where.size), 0) << listen << strerrordesc_np(errno);
    EXPECT_TRUE(datagrams || ::listen(fd.get(), 100) == 0) << listen;
    const auto local = LocalAddress(fd.get());
    EXPECT_TRUE(local.ok()) << listen;
    address = where.family() == AF_UNIX ? listen : (datagrams ? "udp:" : "") + local->ToString();
    port = std::to_string(local->port());
  }

  UniqueFd fd;
  std::string address;
  std::string port;
};

bool HasIpv6() {
  const UniqueFd fd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress loopback = FirstOf("[::1]:0", ResolveFor::kListen);
  return fd && bind(fd.get(), &loopback.any, loopback.size) == 0;
}

// Whether an echo answers there.
bool Answers(const std::string& address) {
  if (address.starts_with("u") && !address.starts_with("unix:")) {
    return DatagramClient(address).Call("hello") == "hello";
  }
  const auto stream = Stream::Connect(address);
  return stream && stream->Call("hello\n", "hello\n") == "hello\n";
}

ino_t InodeOf(const std::string& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

std::string Listening(std::string_view listen, std::string_view more = "") {
  return OneListener("{builtin: echo}", "line", more, listen);
}

class InheritedSocketsTest : public BackendTest {
 protected:
  std::unique_ptr<Daemon> StartWithSockets(std::string config,
                                           std::vector<InheritedDescriptor> inherited,
                                           std::optional<uid_t> uid = std::nullopt) const {
    DaemonOptions options;
    options.config = std::move(config);
    options.address_count = inherited.size();
    options.process.inherited = std::move(inherited);
    options.process.uid = uid;
    return StartWith(std::move(options));
  }
  void Reload(Daemon& daemon, std::string_view config) {
    daemon.WriteConfig(config);
    daemon.process().Signal(SIGHUP);
    ++reloads_;
    ASSERT_TRUE(Eventually([&] {
      return LinesWith("reloaded ", daemon.process().errors()).size() == reloads_;
    })) << daemon.process().errors();
  }

  TemporaryFolder folder_;
  size_t reloads_ = 0;
};
INSTANTIATE_TEST_SUITE_P(, InheritedSocketsTest, kBackends, BackendName);

TEST_P(InheritedSocketsTest, ANameStandsForSocketsOfEveryKind) {
  const std::string file = folder_.File("stream");
  std::vector<UnitSocket> sockets;
  sockets.emplace_back("127.0.0.1:0");
  if (HasIpv6()) sockets.emplace_back("[::1]:0");
  sockets.emplace_back("unix:" + file);
  sockets.emplace_back("udp:127.0.0.1:0");
  sockets.emplace_back("unixgram:" + folder_.File("datagrams"));
  ASSERT_EQ(chmod(file.c_str(), 0600), 0);
  std::vector<InheritedDescriptor> inherited;
  for (const UnitSocket& socket : sockets) inherited.push_back({"web", socket.fd.get()});
  for (int i = 0; i < 2; ++i) {
    const auto daemon = StartWithSockets(Listening("systemd:web"), inherited);
    ASSERT_NE(daemon, nullptr);
    for (const UnitSocket& socket : sockets) {
      EXPECT_TRUE(Answers(socket.address)) << socket.address;
      EXPECT_TRUE(daemon->process().WaitForErrors("listening on " + socket.address + " (main)"));
    }
    daemon->Stop();
    EXPECT_TRUE(std::filesystem::exists(file)) << "it is the unit's";
    EXPECT_TRUE(std::filesystem::exists(folder_.File("datagrams"))) << "it is the unit's";
  }
  struct stat status;
  ASSERT_EQ(stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u) << "it is for the unit to say";
}

TEST_P(InheritedSocketsTest, ClientsThatComeWhileNobodyServesAreServedByTheNext) {
  const UnitSocket tcp("127.0.0.1:0");
  const UnitSocket udp("udp:127.0.0.1:0");
  const std::vector<InheritedDescriptor> inherited = {{"a", tcp.fd.get()}, {"b", udp.fd.get()}};
  const std::string config = "server: {workers: 3}\n" +
                             OneListener("{builtin: echo}", "line", "", "systemd:a\", \"systemd:b");
  for (int i = 0; i < 3; ++i) {
    const auto stream = Stream::Connect(tcp.address);
    const DatagramClient datagrams(udp.address);
    ASSERT_TRUE(stream->Send("early\n"));
    ASSERT_TRUE(datagrams.Send("early"));
    const auto daemon = StartWithSockets(config, inherited);
    ASSERT_NE(daemon, nullptr);
    EXPECT_EQ(stream->ReceiveExactly(6), "early\n");
    EXPECT_EQ(datagrams.Receive(), "early");
    daemon->Stop();
  }
}

TEST_P(InheritedSocketsTest, UdpRepliesComeFromTheAddressThatWasAsked) {
  const UnitSocket udp("udp:0.0.0.0:0");
  const auto daemon =
      StartWithSockets("server: {workers: 2, protected: off}\n" + Listening("systemd:clock"),
                       {{"clock", udp.fd.get()}});
  ASSERT_NE(daemon, nullptr);
  for (int i = 0; i < 50; ++i) {
    for (const std::string host : {"127.0.0.1", "127.0.0.2", "127.1.2.3"}) {
      ASSERT_TRUE(Answers("udp:" + host + ":" + udp.port)) << host;
    }
  }
}

// systemd makes the sockets as root, whoever is served by them then.
TEST_P(InheritedSocketsTest, AUserWhoCouldNotMakeTheSocketsIsServedByThem) {
  if (!CanBecome(kNobody)) GTEST_SKIP() << "this needs root";
  const UnitSocket udp("udp:127.0.0.1:0");
  const UnitSocket tcp("127.0.0.1:0");
  const auto daemon =
      StartWithSockets("server: {workers: 4}\n" + OneListener("{builtin: echo}", "line", "",
                                                              "systemd:udp\", \"systemd:tcp"),
                       {{"udp", udp.fd.get()}, {"tcp", tcp.fd.get()}}, kNobody);
  ASSERT_NE(daemon, nullptr);
  EXPECT_TRUE(Answers(tcp.address));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Answers(udp.address));
}

TEST_P(InheritedSocketsTest, AllowAndPeerHoldForTheSocketsThatTheyAreFor) {
  const UnitSocket tcp("0.0.0.0:0");
  const UnitSocket udp("udp:0.0.0.0:0");
  const UnitSocket local("unix:" + folder_.File("socket"));
  const std::string other = "127.0.0.2:" + tcp.port;
  const std::string nobody = getuid() == kNobody ? "root" : "nobody";
  const auto daemon = StartWithSockets(
      Listening("systemd:x", fmt::format("    allow: 127.0.0.1\n    peer: {{uid: {}}}\n", nobody)),
      {{"x", tcp.fd.get()}, {"x", udp.fd.get()}, {"x", local.fd.get()}});
  ASSERT_NE(daemon, nullptr);
  EXPECT_TRUE(Answers("127.0.0.1:" + tcp.port));
  EXPECT_EQ(Stream::ConnectFrom("127.0.0.2", "127.0.0.1:" + tcp.port)->ReceiveToEnd().bytes, "");
  EXPECT_EQ(Stream::Connect(local.address)->ReceiveToEnd().bytes, "");
  const DatagramClient denied("udp:127.0.0.1:" + udp.port, "127.0.0.2");
  ASSERT_TRUE(denied.Send("hello"));
  EXPECT_TRUE(Answers("udp:127.0.0.1:" + udp.port));
  EXPECT_EQ(denied.TakeWhatIsThere(), std::nullopt);
  EXPECT_EQ(LinesWith("whoever reaches", daemon->process().errors()).size(), 0u)
      << daemon->process().errors();
}

TEST_P(InheritedSocketsTest, WhatTheWholeNetworkReachesIsKnownOfThemToo) {
  const UnitSocket tcp("0.0.0.0:0");
  const auto daemon = StartWithSockets(Listening("systemd:x"), {{"x", tcp.fd.get()}});
  ASSERT_NE(daemon, nullptr);
  EXPECT_TRUE(daemon->process().WaitForErrors("whoever reaches 0.0.0.0:" + tcp.port));
}

TEST_P(InheritedSocketsTest, AReloadTakesASocketFromOneListenerToAnotherAndBack) {
  const UnitSocket tcp("127.0.0.1:0");
  const UnitSocket udp("udp:127.0.0.1:0");
  const auto config = [](std::string_view taken_by, std::string_view reply) {
    std::string text = fmt::format(
        "server: {{workers: 2}}\nhandlers: {{it: {{reply: \"{}\"}}}}\nlisteners:\n"
        "  rest: {{listen: 127.0.0.1:0, handler: it}}\n",
        reply);
    if (taken_by.empty()) return text;
    return text + fmt::format("  {}: {{listen: [\"systemd:tcp\", \"systemd:udp\"], handler: it}}\n",
                              taken_by);
  };
  const auto says = [&](std::string_view reply) {
    return Stream::Connect(tcp.address)->Call("?\n", std::string(reply) + "\n") ==
               std::string(reply) + "\n" &&
           DatagramClient(udp.address).Call("?") == reply;
  };
  const auto daemon =
      StartWithSockets(config("one", "one"), {{"tcp", tcp.fd.get()}, {"udp", udp.fd.get()}});
  ASSERT_NE(daemon, nullptr);
  EXPECT_TRUE(says("one"));
  Reload(*daemon, config("two", "two"));
  EXPECT_TRUE(says("two"));
  for (int i = 0; i < 2; ++i) {
    const auto former = Stream::Connect(tcp.address);
    EXPECT_EQ(former->Call("?\n", "two\n"), "two\n");
    Reload(*daemon, config("", "nobody"));
    EXPECT_EQ(former->ReceiveToEnd(), Closed(""));
    // They are open all the same, and who comes waits.
    const auto waiting = Stream::Connect(tcp.address);
    const DatagramClient asking(udp.address);
    ASSERT_TRUE(waiting->Send("?\n"));
    ASSERT_TRUE(asking.Send("?"));
    Reload(*daemon, config("three", "two"));
    EXPECT_EQ(waiting->ReceiveExactly(4), "two\n");
    EXPECT_EQ(asking.Receive(), "two");
    EXPECT_TRUE(says("two"));
  }
}

// What is wrong with them, as the log has it. Which back-end there would be makes no difference.
class InheritedErrorsTest : public testing::Test {
 protected:
  // Expects exit 78 and a line that ends so for each of `errors`, and no other line of errors.
  void ExpectErrors(std::string_view listen, std::vector<InheritedDescriptor> inherited,
                    const std::vector<std::string>& errors, bool with_names = true) const {
    ProcessOptions options;
    if (!with_names) options.command = {"/usr/bin/env", "-u", "LISTEN_FDNAMES"};
    for (const std::string& word : {ProgramFromEnvironment("BSOCKD"), std::string("--config"),
                                    folder_.Write("bsockd.yaml", Listening(listen))}) {
      options.command.push_back(word);
    }
    options.inherited = std::move(inherited);
    const Outcome outcome = RunToEnd(options);
    EXPECT_EQ(outcome.end, Exited(kExitConfig)) << outcome.errors;
    EXPECT_EQ(LinesWith(" error ", outcome.errors).size(), errors.size()) << outcome.errors;
    for (const std::string& error : errors) {
      bool found = false;
      for (const std::string& line : LinesWith(error, outcome.errors)) {
        found = found || line.ends_with(" error " + error);
      }
      EXPECT_TRUE(found) << error << "\nis not in\n" << outcome.errors;
    }
  }

  static std::string Unnamed(const UnitSocket& socket) {
    return fmt::format(
        "the socket {} is passed without a name (name it in LISTEN_FDNAMES, or by "
        "FileDescriptorName= of its unit, and listen on systemd:NAME)",
        socket.address);
  }
  static std::string Unused(const UnitSocket& socket, std::string_view name) {
    return fmt::format(
        "no listener uses the socket {0} that systemd passes as {1} (listen on systemd:{1}, or "
        "remove it from the socket unit)",
        socket.address, name);
  }
  static std::string Missing(std::string_view name) {
    return fmt::format(
        "systemd has passed no socket for systemd:{0} (a socket unit names it: "
        "FileDescriptorName={0})",
        name);
  }
  static std::string Useless(std::string_view name, std::string_view why) {
    return fmt::format("the descriptor that systemd passes as {} is of no use: {}", name, why);
  }

  TemporaryFolder folder_;
};

TEST_F(InheritedErrorsTest, ASocketWithoutAName) {
  const UnitSocket a("127.0.0.1:0");
  const UnitSocket b("unix:" + folder_.File("socket"));
  ExpectErrors("127.0.0.1:0", {{"", a.fd.get()}}, {Unnamed(a)});
  ExpectErrors("127.0.0.1:0", {{"x", a.fd.get()}, {"y", b.fd.get()}}, {Unnamed(a), Unnamed(b)},
               /*with_names=*/false);
  EXPECT_TRUE(std::filesystem::exists(folder_.File("socket")));
}

TEST_F(InheritedErrorsTest, ASocketThatNobodyUses) {
  const UnitSocket a("127.0.0.1:0");
  const UnitSocket b("unix:" + folder_.File("socket"));
  const UnitSocket c("udp:127.0.0.1:0");
  ExpectErrors("systemd:used", {{"web", a.fd.get()}, {"used", b.fd.get()}, {"web", c.fd.get()}},
               {Unused(a, "web"), Unused(c, "web")});
  EXPECT_TRUE(std::filesystem::exists(folder_.File("socket")));
}

TEST_F(InheritedErrorsTest, ANameThatNoSocketHas) {
  ExpectErrors("systemd:web", {}, {Missing("web")});
  ExpectErrors("systemd:web\", \"systemd:more", {}, {Missing("web"), Missing("more")});
  const UnitSocket a("127.0.0.1:0");
  ExpectErrors("systemd:web", {{"Web", a.fd.get()}}, {Missing("web"), Unused(a, "Web")});
}

// A name of which the store's own could be mistaken.
TEST_F(InheritedErrorsTest, ANameLikeThoseOfTheStore) {
  const UnitSocket a("127.0.0.1:0");
  ExpectErrors("127.0.0.1:0", {{"listen-web", a.fd.get()}}, {Unused(a, "listen-web")});
}

TEST_F(InheritedErrorsTest, ADescriptorThatIsNoListenSocket) {
  const UniqueFd file(open("/dev/null", O_RDWR | O_CLOEXEC));
  ExpectErrors("systemd:web", {{"web", file.get()}}, {Useless("web", "it is not a socket")});
  const UnitSocket server("127.0.0.1:0");
  const auto client = Stream::Connect(server.address);
  const UniqueFd accepted(accept4(server.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(accepted);
  ExpectErrors("systemd:web", {{"web", accepted.get()}},
               {Useless("web",
                        "it does not listen (a socket unit must not have Accept=yes: bsockd "
                        "accepts itself)")});
  const UniqueFd packets(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ExpectErrors("systemd:web", {{"web", packets.get()}},
               {Useless("web", "it is a socket neither for streams nor for datagrams")});
  const UniqueFd netlink(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ExpectErrors("systemd:web", {{"web", netlink.get()}},
               {Useless("web", "it is neither an IP nor a Unix socket")});
}

TEST_F(InheritedErrorsTest, AllOfThemAtOnce) {
  const UniqueFd file(open("/dev/null", O_RDWR | O_CLOEXEC));
  const UnitSocket a("127.0.0.1:0");
  const UnitSocket b("127.0.0.1:0");
  ExpectErrors("systemd:web\", \"systemd:file",
               {{"file", file.get()}, {"a", a.fd.get()}, {"", b.fd.get()}},
               {Useless("file", "it is not a socket"), Unused(a, "a"), Unnamed(b), Missing("web")});
}

// The daemon as a service, started again and again by one manager.
class StoredSocketsTest : public BackendTest {
 protected:
  std::unique_ptr<Daemon> StartService(std::string config, size_t addresses = 1) {
    DaemonOptions options = Options(std::move(config));
    options.address_count = addresses;
    auto daemon = StartWith(std::move(options));
    EXPECT_TRUE(!daemon || manager_.WaitFor("READY=1", ++ready_)) << manager_.Log();
    return daemon;
  }
  // A start that is to fail, under `io`.
  Outcome FailToStart(const std::string& config, const std::string& io, int io_uring_error = 0) {
    ProcessOptions process = Options("").process;
    process.command = {ProgramFromEnvironment("BSOCKD"), "--config",
                       folder_.Write("fails.yaml", config), "--io", io};
    process.io_uring_error = io_uring_error;
    return RunToEnd(process);
  }
  bool WaitForStored(size_t count) {
    return Eventually([&] { return manager_.stored().size() == count; });
  }

  TemporaryFolder folder_;
  const std::string file_ = folder_.File("socket");
  ServiceManager manager_;
  size_t ready_ = 0;

 private:
  DaemonOptions Options(std::string config) const {
    DaemonOptions options;
    options.config = std::move(config);
    options.process.environment = manager_.Environment();
    options.process.inherited = manager_.stored();
    return options;
  }
};
INSTANTIATE_TEST_SUITE_P(, StoredSocketsTest, kBackends, BackendName);

TEST_P(StoredSocketsTest, SocketsComeBackUnderTheSameAddress) {
  // Port 0 is the same free port again, for each that says so.
  const std::string config = fmt::format(
      "handlers: {{echo: {{builtin: echo}}}}\nlisteners:\n"
      "  main: {{listen: [\"127.0.0.1:0\", \"localhost:0\", \"unix:{}\"], handler: echo}}\n"
      "  more: {{listen: 127.0.0.1:0, handler: echo}}\n",
      file_);
  const size_t addresses = HasIpv6() ? 5 : 4;
  std::vector<std::string> before;
  ino_t inode = 0;
  for (int i = 0; i < 3; ++i) {
    const auto daemon = StartService(config, addresses);
    ASSERT_NE(daemon, nullptr);
    ASSERT_TRUE(WaitForStored(addresses)) << manager_.Log();
    std::vector<std::string> now;
    for (size_t j = 0; j < addresses; ++j) now.push_back(daemon->address(j));
    std::sort(now.begin(), now.end());
    EXPECT_TRUE(i == 0 || now == before);
    EXPECT_TRUE(i == 0 || InodeOf(file_) == inode);
    before = now;
    inode = InodeOf(file_);
    for (const std::string& address : before) EXPECT_TRUE(Answers(address)) << address;
    daemon->Stop();
    EXPECT_EQ(InodeOf(file_), inode) << "the manager has the socket";
    const auto waits = Stream::Connect(before.front());  // Nobody is refused.
    EXPECT_NE(waits, nullptr);
  }
  EXPECT_EQ(manager_.Count("FDSTOREREMOVE=1"), 0u) << manager_.Log();
}

TEST_P(StoredSocketsTest, WhatIsNotInTheConfigurationAnyMoreIsClosed) {
  const std::string both = Listening("127.0.0.1:0\", \"unix:" + file_);
  const std::string one = Listening("127.0.0.1:0");
  auto daemon = StartService(both, 2);
  ASSERT_NE(daemon, nullptr);
  ASSERT_TRUE(WaitForStored(2)) << manager_.Log();
  daemon->Stop();
  daemon = StartService(one);
  ASSERT_NE(daemon, nullptr);
  EXPECT_TRUE(daemon->process().WaitForErrors(
      fmt::format("unix:{} is not in the configuration any more: closed", file_)));
  EXPECT_TRUE(WaitForStored(1)) << manager_.Log();
  EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(file_); }));
  // The same by a reload.
  daemon->WriteConfig(both);
  daemon->process().Signal(SIGHUP);
  EXPECT_TRUE(WaitForStored(2)) << manager_.Log();
  EXPECT_TRUE(Answers("unix:" + file_));
  daemon->WriteConfig(one);
  daemon->process().Signal(SIGHUP);
  EXPECT_TRUE(WaitForStored(1)) << manager_.Log();
  EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(file_); }));
}

// The manager's end of a socket that is to go is closed when the manager comes to it.
TEST_P(StoredSocketsTest, AnAddressMayTakeThePlaceOfOneThatIsPartOfIt) {
  manager_.TakeItsTime(milliseconds(20));
  for (const std::string scheme : {"", "udp:"}) {
    auto daemon = StartService(Listening(scheme + "127.0.0.1:0", "    allow: 127.0.0.0/8\n"));
    ASSERT_NE(daemon, nullptr);
    const std::string port = daemon->port();
    for (const std::string host : {"127.0.0.1", "*", "127.0.0.1"}) {
      daemon->Stop();
      daemon = StartService(
          Listening(fmt::format("{}{}:{}", scheme, host, port), "    allow: 127.0.0.0/8\n"));
      ASSERT_NE(daemon, nullptr);
      EXPECT_TRUE(Answers(scheme + "127.0.0.1:" + port));
    }
    daemon->Stop();
  }
}

TEST_P(StoredSocketsTest, AFileMayBecomeASocketOfTheOtherType) {
  manager_.TakeItsTime(milliseconds(20));
  for (const std::string scheme : {"unix:", "unixgram:", "unix:"}) {
    const auto daemon = StartService(Listening(scheme + file_));
    ASSERT_NE(daemon, nullptr);
    EXPECT_TRUE(Answers(scheme + file_));
    EXPECT_TRUE(WaitForStored(1)) << manager_.Log();
    daemon->Stop();
  }
}

TEST_P(StoredSocketsTest, ASocketWhoseFileIsGoneIsBoundAnew) {
  for (const std::string scheme : {"unix:", "unixgram:"}) {
    const std::string config = Listening(scheme + file_);
    auto daemon = StartService(config);
    ASSERT_NE(daemon, nullptr);
    ASSERT_TRUE(WaitForStored(1)) << manager_.Log();
    daemon->Stop();
    std::filesystem::remove(file_);
    const size_t removed = manager_.Count("FDSTOREREMOVE=1");
    daemon = StartService(config);
    ASSERT_NE(daemon, nullptr);
    EXPECT_TRUE(daemon->process().WaitForErrors("is of no use: "));
    EXPECT_TRUE(Answers(scheme + file_));
    EXPECT_TRUE(WaitForStored(1)) << manager_.Log();
    EXPECT_EQ(manager_.Count("FDSTOREREMOVE=1"), removed + 1);
    // The new one is the one that is kept.
    const ino_t inode = InodeOf(file_);
    daemon->Stop();
    daemon = StartService(config);
    ASSERT_NE(daemon, nullptr);
    EXPECT_EQ(InodeOf(file_), inode);
    EXPECT_TRUE(Answers(scheme + file_));
    daemon->Stop();
    std::filesystem::remove(file_);
  }
}

TEST_P(StoredSocketsTest, AFileGetsTheModeThatTheConfigurationHasNow) {
  ino_t inode = 0;
  for (const mode_t mode : {0600u, 0666u, 0640u}) {
    const auto daemon =
        StartService(Listening("unix:" + file_, fmt::format("    mode: \"{:04o}\"\n", mode)));
    ASSERT_NE(daemon, nullptr);
    ASSERT_TRUE(WaitForStored(1)) << manager_.Log();
    struct stat status;
    ASSERT_EQ(stat(file_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777u, mode);
    EXPECT_TRUE(inode == 0 || status.st_ino == inode);
    inode = status.st_ino;
    daemon->Stop();
  }
}

TEST_P(StoredSocketsTest, EveryDatagramIsAnsweredWhateverTheNumberOfWorkers) {
  constexpr size_t kClients = 60;
  std::string address;
  size_t stored = 0;
  for (const size_t workers : {2u, 4u, 1u, 3u}) {
    std::vector<DatagramClient> early;
    for (size_t i = 0; i < kClients && !address.empty(); ++i) {
      early.emplace_back(address);
      ASSERT_TRUE(early.back().Send("early"));
    }
    const auto daemon = StartService(fmt::format("server: {{workers: {}}}\n", workers) +
                                     Listening("udp:127.0.0.1:0"));
    ASSERT_NE(daemon, nullptr);
    EXPECT_TRUE(address.empty() || address == daemon->address());
    address = daemon->address();
    for (const DatagramClient& client : early) ASSERT_EQ(client.Receive(), "early");
    for (size_t i = 0; i < kClients; ++i) ASSERT_TRUE(Answers(address));
    stored = std::max(stored, workers);
    EXPECT_TRUE(WaitForStored(stored)) << manager_.Log();
    daemon->Stop();
  }
}

TEST_P(StoredSocketsTest, AStartThatFailsLeavesTheFilesAlone) {
  const std::string gram = folder_.File("datagrams");
  const std::string listen = fmt::format("unix:{}\", \"unixgram:{}", file_, gram);
  const std::string config = Listening(listen);
  auto daemon = StartService(config, 2);
  ASSERT_NE(daemon, nullptr);
  ASSERT_TRUE(WaitForStored(2)) << manager_.Log();
  daemon->Stop();
  const ino_t inode = InodeOf(file_);
  const auto waits = Stream::Connect("unix:" + file_);
  ASSERT_TRUE(waits->Send("hello\n"));
  const std::string fresh = folder_.File("fresh");
  const struct {
    std::string config;
    int exit_code;
  } failures[] = {
      // An address that is not of this machine (RFC 5737), after a file of its own.
      {Listening(fmt::format("{}\", \"unix:{}\", \"192.0.2.1:1", listen, fresh)), kExitCannotBind},
      {Listening(listen + "\", \"systemd:nobody"), kExitConfig},
      {Listening(listen, "    peer: {uid: no-such-user}\n"), kExitConfig},
      // Without the sockets that are stored: they are closed when all has gone well.
      {Listening("192.0.2.1:1"), kExitCannotBind},
      {"nonsense", kExitConfig},
  };
  for (const auto& failure : failures) {
    const Outcome outcome = FailToStart(failure.config, GetParam());
    EXPECT_EQ(outcome.end, Exited(failure.exit_code)) << outcome.errors;
    EXPECT_EQ(InodeOf(file_), inode) << outcome.errors;
    EXPECT_TRUE(std::filesystem::exists(gram)) << outcome.errors;
    EXPECT_FALSE(std::filesystem::exists(fresh)) << outcome.errors;
  }
  EXPECT_EQ(manager_.stored().size(), 2u) << manager_.Log();
  // After everything is bound.
  const Outcome outcome = FailToStart(Listening(listen), "io_uring", EPERM);
  EXPECT_EQ(outcome.end, Exited(kExitOs)) << outcome.errors;
  EXPECT_EQ(InodeOf(file_), inode);
  EXPECT_TRUE(std::filesystem::exists(gram));
  daemon = StartService(config, 2);
  ASSERT_NE(daemon, nullptr);
  EXPECT_EQ(waits->ReceiveExactly(6), "hello\n");
  EXPECT_TRUE(Answers("unixgram:" + gram));
}

// A predecessor has its sockets until its successor is ready.
TEST_P(InheritedSocketsTest, ASuccessorMayTakeAnAddressThatItsPredecessorsIsPartOf) {
  const std::string takeover = folder_.File("takeover");
  DaemonOptions options;
  options.arguments = {"--takeover", takeover};
  const std::string allow = "    allow: 127.0.0.0/8\n";
  options.config = Listening("127.0.0.1:0", allow);
  auto daemon = StartWith(options);
  ASSERT_NE(daemon, nullptr);
  const std::string port = daemon->port();
  for (const std::string host : {"*", "127.0.0.1"}) {
    options.config = Listening(host + ":" + port, allow);
    auto next = StartWith(options);
    ASSERT_NE(next, nullptr);
    daemon->ExpectEnd(Exited(0));
    EXPECT_TRUE(Answers("127.0.0.1:" + port));
    daemon = std::move(next);
  }
}

// What the manager is told of the service.
class StatusTest : public StoredSocketsTest {};
INSTANTIATE_TEST_SUITE_P(, StatusTest, kBackends, BackendName);

TEST_P(StatusTest, ItSaysWhatIsGoingOnAtMostOnceASecond) {
  const auto daemon = StartService(Listening("127.0.0.1:0"));
  ASSERT_NE(daemon, nullptr);
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 3; ++i) streams.push_back(Stream::Connect(daemon->address()));
  ASSERT_TRUE(manager_.WaitFor("STATUS=3 connections, 0 requests/s, reloaded 0 times"))
      << manager_.Log();
  // Until it has been said three times that there are requests, each time with another number.
  size_t asked = 0;
  const auto says = [&] { return LinesWith("STATUS=", manager_.Log()).size(); };
  const size_t said_before = says();
  const auto begin = Clock::now();
  while (says() < said_before + 3 && Clock::now() < begin + kPatience) {
    for (size_t i = 0; i < 1 + asked % 7; ++i) {
      ASSERT_EQ(streams[i % 3]->Call("a\n", "a\n"), "a\n");
      ++asked;
    }
  }
  EXPECT_GE(Clock::now() - begin, milliseconds(1900)) << manager_.Log();
  EXPECT_TRUE(Matches(manager_.ValueOf("STATUS"),
                      "3 connections, [1-9][0-9]* requests/s, reloaded 0 times"))
      << manager_.Log();
}

TEST_P(StatusTest, ARateIsThatOfASecondHoweverOftenItIsReloaded) {
  const std::string config = Listening("127.0.0.1:0");
  const auto daemon = StartService(config);
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  constexpr size_t kReloads = 5;
  for (size_t i = 1; i <= kReloads; ++i) {
    ASSERT_EQ(stream->Call("a\n", "a\n"), "a\n");
    daemon->process().Signal(SIGHUP);
    ASSERT_TRUE(manager_.WaitFor("READY=1", 1 + i)) << manager_.Log();
    const std::string status = manager_.ValueOf("STATUS");
    EXPECT_TRUE(Matches(
        status, fmt::format("1 connections, [0-{}] requests/s, reloaded {} times", kReloads, i)))
        << status;
  }
}

TEST_P(StatusTest, AReloadBeginsAndEndsWhetherItIsRefusedOrNot) {
  const auto daemon = StartService(Listening("127.0.0.1:0"));
  ASSERT_NE(daemon, nullptr);
  daemon->WriteConfig("nonsense");
  for (size_t i = 1; i <= 2; ++i) {
    daemon->process().Signal(SIGHUP);
    EXPECT_TRUE(manager_.WaitFor("READY=1", 1 + i)) << manager_.Log();
    EXPECT_EQ(manager_.Count("RELOADING=1"), i) << manager_.Log();
    EXPECT_NE(manager_.ValueOf("MONOTONIC_USEC"), "");
    EXPECT_TRUE(Eventually([&] {
      return LinesWith("reload refused", daemon->process().errors()).size() == i;
    })) << daemon->process().errors();
  }
  EXPECT_TRUE(manager_.ValueOf("STATUS").ends_with("reloaded 0 times")) << manager_.Log();
  EXPECT_TRUE(Answers(daemon->address()));
}

TEST_P(StatusTest, AStopSaysSoAndAsksForTimeAsLongAsItTakes) {
  const auto daemon = StartService("server: {drain_timeout: 60s}\n" + Listening("127.0.0.1:0"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_EQ(stream->Call("a\nbe", "a\n"), "a\n");
  EXPECT_EQ(manager_.Count("EXTEND_TIMEOUT_USEC=10000000"), 0u);
  daemon->process().Signal(SIGTERM);
  EXPECT_TRUE(manager_.WaitFor("STOPPING=1")) << manager_.Log();
  EXPECT_TRUE(manager_.WaitFor("EXTEND_TIMEOUT_USEC=10000000", 3)) << manager_.Log();
  EXPECT_EQ(manager_.ValueOf("STATUS"), "draining, 1 connections left");
  EXPECT_EQ(stream->Exchange("gun\n", /*half_close=*/false), Closed("begun\n"));
  daemon->ExpectEnd(Exited(0));
  EXPECT_EQ(manager_.Count("STOPPING=1"), 1u);
}

}  // namespace
}  // namespace bsockd::integration
