#include "lib/net/listen_socket.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
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

TEST_F(ListenSocketTest, OfManyThatStartTogetherOneListens) {
  constexpr int kRounds = 300;
  constexpr int kThreads = 4;
  for (int round = 0; round < kRounds; ++round) {
    // A stale file is there, which each of them is ready to remove.
    const Address address = At("socket");
    const SocketAddress stale = Resolve(address, ResolveFor::kListen)->front();
    const UniqueFd left_behind(socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(bind(left_behind.get(), &stale.any, stale.size), 0);
    std::vector<absl::StatusOr<std::vector<ListenSocket>>> results;
    for (int i = 0; i < kThreads; ++i) results.emplace_back(absl::UnknownError("not run"));
    std::atomic<int> ready{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        ++ready;
        while (ready < kThreads) std::this_thread::yield();
        results[i] = Listen(address, 0600);
      });
    }
    for (std::thread& thread : threads) thread.join();
    int listening = 0;
    for (const auto& result : results) listening += result.ok() ? 1 : 0;
    ASSERT_EQ(listening, 1) << "in round " << round;
    // The one that listens is the one whose file is there.
    EXPECT_TRUE(std::filesystem::is_socket(address.path));
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
