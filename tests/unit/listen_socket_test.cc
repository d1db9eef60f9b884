#include "lib/net/listen_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
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

}  // namespace
}  // namespace bsockd
