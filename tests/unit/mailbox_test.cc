#include "lib/base/mailbox.h"

#include <absl/status/status.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace bsockd {
namespace {

constexpr int kHangMs = 30'000;  // Only a lost wake-up waits so long.

template <typename T>
std::unique_ptr<Mailbox<T>> MakeMailbox() {
  auto mailbox = Mailbox<T>::Create();
  EXPECT_TRUE(mailbox.ok()) << mailbox.status();
  return std::move(*mailbox);
}

// How often the mailbox has woken since the last call.
eventfd_t Wakes(int wake_fd) {
  pollfd readable{wake_fd, POLLIN, 0};
  eventfd_t count = 0;
  if (poll(&readable, 1, 0) == 1) {
    EXPECT_EQ(eventfd_read(wake_fd, &count), 0);
  }
  return count;
}

TEST(Mailbox, GivesMessagesInOrder) {
  const auto mailbox = MakeMailbox<int>();
  for (int i = 0; i < 5; ++i) mailbox->Post(i);
  std::vector<int> got;
  mailbox->Take(&got);
  EXPECT_EQ(got, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(Mailbox, TakingReplacesWhatWasThere) {
  const auto mailbox = MakeMailbox<int>();
  std::vector<int> got{7, 8, 9};
  mailbox->Take(&got);
  EXPECT_TRUE(got.empty());
  mailbox->Post(1);
  got = {7};
  mailbox->Take(&got);
  EXPECT_EQ(got, std::vector<int>{1});
}

TEST(Mailbox, WakesOnceForABurst) {
  const auto mailbox = MakeMailbox<int>();
  EXPECT_EQ(Wakes(mailbox->wake_fd()), 0u);
  for (int i = 0; i < 100; ++i) mailbox->Post(i);
  EXPECT_EQ(Wakes(mailbox->wake_fd()), 1u);
  EXPECT_EQ(Wakes(mailbox->wake_fd()), 0u);
}

TEST(Mailbox, WakesAgainOnceItHasBeenEmptied) {
  const auto mailbox = MakeMailbox<int>();
  std::vector<int> got;
  for (int round = 0; round < 3; ++round) {
    mailbox->Post(round);
    mailbox->Post(round);
    EXPECT_EQ(Wakes(mailbox->wake_fd()), 1u);
    mailbox->Take(&got);
    EXPECT_EQ(got.size(), 2u);
  }
  EXPECT_EQ(Wakes(mailbox->wake_fd()), 0u);
}

TEST(Mailbox, AMessageBetweenReadingAndTakingIsNotMissed) {
  const auto mailbox = MakeMailbox<int>();
  mailbox->Post(1);
  EXPECT_EQ(Wakes(mailbox->wake_fd()), 1u);
  mailbox->Post(2);
  std::vector<int> got;
  mailbox->Take(&got);
  EXPECT_EQ(got, (std::vector<int>{1, 2}));
  mailbox->Post(3);
  EXPECT_EQ(Wakes(mailbox->wake_fd()), 1u);
}

TEST(Mailbox, CarriesWhatCanOnlyBeMoved) {
  const auto mailbox = MakeMailbox<std::unique_ptr<int>>();
  mailbox->Post(std::make_unique<int>(42));
  std::vector<std::unique_ptr<int>> got;
  mailbox->Take(&got);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(*got[0], 42);
}

TEST(Mailbox, DropsWhatNobodyTook) {
  const auto watched = std::make_shared<int>(0);
  {
    const auto mailbox = MakeMailbox<std::shared_ptr<int>>();
    mailbox->Post(watched);
    EXPECT_EQ(watched.use_count(), 2);
  }
  EXPECT_EQ(watched.use_count(), 1);
}

TEST(Mailbox, SaysWhenDescriptorsRunOut) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto mailbox = Mailbox<int>::Create();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(mailbox.status().code(), absl::StatusCode::kResourceExhausted) << mailbox.status();
}

// One owner that sleeps in poll() and several posters: nothing is lost, each poster's messages come
// in its order, and no wake-up is missed (or the poll would run into kHangMs).
TEST(Mailbox, ManyPostersLoseNothing) {
  constexpr int kPosters = 4;
  constexpr int kMessagesEach = 20'000;
  struct Message {
    int poster;
    int number;
  };
  const auto mailbox = MakeMailbox<Message>();
  std::vector<std::thread> posters;
  for (int poster = 0; poster < kPosters; ++poster) {
    posters.emplace_back([&mailbox, poster] {
      for (int i = 0; i < kMessagesEach; ++i) mailbox->Post({poster, i});
    });
  }

  std::vector<int> next(kPosters, 0);
  std::vector<Message> got;
  eventfd_t wakes = 0;
  eventfd_t emptied = 0;
  int received = 0;
  bool hung = false;
  while (received < kPosters * kMessagesEach && !hung) {
    pollfd wait{mailbox->wake_fd(), POLLIN, 0};
    hung = poll(&wait, 1, kHangMs) != 1;
    wakes += Wakes(mailbox->wake_fd());
    mailbox->Take(&got);
    if (!got.empty()) ++emptied;
    received += static_cast<int>(got.size());
    for (const Message& message : got) EXPECT_EQ(message.number, next[message.poster]++);
  }
  for (std::thread& poster : posters) poster.join();
  EXPECT_FALSE(hung) << "after " << received << " messages";
  wakes += Wakes(mailbox->wake_fd());
  EXPECT_EQ(wakes, emptied);  // One for each time it went from empty to not empty.
}

}  // namespace
}  // namespace bsockd
