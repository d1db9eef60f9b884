#include "daemon/inheritance.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/text.h"
#include "lib/net/listen_socket.h"
#include "lib/systemd/notify.h"

namespace bsockd {
namespace {

class InheritanceTest : public testing::Test {
 protected:
  InheritanceTest()
      : sink_(std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)), log_("test", sink_) {
    log_.set_pattern("%v");
  }
  void SetUp() override {
    char folder[] = "/tmp/bsockd.XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    manager_ = UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (folder_ + "/notify").copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(manager_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    notifier_ = std::make_unique<Notifier>(Notifier::FromEnvironment());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // What the manager has been told, a message each, without the descriptors.
  std::vector<std::string> Told() const {
    std::vector<std::string> told;
    char bytes[1024];
    for (ssize_t size; (size = recv(manager_.get(), bytes, sizeof(bytes), MSG_DONTWAIT)) > 0;) {
      told.emplace_back(bytes, static_cast<size_t>(size));
    }
    return told;
  }

  std::shared_ptr<ListenSocket> SocketAt(const std::string& text) const {
    const auto address = Address::Parse(text);
    EXPECT_TRUE(address.ok()) << text;
    auto sockets = address->datagrams ? BindDatagram(*address, 0600, 1) : Listen(*address, 0600);
    EXPECT_TRUE(sockets.ok()) << sockets.status();
    return std::make_shared<ListenSocket>(std::move(sockets->front()));
  }
  // As another process has it, too.
  static InheritedFd Inherited(const std::string& name, const ListenSocket& socket) {
    return {.name = name, .fd = UniqueFd(dup(socket.fd()))};
  }
  StartSockets Adopt(std::vector<InheritedFd> fds) {
    return StartSockets::Adopt(std::move(fds), *notifier_, log_);
  }

  std::string folder_;
  UniqueFd manager_;
  std::unique_ptr<Notifier> notifier_;
  std::ostringstream text_;
  std::shared_ptr<spdlog::sinks::ostream_sink_mt> sink_;
  spdlog::logger log_;
};

TEST_F(InheritanceTest, WhatIsStoredComesBackUnderTheSameKey) {
  const auto socket = SocketAt("127.0.0.1:0");
  const std::vector<std::string> keys = {
      "127.0.0.1:51717",
      "[fe80::1%eth0]:80",
      "udp:*:53",
      "unix:/run/x_y-z/caf\xC3\xA9 100%.sock",
      "gram unix:/run/x",
      "unix:@abstract\n=name",
      "127.0.0.1:0 my listener 3",
  };
  for (const std::string& key : keys) {
    SocketStore store(notifier_.get());
    store.Keep({{key, {socket}}}, log_);
    const std::vector<std::string> told = Told();
    ASSERT_EQ(told.size(), 1u) << key;
    const std::string before = "FDSTORE=1\nFDNAME=";
    ASSERT_TRUE(told[0].starts_with(before)) << told[0];
    const std::string name = told[0].substr(before.size());
    EXPECT_EQ(name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789._-%"),
              name.npos)
        << name;
    std::vector<InheritedFd> fds;
    fds.push_back(Inherited(name, *socket));
    const StartSockets start = Adopt(std::move(fds));
    ASSERT_EQ(start.sockets().size(), 1u);
    EXPECT_EQ(start.sockets().begin()->first, key);
  }
  EXPECT_EQ(text_.str(), "");
}

TEST_F(InheritanceTest, NamesThatAreNotOfTheStore) {
  const auto socket = SocketAt("127.0.0.1:0");
  for (const std::string name : {"web", "listen-", "listen-web", "listen-%3", "listen-%3Ax%",
                                 "listen-%3A%zz", "listen-%3A%-1", "listen-%3Ax y", "Listen-%3A"}) {
    std::vector<InheritedFd> fds;
    fds.push_back(Inherited(name, *socket));
    StartSockets start = Adopt(std::move(fds));
    ASSERT_EQ(start.sockets().size(), 1u);
    EXPECT_EQ(start.sockets().begin()->first, "systemd:" + name);
    EXPECT_TRUE(start.Check({"systemd:" + name}, *notifier_).ok());
    EXPECT_FALSE(start.Check({}, *notifier_).ok());
  }
}

TEST_F(InheritanceTest, TheStoreIsToldOnceAndOfWhatItIsToHave) {
  const auto tcp = SocketAt("127.0.0.1:0");
  const auto udp = SocketAt("udp:127.0.0.1:0");
  const auto more = SocketAt("udp:127.0.0.1:0");
  SocketStore store(notifier_.get());
  using Messages = std::vector<std::string>;
  ListenSockets sockets = {{"t:1", {tcp}}, {"systemd:x", {udp}}};
  store.Keep(sockets, log_);
  EXPECT_EQ(Told(), Messages({"FDSTORE=1\nFDNAME=listen-t%3A1"})) << "units' own are theirs";
  store.Keep(sockets, log_);
  EXPECT_EQ(Told(), Messages()) << "it is there";
  sockets["u:1"] = {udp, more};
  store.Keep(sockets, log_);
  EXPECT_EQ(Told(), Messages({"FDSTORE=1\nFDNAME=listen-u%3A1", "FDSTORE=1\nFDNAME=listen-u%3A1"}));
  sockets.erase("t:1");
  sockets.erase("systemd:x");
  store.ForgetOthers(sockets);
  EXPECT_EQ(Told(), Messages({"FDSTOREREMOVE=1\nFDNAME=listen-t%3A1", "BARRIER=1"}));
  store.ForgetOthers(sockets);
  EXPECT_EQ(Told(), Messages()) << "they are forgotten";
  sockets["t:1"] = {tcp};
  store.Keep(sockets, log_);
  EXPECT_EQ(Told(), Messages({"FDSTORE=1\nFDNAME=listen-t%3A1"}));
  EXPECT_EQ(text_.str(), "");
}

TEST_F(InheritanceTest, ANameThatIsTooLongForTheStoreIsSaidOnce) {
  const auto socket = SocketAt("127.0.0.1:0");
  const std::string key = "unix:/" + std::string(90, ' ');  // Thrice as long as a name.
  SocketStore store(notifier_.get());
  for (int i = 0; i < 2; ++i) store.Keep({{key, {socket}}}, log_);
  EXPECT_TRUE(Told().empty());
  EXPECT_EQ(text_.str(), key + ": the name is too long to be kept open over a restart\n");
}

TEST_F(InheritanceTest, WhatTheStoreHasAndIsOfNoUseIsDropped) {
  const std::string path = folder_ + "/socket";
  std::vector<InheritedFd> fds;
  {
    const auto socket = SocketAt("unix:" + path);
    fds.push_back(Inherited("listen-unix%3A%2Fsocket", *socket));
  }
  ASSERT_FALSE(std::filesystem::exists(path));
  fds.push_back({.name = "listen-x%3A1", .fd = UniqueFd(dup(STDERR_FILENO))});
  StartSockets start = Adopt(std::move(fds));
  EXPECT_TRUE(start.sockets().empty());
  EXPECT_EQ(Told(), std::vector<std::string>({"FDSTOREREMOVE=1\nFDNAME=listen-unix%3A%2Fsocket",
                                              "FDSTOREREMOVE=1\nFDNAME=listen-x%3A1"}));
  EXPECT_EQ(text_.str(), "the socket that was kept for unix:/socket is of no use: unix:" + path +
                             " is gone\n"
                             "the socket that was kept for x:1 is of no use: it is not a socket\n");
  EXPECT_TRUE(start.Check({"x:1", "unix:/socket"}, *notifier_).ok()) << "they are bound anew";
}

TEST_F(InheritanceTest, FilesStayUnlessTheStartSucceeds) {
  const std::string path = folder_ + "/socket";
  const std::string name = "listen-unix%3A%2Fsocket";
  const auto socket = SocketAt("unix:" + path);
  for (const bool succeeds : {false, true}) {
    std::vector<InheritedFd> fds;
    fds.push_back(Inherited(name, *socket));
    StartSockets start = Adopt(std::move(fds));
    ASSERT_TRUE(start.Check({}, *notifier_).ok());
    EXPECT_TRUE(Told().empty()) << "until the start succeeds, nothing is changed";
    if (succeeds) start.Release({}, *notifier_, log_);
    EXPECT_EQ(std::filesystem::exists(path), !succeeds);
  }
  EXPECT_EQ(Told(), std::vector<std::string>({"FDSTOREREMOVE=1\nFDNAME=" + name, "BARRIER=1"}));
  EXPECT_EQ(text_.str(), "unix:" + path + " is not in the configuration any more: closed\n");
  socket->LeaveFile();
}

TEST_F(InheritanceTest, APredecessorsSocketThatIsThereTwiceKeepsItsFile) {
  const std::string path = folder_ + "/socket";
  const auto stored = SocketAt("unix:" + path);
  const auto taken_over = std::make_shared<ListenSocket>(
      *ListenSocket::Adopt(UniqueFd(dup(stored->fd())), /*owns_file=*/true));
  std::vector<InheritedFd> fds;
  fds.push_back(Inherited("listen-unix%3A%2Fsocket", *stored));
  StartSockets start = Adopt(std::move(fds));
  start.Add({{"unix:/socket", {taken_over}}, {"unix:/other", {taken_over}}});
  EXPECT_EQ(start.sockets().at("unix:/socket").size(), 1u);
  EXPECT_NE(start.sockets().at("unix:/socket").front(), taken_over);
  EXPECT_EQ(start.sockets().at("unix:/other").front(), taken_over);
  stored->LeaveFile();
}

}  // namespace
}  // namespace bsockd
