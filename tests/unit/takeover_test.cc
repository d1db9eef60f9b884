// Both sides of a takeover: the messages, and what becomes of wrong ones.
#include "daemon/takeover.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/succession.h"
#include "daemon/takeover_message.h"
#include "lib/base/text.h"

namespace bsockd {
namespace {

struct Pair {
  UniqueFd ours;
  UniqueFd theirs;
};

Pair MakePair() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

size_t OpenDescriptors() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    (void)entry;
    ++count;
  }
  return count;
}

ino_t InodeOf(int fd) {
  struct stat status {};
  EXPECT_EQ(fstat(fd, &status), 0);
  return status.st_ino;
}

std::shared_ptr<ListenSocket> MustListen(const std::string& address) {
  auto sockets = Listen(*Address::Parse(address), 0600);
  EXPECT_TRUE(sockets.ok()) << sockets.status();
  return std::make_shared<ListenSocket>(std::move(sockets->front()));
}

TEST(TakeoverMessageTest, TakesTextAndDescriptors) {
  const Pair pair = MakePair();
  const UniqueFd file(open("/dev/null", O_RDONLY));
  for (const size_t count : {size_t{0}, size_t{1}, kTakeoverFdsMax}) {
    const std::vector<int> fds(count, file.get());
    ASSERT_TRUE(SendMessage(pair.theirs.get(), "some text", fds).ok());
    const auto message = ReceiveMessage(pair.ours.get());
    ASSERT_TRUE(message.ok()) << message.status();
    EXPECT_EQ(message->text, "some text");
    ASSERT_EQ(message->fds.size(), count);
    for (const UniqueFd& fd : message->fds) {
      EXPECT_EQ(InodeOf(fd.get()), InodeOf(file.get()));
      EXPECT_EQ(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
    }
  }
}

TEST(TakeoverMessageTest, TheEndAndNothingYet) {
  Pair pair = MakePair();
  fcntl(pair.ours.get(), F_SETFL, O_NONBLOCK);
  EXPECT_TRUE(absl::IsUnavailable(ReceiveMessage(pair.ours.get()).status()));
  pair.theirs.Reset();
  EXPECT_TRUE(absl::IsAborted(ReceiveMessage(pair.ours.get()).status()));
  EXPECT_FALSE(SendMessage(pair.ours.get(), "text").ok());  // And no SIGPIPE.
}

TEST(TakeoverMessageTest, NothingThatIsTooLongIsTakenForAWhole) {
  const Pair pair = MakePair();
  ASSERT_TRUE(SendMessage(pair.theirs.get(), std::string(kTakeoverTextBytesMax, 'x')).ok());
  EXPECT_TRUE(ReceiveMessage(pair.ours.get()).ok());
  const size_t before = OpenDescriptors();
  const int fd = pair.ours.get();
  ASSERT_TRUE(
      SendMessage(pair.theirs.get(), std::string(kTakeoverTextBytesMax + 1, 'x'), {&fd, 1}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(ReceiveMessage(pair.ours.get()).status()));
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(TakeoverMessageTest, DescriptorsThatGotLostAreAnError) {
  const Pair pair = MakePair();
  const std::vector<int> fds(10, pair.ours.get());
  ASSERT_TRUE(SendMessage(pair.theirs.get(), "text", fds).ok());
  const size_t before = OpenDescriptors();
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit lower{.rlim_cur = static_cast<rlim_t>(pair.theirs.get()) + 5,
                     .rlim_max = limit.rlim_max};
  setrlimit(RLIMIT_NOFILE, &lower);
  const auto message = ReceiveMessage(pair.ours.get());
  setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_TRUE(absl::IsInvalidArgument(message.status())) << message.status();
  EXPECT_EQ(OpenDescriptors(), before);
}

class TakeoverTest : public testing::Test {
 protected:
  TakeoverTest()
      : sink_(std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)), log_("test", sink_) {
    char pattern[] = "/tmp/bsockd-takeover-XXXXXX";
    folder_ = mkdtemp(pattern);
    path_ = folder_ + "/socket";
  }
  ~TakeoverTest() override { std::filesystem::remove_all(folder_); }

  // What the successor says to a predecessor that sends these; `*succession` if it is content.
  struct Sent {
    std::string text;
    std::vector<int> fds;
  };
  std::string Receive(const std::vector<Sent>& messages,
                      std::unique_ptr<Succession>* succession = nullptr) {
    Pair pair = MakePair();
    for (const auto& [text, fds] : messages) {
      EXPECT_TRUE(SendMessage(pair.theirs.get(), text, fds).ok());
    }
    shutdown(pair.theirs.get(), SHUT_WR);
    auto received = Succession::Receive(path_, std::move(pair.ours), &log_);
    if (!received.ok()) return std::string(MessageOf(received.status()));
    if (succession != nullptr) *succession = *std::move(received);
    return "";
  }

  // Waits until the service has something to do, does it, and says what has happened.
  static TakeoverService::Event Turn(TakeoverService& service, const ListenSockets& sockets) {
    pollfd polled{.fd = service.event_fd(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&polled, 1, 20000), 1);
    return service.OnReadable(sockets);
  }

  // Serves until a successor has got everything.
  std::unique_ptr<Succession> Succeed(TakeoverService& service, const ListenSockets& sockets) {
    std::unique_ptr<Succession> succession;
    std::thread successor([&] {
      auto begun = Succession::Begin(path_, &log_);
      EXPECT_TRUE(begun.ok()) << begun.status();
      if (begun.ok()) succession = *std::move(begun);
    });
    while (!service.handing_over()) Turn(service, sockets);
    successor.join();
    return succession;
  }

  std::unique_ptr<TakeoverService> MustServe() {
    auto service = TakeoverService::Listen(path_, &log_);
    EXPECT_TRUE(service.ok()) << service.status();
    return service.ok() ? *std::move(service) : nullptr;
  }

  bool Logged(std::string_view text) const { return text_.str().find(text) != std::string::npos; }

  std::ostringstream text_;
  std::shared_ptr<spdlog::sinks::sink> sink_;
  spdlog::logger log_;
  std::string folder_;
  std::string path_;
};

TEST_F(TakeoverTest, TheSuccessorHasTheSocketsAndThePredecessorHearsThatItIsReady) {
  const auto service = MustServe();
  ASSERT_NE(service, nullptr);
  ListenSockets sockets;
  sockets["127.0.0.1:0"] = {MustListen("127.0.0.1:0"), MustListen("127.0.0.1:0")};
  sockets["unix:" + folder_ + "/a"] = {MustListen("unix:" + folder_ + "/a")};
  const auto succession = Succeed(*service, sockets);
  ASSERT_NE(succession, nullptr);
  ASSERT_EQ(succession->sockets().size(), sockets.size());
  for (const auto& [address, of_address] : sockets) {
    SCOPED_TRACE(address);
    const auto found = succession->sockets().find(address);
    ASSERT_NE(found, succession->sockets().end());
    ASSERT_EQ(found->second.size(), of_address.size());
    for (size_t i = 0; i < of_address.size(); ++i) {
      EXPECT_EQ(InodeOf(found->second[i]->fd()), InodeOf(of_address[i]->fd()));
      EXPECT_EQ(found->second[i]->name(), of_address[i]->name());
    }
  }
  succession->Ready();
  EXPECT_EQ(Turn(*service, sockets), TakeoverService::Event::kTakenOver);
  EXPECT_EQ(service->OnReadable(sockets), TakeoverService::Event::kNothing);
  EXPECT_TRUE(Logged("giving 3 listen sockets")) << text_.str();
  EXPECT_TRUE(Logged("taken over by process")) << text_.str();
}

TEST_F(TakeoverTest, AnAddressMayHaveMoreSocketsThanAMessageHasRoomFor) {
  const auto service = MustServe();
  ASSERT_NE(service, nullptr);
  ListenSockets sockets;
  const auto socket = MustListen("127.0.0.1:0");
  sockets["127.0.0.1:0"].assign(2 * kTakeoverFdsMax + 1, socket);
  for (int i = 1; i < 400; ++i) sockets[fmt::format("127.0.0.1:{}", i)] = {socket};
  const auto succession = Succeed(*service, sockets);
  ASSERT_NE(succession, nullptr);
  EXPECT_EQ(succession->sockets().size(), 400u);
  EXPECT_EQ(succession->sockets().at("127.0.0.1:0").size(), 2 * kTakeoverFdsMax + 1);
}

TEST_F(TakeoverTest, ASuccessorThatDiesHasChangedNothing) {
  const auto service = MustServe();
  ASSERT_NE(service, nullptr);
  const std::string file = folder_ + "/a";
  const ListenSockets sockets = {{"unix:" + file, {MustListen("unix:" + file)}}};
  for (int i = 0; i < 3; ++i) {
    auto succession = Succeed(*service, sockets);
    ASSERT_NE(succession, nullptr);
    succession.reset();
    EXPECT_EQ(Turn(*service, sockets), TakeoverService::Event::kNothing);
    EXPECT_FALSE(service->handing_over());
  }
  EXPECT_TRUE(Logged("has not taken over (the other end has closed): going on")) << text_.str();
  EXPECT_TRUE(std::filesystem::exists(file));
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(TakeoverTest, WhoTakesASocketOwnsItsFileOnceItIsReady) {
  const auto service = MustServe();
  ASSERT_NE(service, nullptr);
  const std::string used = folder_ + "/used";
  const std::string unused = folder_ + "/unused";
  ListenSockets sockets = {{"unix:" + used, {MustListen("unix:" + used)}},
                           {"unix:" + unused, {MustListen("unix:" + unused)}}};
  const auto succession = Succeed(*service, sockets);
  ASSERT_NE(succession, nullptr);
  auto kept = succession->sockets().at("unix:" + used);
  for (const auto& [address, of_address] : sockets) of_address.front()->LeaveFile();
  sockets.clear();  // The predecessor is gone.
  EXPECT_TRUE(std::filesystem::exists(unused));
  succession->Ready();
  EXPECT_FALSE(std::filesystem::exists(unused));
  EXPECT_TRUE(std::filesystem::exists(used));
  kept.clear();
  EXPECT_FALSE(std::filesystem::exists(used));
}

TEST_F(TakeoverTest, TheSocketItselfGoesOver) {
  auto service = MustServe();
  ASSERT_NE(service, nullptr);
  const ListenSockets sockets = {{"127.0.0.1:0", {MustListen("127.0.0.1:0")}}};
  for (int generation = 0; generation < 3; ++generation) {
    const auto succession = Succeed(*service, sockets);
    ASSERT_NE(succession, nullptr);
    auto next = TakeoverService::Adopt(path_, succession->TakeServiceSocket(), &log_);
    ASSERT_TRUE(next.ok()) << next.status();
    succession->Ready();
    EXPECT_EQ(Turn(*service, sockets), TakeoverService::Event::kTakenOver);
    service = *std::move(next);  // The one before is gone, and the file is not.
    EXPECT_TRUE(std::filesystem::exists(path_));
  }
  service.reset();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(TakeoverTest, NobodyIsThere) {
  const auto nobody = Succession::Begin(path_, &log_);
  ASSERT_TRUE(nobody.ok()) << nobody.status();
  EXPECT_EQ(*nobody, nullptr);
  // Killed: the file is there still.
  {
    const UniqueFd stale(socket(AF_UNIX, SOCK_SEQPACKET, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(stale.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  const auto stale = Succession::Begin(path_, &log_);
  ASSERT_TRUE(stale.ok()) << stale.status();
  EXPECT_EQ(*stale, nullptr);
  const auto service = MustServe();
  ASSERT_NE(service, nullptr);
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(TakeoverTest, WhatIsNoSuchSocketIsLeftAlone) {
  std::ofstream(path_) << "text";
  const auto file = Succession::Begin(path_, &log_);
  EXPECT_EQ(MessageOf(file.status()),
            "takeover at " + path_ + ": the file there is not a socket, and is left alone");
  EXPECT_FALSE(TakeoverService::Listen(path_, &log_).ok());
  EXPECT_EQ(std::filesystem::file_size(path_), 4u);

  path_ = folder_ + "/stream";
  const auto stream = MustListen("unix:" + path_);
  const auto other = Succession::Begin(path_, &log_);
  EXPECT_EQ(MessageOf(other.status()),
            "takeover at " + path_ + ": the socket there is another program's, and is left alone");

  path_ = folder_ + "/live";
  const auto service = MustServe();
  const auto second = TakeoverService::Listen(path_, &log_);
  EXPECT_EQ(MessageOf(second.status()),
            "takeover at " + path_ + ": another daemon has just begun to serve it");
  for (const std::string& path : {std::string(), std::string(200, 'x')}) {
    EXPECT_FALSE(Succession::Begin(path, &log_).ok());
    EXPECT_FALSE(TakeoverService::Listen(path, &log_).ok());
  }
  const auto no_folder = TakeoverService::Listen(folder_ + "/none/socket", &log_);
  EXPECT_EQ(MessageOf(no_folder.status()), "takeover at " + folder_ +
                                               "/none/socket: cannot listen: No such file or "
                                               "directory");
}

UniqueFd ConnectTo(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

TEST_F(TakeoverTest, OneAtATime) {
  const auto service = MustServe();
  ASSERT_NE(service, nullptr);
  const ListenSockets sockets = {{"127.0.0.1:0", {MustListen("127.0.0.1:0")}}};
  const auto first = Succeed(*service, sockets);
  ASSERT_NE(first, nullptr);
  const UniqueFd second = ConnectTo(path_);
  EXPECT_EQ(Turn(*service, sockets), TakeoverService::Event::kNothing);
  const auto refused = ReceiveMessage(second.get());
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_EQ(refused->text, fmt::format("refused process {} of user {} is about to take over",
                                       getpid(), geteuid()));
  EXPECT_TRUE(service->handing_over());
  first->Ready();
  EXPECT_EQ(Turn(*service, sockets), TakeoverService::Event::kTakenOver);
}

TEST_F(TakeoverTest, ThePredecessorGoesOnWhateverSuccessorsSay) {
  const auto service = MustServe();
  ASSERT_NE(service, nullptr);
  const ListenSockets sockets = {{"127.0.0.1:0", {MustListen("127.0.0.1:0")}}};
  const size_t before = OpenDescriptors();
  for (const std::vector<std::string>& said :
       std::vector<std::vector<std::string>>{{"ready"},
                                             {"takeover 0"},
                                             {"takeover x"},
                                             {"takeover"},
                                             {std::string(kTakeoverTextBytesMax + 1, 'x')},
                                             {"takeover 1 0.1.0", "takeover 1 0.1.0"},
                                             {"takeover 1 0.1.0", "ready or not"},
                                             {}}) {
    {
      const UniqueFd successor = ConnectTo(path_);
      for (const std::string& text : said) {
        ASSERT_TRUE(SendMessage(successor.get(), text, std::vector<int>(3, successor.get())).ok());
      }
      Turn(*service, sockets);
    }
    // By now it has heard the end, too.
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(service->OnReadable(sockets), TakeoverService::Event::kNothing);
    }
    EXPECT_FALSE(service->handing_over());
    EXPECT_EQ(OpenDescriptors(), before);
  }
  EXPECT_NE(Succeed(*service, sockets), nullptr);
}

TEST_F(TakeoverTest, ALaterVersionIsAnsweredInThisOne) {
  const auto service = MustServe();
  ASSERT_NE(service, nullptr);
  const UniqueFd successor = ConnectTo(path_);
  ASSERT_TRUE(SendMessage(successor.get(), "takeover 7 9.9.9").ok());
  while (!service->handing_over()) Turn(*service, {});
  const auto answer = ReceiveMessage(successor.get());
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(answer->text.starts_with("takeover 1 ")) << answer->text;
  EXPECT_EQ(ReceiveMessage(successor.get())->text, "end 0");
}

TEST_F(TakeoverTest, OtherUsersAreRefused) {
  const auto service = MustServe();
  ASSERT_NE(service, nullptr);
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
  ASSERT_EQ(chmod(path_.c_str(), 0666), 0);
  if (geteuid() != 0 || seteuid(65534) != 0) GTEST_SKIP() << "cannot become another user";
  UniqueFd other = ConnectTo(path_);
  ASSERT_EQ(seteuid(0), 0);
  SendMessage(other.get(), "takeover 1 0.1.0").IgnoreError();
  EXPECT_EQ(Turn(*service, {}), TakeoverService::Event::kNothing);
  const auto answer = ReceiveMessage(other.get());
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->text, "refused only the same user and root may");
  EXPECT_TRUE(Logged("of user 65534 is refused")) << text_.str();
  EXPECT_FALSE(service->handing_over());

  // Nor are sockets taken from them.
  ASSERT_EQ(chmod(folder_.c_str(), 0777), 0);
  ASSERT_EQ(seteuid(65534), 0);
  const auto theirs = TakeoverService::Listen(folder_ + "/theirs", &log_);
  ASSERT_EQ(seteuid(0), 0);
  ASSERT_TRUE(theirs.ok()) << theirs.status();
  const auto begun = Succession::Begin(folder_ + "/theirs", &log_);
  EXPECT_NE(MessageOf(begun.status()).find("of user 65534 serves it"), std::string_view::npos)
      << begun.status();
}

TEST_F(TakeoverTest, TheSuccessorBelievesNothing) {
  const auto socket = MustListen("127.0.0.1:0");
  const UniqueFd connected(::socket(AF_INET, SOCK_STREAM, 0));
  const UniqueFd file(open("/dev/null", O_RDONLY));
  const UniqueFd packets(::socket(AF_UNIX, SOCK_SEQPACKET, 0));
  const int good = socket->fd();
  const Sent hello{"takeover 1 0.1.0", {good}};
  const std::string at = "takeover at " + path_ + ": ";
  struct Case {
    std::vector<Sent> messages;
    std::string error;
  };
  const std::string closed = "the daemon there has closed the connection (its log may say why)";
  const std::string not_agreed = "the daemon there does not speak as agreed";
  const std::string no_daemon = "what answers there is no daemon that gives its sockets";
  const size_t before = OpenDescriptors();
  for (const auto& [messages, error] : std::vector<Case>{
           {{}, closed},
           {{{"refused no\x1B", {}}}, "the daemon there refuses: \"no\\x1b\""},
           {{{"hello", {good}}}, no_daemon},
           {{{"takeover 1 0.1.0", {}}}, no_daemon},
           {{{"takeover 1 0.1.0", {good, good}}}, no_daemon},
           {{{"takeover 2 3.0.0", {good}}},
            "the daemon there is another version (\"2 3.0.0\") and cannot be taken over; stop it "
            "instead"},
           {{hello}, closed},
           {{hello, {"listen 127.0.0.1:1", {good}}}, closed},
           {{hello, {"listen 127.0.0.1:1", {good}}, {"end 2", {}}},
            "not all of the sockets have come"},
           {{hello, {"listen 127.0.0.1:1", {good}}, {"end 1x", {}}},
            "not all of the sockets have come"},
           {{hello, {"end 0", {good}}}, not_agreed},
           {{hello, {"more 127.0.0.1:1", {good}}}, not_agreed},
           {{hello, {"listen", {good}}}, not_agreed},
           {{hello, {"listen 127.0.0.1:1", {}}}, "no sockets for \"127.0.0.1:1\""},
           {{hello, {"listen 127.0.0.1:1", {good, file.get()}}},
            "what came for \"127.0.0.1:1\": it is not a socket"},
           {{hello, {"listen 127.0.0.1:1", {packets.get()}}},
            "what came for \"127.0.0.1:1\": it is a socket neither for streams nor for datagrams"},
       }) {
    EXPECT_EQ(Receive(messages), at + error);
    EXPECT_EQ(OpenDescriptors(), before) << error;
  }
  EXPECT_NE(Receive({hello, {"listen 127.0.0.1:1", {connected.get()}}})
                .find("what came for \"127.0.0.1:1\": it does not listen"),
            std::string::npos);
  const std::vector<Sent> right = {hello, {"listen 127.0.0.1:1", {good}}, {"end 1", {}}};
  std::unique_ptr<Succession> succession;
  EXPECT_EQ(Receive(right, &succession), "");
  ASSERT_NE(succession, nullptr);
  EXPECT_EQ(succession->sockets().size(), 1u);
  succession->Ready();
  EXPECT_TRUE(Logged("the daemon before this one is gone already")) << text_.str();
}

}  // namespace
}  // namespace bsockd
