#include "lib/systemd/notify.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "lib/base/unique_fd.h"

namespace bsockd {
namespace {

constexpr int kPatienceMs = 10000;

struct Message {
  std::string text;
  std::vector<UniqueFd> fds;
};

// The manager's end: a socket of the name that NOTIFY_SOCKET has, with '@' for an abstract one.
class Manager {
 public:
  explicit Manager(const std::string& name)
      : socket_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name.front() == '@') address.sun_path[0] = '\0';
    const size_t size = offsetof(sockaddr_un, sun_path) + name.size() + (name.front() != '@');
    EXPECT_EQ(
        bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(size)), 0)
        << strerrordesc_np(errno);
  }

  Message Receive() {
    pollfd waiting{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, kPatienceMs) != 1) return {.text = "(nothing came)", .fds = {}};
    char bytes[4096];
    iovec space{.iov_base = bytes, .iov_len = sizeof(bytes)};
    alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))];
    msghdr header{};
    header.msg_iov = &space;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t size = recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
    Message message{.text = std::string(bytes, size < 0 ? 0 : static_cast<size_t>(size)),
                    .fds = {}};
    const cmsghdr* rights = CMSG_FIRSTHDR(&header);
    if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
      for (size_t at = 0; CMSG_LEN(at) < rights->cmsg_len; at += sizeof(int)) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(rights) + at, sizeof(fd));
        message.fds.emplace_back(fd);
      }
    }
    return message;
  }
  std::string Text() { return Receive().text; }

  bool nothing_came() const {
    pollfd waiting{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    return poll(&waiting, 1, 0) == 0;
  }

 private:
  UniqueFd socket_;
};

bool SameFile(int a, int b) {
  struct stat first, second;
  return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

class NotifyTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/bsockd.XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    name_ = (GetParam() == "abstract" ? "@" : "") + folder_ + "/notify";
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Notifier Make() const {
    setenv("NOTIFY_SOCKET", name_.c_str(), 1);
    return Notifier::FromEnvironment();
  }

  std::string folder_;
  std::string name_;
};

TEST_P(NotifyTest, EveryMessageIsAsTheProtocolHasIt) {
  Manager manager(name_);
  Notifier notifier = Make();
  ASSERT_TRUE(notifier.active());
  notifier.Ready("0 connections");
  EXPECT_EQ(manager.Text(), "READY=1\nSTATUS=0 connections");
  notifier.Stopping("draining");
  EXPECT_EQ(manager.Text(), "STOPPING=1\nSTATUS=draining");
  notifier.Status("12 connections");
  EXPECT_EQ(manager.Text(), "STATUS=12 connections");
  notifier.ExtendTimeout(std::chrono::milliseconds(1500));
  EXPECT_EQ(manager.Text(), "EXTEND_TIMEOUT_USEC=1500000");
  notifier.Watchdog();
  EXPECT_EQ(manager.Text(), "WATCHDOG=1");
  notifier.Unstore("listen-127.0.0.1%3A51717");
  EXPECT_EQ(manager.Text(), "FDSTOREREMOVE=1\nFDNAME=listen-127.0.0.1%3A51717");
  EXPECT_TRUE(manager.nothing_came());
}

TEST_P(NotifyTest, AReloadSaysWhenItBegan) {
  Manager manager(name_);
  Notifier notifier = Make();
  const auto now = [] {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return int64_t{time.tv_sec} * 1000000 + time.tv_nsec / 1000;
  };
  const int64_t before = now();
  notifier.Reloading();
  const int64_t after = now();
  const std::string text = manager.Text();
  const std::string beginning = "RELOADING=1\nMONOTONIC_USEC=";
  ASSERT_EQ(text.substr(0, beginning.size()), beginning);
  const int64_t moment = std::stoll(text.substr(beginning.size()));
  EXPECT_GE(moment, before);
  EXPECT_LE(moment, after);
}

TEST_P(NotifyTest, AStatusIsSentWhenItChanges) {
  Manager manager(name_);
  Notifier notifier = Make();
  notifier.Ready("one");
  notifier.Status("one");
  notifier.Status("two");
  notifier.Status("two");
  notifier.Status("one");
  EXPECT_EQ(manager.Text(), "READY=1\nSTATUS=one");
  EXPECT_EQ(manager.Text(), "STATUS=two");
  EXPECT_EQ(manager.Text(), "STATUS=one");
  EXPECT_TRUE(manager.nothing_came());
}

TEST_P(NotifyTest, AStatusIsOneLine) {
  Manager manager(name_);
  Notifier notifier = Make();
  notifier.Status("first\nREADY=1\tsecond");
  EXPECT_EQ(manager.Text(), "STATUS=first READY=1 second");
  notifier.Status("first\nREADY=1\tsecond");
  EXPECT_TRUE(manager.nothing_came());
}

TEST_P(NotifyTest, StoringPassesTheDescriptor) {
  Manager manager(name_);
  Notifier notifier = Make();
  const UniqueFd own(open(folder_.c_str(), O_PATH | O_CLOEXEC));
  notifier.Store("listen-x", own.get());
  const Message message = manager.Receive();
  EXPECT_EQ(message.text, "FDSTORE=1\nFDNAME=listen-x");
  ASSERT_EQ(message.fds.size(), 1u);
  EXPECT_TRUE(SameFile(message.fds[0].get(), own.get()));
  notifier.Watchdog();
  EXPECT_TRUE(manager.Receive().fds.empty());
}

TEST_P(NotifyTest, AManagerThatIsBusyDelaysNoStatusAndLosesNone) {
  Manager manager(name_);
  Notifier notifier = Make();
  // More than any queue of datagrams holds (net.unix.max_dgram_qlen, and the sender's buffer).
  constexpr int kMany = 10000;
  int sent = 0;
  const auto start = std::chrono::steady_clock::now();
  for (; sent < kMany; ++sent) notifier.Status(fmt::format("{}", sent));
  // Each of those that do not fit would cost a second.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  std::string last;
  while (!manager.nothing_came()) last = manager.Text();
  EXPECT_NE(last, fmt::format("STATUS={}", kMany - 1)) << "the queue is to be full";
  notifier.Status(fmt::format("{}", kMany - 1));
  EXPECT_EQ(manager.Text(), fmt::format("STATUS={}", kMany - 1)) << "it had not been sent";
}

TEST_P(NotifyTest, AManagerThatIsGoneIsNoError) {
  Notifier notifier = Make();
  ASSERT_TRUE(notifier.active());
  notifier.Ready("alone");
  Manager manager(name_);
  notifier.Status("alone");
  EXPECT_EQ(manager.Text(), "STATUS=alone") << "the first one had not arrived";
}

TEST_P(NotifyTest, ChildrenDoNotGetWhatIsOurs) {
  Manager manager(name_);
  setenv("WATCHDOG_USEC", "3000000", 1);
  setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
  const Notifier notifier = Make();
  EXPECT_EQ(notifier.watchdog_timeout(), std::chrono::seconds(3));
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
    EXPECT_EQ(getenv(name), nullptr) << name;
  }
}

TEST_P(NotifyTest, AWatchdogIsOursOrNot) {
  const std::string other = std::to_string(getppid());
  setenv("WATCHDOG_USEC", "3000000", 1);
  setenv("WATCHDOG_PID", other.c_str(), 1);
  EXPECT_EQ(Make().watchdog_timeout(), std::nullopt) << "another process's";
  EXPECT_EQ(Make().watchdog_timeout(), std::nullopt) << "there is none";
  setenv("WATCHDOG_USEC", "250000", 1);
  EXPECT_EQ(Make().watchdog_timeout(), std::chrono::milliseconds(250)) << "whoever reads it";
}

TEST(NotifierTest, WithoutAManagerNothingHappens) {
  for (const char* name : {"", "relative", "@", "vsock:2:1234"}) {
    setenv("NOTIFY_SOCKET", name, 1);
    Notifier notifier = Notifier::FromEnvironment();
    EXPECT_FALSE(notifier.active()) << name;
    EXPECT_EQ(getenv("NOTIFY_SOCKET"), nullptr) << name;
    notifier.Ready("alone");
    notifier.Store("x", STDIN_FILENO);
  }
  setenv("NOTIFY_SOCKET", ("/" + std::string(sizeof(sockaddr_un::sun_path), 'x')).c_str(), 1);
  EXPECT_FALSE(Notifier::FromEnvironment().active());
  EXPECT_FALSE(Notifier::FromEnvironment().active()) << "with nothing in the environment";
}

INSTANTIATE_TEST_SUITE_P(Sockets, NotifyTest, testing::Values("path", "abstract"),
                         [](const auto& kind) { return kind.param; });

}  // namespace
}  // namespace bsockd
