// The contract of Io (lib/io/io.h), on real sockets, for both back-ends.
#include "lib/io/io.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/mailbox.h"
#include "lib/base/unique_fd.h"

namespace bsockd {
namespace {

// A worker's end and a peer's end of a connection.
struct Pair {
  UniqueFd ours;
  UniqueFd theirs;
};

Pair MakePair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return {};
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

class IoTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    mailbox_ = *Mailbox<int>::Create();
    auto io =
        GetParam() == "epoll" ? MakeEpollIo(mailbox_->wake_fd()) : MakeUringIo(mailbox_->wake_fd());
    if (!io.ok() && GetParam() == "io_uring") GTEST_SKIP() << io.status();
    ASSERT_TRUE(io.ok()) << io.status();
    io_ = *std::move(io);
    now_ = io_->Run({}, MonotonicTime(), &completions_);
  }

  // Runs until `kind` has come for `slot`, and returns it. Keeps all bytes that came meanwhile.
  Completion RunUntil(Completion::Kind kind, Slot slot, std::vector<Op> ops = {}) {
    for (int run = 0; run < kRunsMax; ++run) {
      Run(ops);
      ops.clear();
      for (const Completion& each : completions_) {
        if (each.kind == kind && each.slot == slot) return each;
      }
    }
    ADD_FAILURE() << "it did not come";
    return {.kind = kind, .slot = slot, .result = -ETIME};
  }

  void Run(const std::vector<Op>& ops) {
    now_ = io_->Run(ops, now_ + std::chrono::milliseconds(20), &completions_);
    for (const Completion& each : completions_) {
      if (each.kind == Completion::Kind::kReceived) received_[each.slot] += each.data;
    }
  }

  static constexpr int kRunsMax = 500;

  std::unique_ptr<Mailbox<int>> mailbox_;
  std::unique_ptr<Io> io_;
  std::vector<Completion> completions_;
  std::map<Slot, std::string> received_;
  MonotonicTime now_;
};

TEST_P(IoTest, ReceivesSendsAndTellsTheEnd) {
  const Pair pair = MakePair();
  ASSERT_EQ(write(pair.theirs.get(), "hello", 5), 5);
  RunUntil(Completion::Kind::kReceived, 3, {{Op::Kind::kReceive, 3, pair.ours.get()}});
  EXPECT_EQ(received_[3], "hello");
  const std::string reply = "good day";
  EXPECT_EQ(
      RunUntil(Completion::Kind::kSent, 3, {{Op::Kind::kSend, 3, pair.ours.get(), reply}}).result,
      8);
  char bytes[16];
  EXPECT_EQ(read(pair.theirs.get(), bytes, sizeof(bytes)), 8);
  shutdown(pair.theirs.get(), SHUT_WR);
  EXPECT_EQ(RunUntil(Completion::Kind::kReceived, 3).result, 0);
  RunUntil(Completion::Kind::kDetached, 3, {{Op::Kind::kDetach, 3, pair.ours.get()}});
}

TEST_P(IoTest, AMailboxWakesIt) {
  mailbox_->Post(1);
  RunUntil(Completion::Kind::kWake, 0);
  std::vector<int> messages;
  mailbox_->Take(&messages);
  mailbox_->Post(2);
  RunUntil(Completion::Kind::kWake, 0);
}

TEST_P(IoTest, ADeadlineEndsTheWait) {
  const MonotonicTime deadline = now_ + std::chrono::milliseconds(20);
  while (now_ < deadline) now_ = io_->Run({}, deadline, &completions_);
  EXPECT_TRUE(completions_.empty());
}

TEST_P(IoTest, NothingIsReceivedWhilePausedAndAllOfItAfterwards) {
  const Pair pair = MakePair();
  Run({{Op::Kind::kReceive, 0, pair.ours.get()}});
  Run({{Op::Kind::kPause, 0, pair.ours.get()}});
  ASSERT_EQ(write(pair.theirs.get(), "late", 4), 4);
  mailbox_->Post(1);
  RunUntil(Completion::Kind::kWake, 0);
  EXPECT_EQ(received_[0], "");
  EXPECT_EQ(io_->UnreadBytes(pair.ours.get()), 4u);
  RunUntil(Completion::Kind::kReceived, 0, {{Op::Kind::kReceive, 0, pair.ours.get()}});
  EXPECT_EQ(received_[0], "late");
}

TEST_P(IoTest, ASendThatMustWaitIsToldWhenThereIsRoom) {
  const Pair pair = MakePair();
  const std::string large(8 << 20, 'x');
  size_t sent = 0;
  std::string read_back;
  std::vector<Op> ops = {{Op::Kind::kSend, 0, pair.ours.get(), large}};
  std::string buffer(1 << 20, '\0');
  while (read_back.size() < large.size()) {
    now_ = io_->Run(ops, now_ + std::chrono::milliseconds(1), &completions_);
    ops.clear();
    for (const Completion& each : completions_) {
      ASSERT_EQ(each.kind, Completion::Kind::kSent);
      ASSERT_GT(each.result, 0);
      sent += static_cast<size_t>(each.result);
      if (sent < large.size()) {
        ops.push_back({Op::Kind::kSend, 0, pair.ours.get(), std::string_view(large).substr(sent)});
      }
    }
    const ssize_t size = recv(pair.theirs.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size > 0) read_back.append(buffer.data(), static_cast<size_t>(size));
  }
  EXPECT_EQ(read_back, large);
}

TEST_P(IoTest, SendingToAPeerThatIsGoneIsAnError) {
  Pair pair = MakePair();
  pair.theirs.Reset();
  EXPECT_EQ(
      RunUntil(Completion::Kind::kSent, 0, {{Op::Kind::kSend, 0, pair.ours.get(), "x"}}).result,
      -EPIPE);
}

TEST_P(IoTest, DetachingCancelsAReceiveAndASend) {
  const Pair pair = MakePair();
  const std::string large(8 << 20, 'x');
  Run({{Op::Kind::kReceive, 0, pair.ours.get()}});
  RunUntil(Completion::Kind::kSent, 0, {{Op::Kind::kSend, 0, pair.ours.get(), large}});
  Run({{Op::Kind::kSend, 0, pair.ours.get(), large}});  // Finds no room.
  RunUntil(Completion::Kind::kDetached, 0, {{Op::Kind::kDetach, 0, pair.ours.get()}});
  // The slot is free for another socket, which hears nothing of the first.
  const Pair other = MakePair();
  ASSERT_EQ(write(pair.theirs.get(), "old", 3), 3);
  ASSERT_EQ(write(other.theirs.get(), "new", 3), 3);
  received_.clear();
  RunUntil(Completion::Kind::kReceived, 0, {{Op::Kind::kReceive, 0, other.ours.get()}});
  EXPECT_EQ(received_[0], "new");
}

// A connection whose sends always complete at once must not keep the others from being read.
TEST_P(IoTest, SendingWithoutEndDoesNotStarveOthers) {
  const Pair sender = MakePair();
  const Pair asker = MakePair();
  Run({{Op::Kind::kReceive, 1, asker.ours.get()}});
  ASSERT_EQ(write(asker.theirs.get(), "?", 1), 1);
  char drained[64];
  for (int run = 0; run < kRunsMax && received_[1].empty(); ++run) {
    Run({{Op::Kind::kSend, 0, sender.ours.get(), "more"}});
    ASSERT_EQ(read(sender.theirs.get(), drained, sizeof(drained)), 4);
  }
  EXPECT_EQ(received_[1], "?");
}

// However much comes in one turn: what has left the sockets has been told at the end of it. A drain
// takes what is unread for all that is still to come.
TEST_P(IoTest, WhatIsNotToldIsStillUnread) {
  constexpr Slot kSockets = 6000;  // So that a second turn still finds the completion queue full.
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < 2 * kSockets + 100) GTEST_SKIP() << "too few descriptors here";
  std::vector<Pair> pairs;
  std::vector<Op> ops;
  for (Slot slot = 0; slot < kSockets; ++slot) {
    pairs.push_back(MakePair());
    ASSERT_EQ(write(pairs.back().theirs.get(), "request\n", 8), 8);
    ops.push_back({Op::Kind::kReceive, slot, pairs.back().ours.get()});
  }
  size_t told = 0;
  for (int run = 0; run < 1000 && told < kSockets * 8; ++run) {
    Run(ops);
    ops.clear();
    told = 0;
    size_t unread = 0;
    for (Slot slot = 0; slot < kSockets; ++slot) {
      told += received_[slot].size();
      unread += io_->UnreadBytes(pairs[slot].ours.get());
    }
    ASSERT_EQ(told + unread, kSockets * 8) << "in run " << run;
  }
  EXPECT_EQ(told, kSockets * 8);
}

INSTANTIATE_TEST_SUITE_P(, IoTest, testing::Values("epoll", "io_uring"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace bsockd
