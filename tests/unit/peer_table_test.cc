#include "lib/server/peer_table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace bsockd {
namespace {

using std::chrono::milliseconds;

IpAddress Ip(const std::string& text) {
  const auto block = CidrBlock::Parse(text);
  EXPECT_TRUE(block.ok()) << text;
  return block->network;
}

MonotonicTime At(milliseconds time) { return MonotonicTime() + std::chrono::hours(1) + time; }

int TakeAll(TokenBucket& bucket, MonotonicTime now, const RequestRate& rate) {
  int taken = 0;
  while (bucket.Take(now, rate)) ++taken;
  return taken;
}

TEST(TokenBucket, AtFirstThereIsABurstThenOneAnInterval) {
  const RequestRate rate{.interval = milliseconds(100), .burst = 3};
  TokenBucket bucket;
  EXPECT_EQ(TakeAll(bucket, At(milliseconds(0)), rate), 3);
  EXPECT_FALSE(bucket.Take(At(milliseconds(99)), rate));
  EXPECT_TRUE(bucket.Take(At(milliseconds(100)), rate));
  EXPECT_FALSE(bucket.Take(At(milliseconds(100)), rate));
  EXPECT_EQ(TakeAll(bucket, At(milliseconds(320)), rate), 2);
}

TEST(TokenBucket, ARestFillsItUpToTheBurstAndNoFurther) {
  const RequestRate rate{.interval = milliseconds(10), .burst = 5};
  TokenBucket bucket;
  EXPECT_EQ(TakeAll(bucket, At(milliseconds(0)), rate), 5);
  EXPECT_FALSE(bucket.IsFull(At(milliseconds(49))));
  EXPECT_TRUE(bucket.IsFull(At(milliseconds(50))));
  EXPECT_EQ(TakeAll(bucket, At(std::chrono::hours(5)), rate), 5);
}

TEST(TokenBucket, WhatWasRefusedCostsNothing) {
  const RequestRate rate{.interval = milliseconds(100), .burst = 1};
  TokenBucket bucket;
  EXPECT_TRUE(bucket.Take(At(milliseconds(0)), rate));
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(bucket.Take(At(milliseconds(50)), rate));
  EXPECT_TRUE(bucket.Take(At(milliseconds(100)), rate));
}

TEST(TokenBucket, SeveralThreadsTakeNoMoreThanThereIs) {
  const RequestRate rate{.interval = std::chrono::hours(1), .burst = 1000};
  TokenBucket bucket;
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { taken += TakeAll(bucket, At(milliseconds(0)), rate); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, 1000);
}

TEST(PeerTable, AnAddressIsOnePeer) {
  PeerTable table;
  const auto peer = table.Find(Ip("192.0.2.1"), At(milliseconds(0)));
  EXPECT_EQ(table.Find(Ip("192.0.2.1"), At(milliseconds(5))), peer);
  EXPECT_NE(table.Find(Ip("192.0.2.2"), At(milliseconds(5))), peer);
  EXPECT_EQ(table.Find(Ip("::ffff:192.0.2.1"), At(milliseconds(5))), peer);
}

TEST(PeerTable, AnIpv6NetworkOf64BitsIsOnePeer) {
  PeerTable table;
  const auto peer = table.Find(Ip("2001:db8:0:1::1"), At(milliseconds(0)));
  EXPECT_EQ(table.Find(Ip("2001:db8:0:1:ffff::2"), At(milliseconds(0))), peer);
  EXPECT_NE(table.Find(Ip("2001:db8:0:2::1"), At(milliseconds(0))), peer);
  // Neither is 0.0.0.0 the network ::/64.
  EXPECT_NE(table.Find(Ip("0.0.0.0"), At(milliseconds(0))),
            table.Find(Ip("::"), At(milliseconds(0))));
}

IpAddress Numbered(size_t i) {
  return Ip(fmt::format("10.{}.{}.{}", i >> 16 & 255, i >> 8 & 255, i & 255));
}

TEST(PeerTable, AFloodOfAddressesForgetsNobodyWhoIsNotAtRest) {
  const RequestRate rate{.interval = std::chrono::seconds(1), .burst = 1};
  PeerTable table;
  const auto connected = table.Find(Ip("192.0.2.1"), At(milliseconds(0)));
  connected->connections = 1;
  EXPECT_TRUE(
      table.Find(Ip("192.0.2.2"), At(milliseconds(0)))->requests.Take(At(milliseconds(0)), rate));
  for (size_t i = 0; i < 3 * PeerTable::kPeersMax; ++i)
    table.Find(Numbered(i), At(milliseconds(i / 1000)));
  EXPECT_EQ(table.Find(Ip("192.0.2.1"), At(milliseconds(200))), connected);
  EXPECT_FALSE(table.Find(Ip("192.0.2.2"), At(milliseconds(200)))
                   ->requests.Take(At(milliseconds(200)), rate))
      << "its bucket was forgotten";
}

TEST(PeerTable, WhenItIsFullTheRestShareOnePeerUntilThereIsRoom) {
  const RequestRate rate{.interval = std::chrono::seconds(100), .burst = 1};
  PeerTable table;
  for (size_t i = 0; i < PeerTable::kPeersMax; ++i) {
    table.Find(Numbered(i), At(milliseconds(0)))->requests.Take(At(milliseconds(0)), rate);
  }
  const auto one = table.Find(Ip("192.0.2.1"), At(milliseconds(10)));
  EXPECT_EQ(table.Find(Ip("192.0.2.2"), At(milliseconds(10))), one);
  // Once the buckets are full again, the table forgets them and has room.
  const auto later = At(std::chrono::seconds(200));
  EXPECT_NE(table.Find(Ip("192.0.2.1"), later), table.Find(Ip("192.0.2.2"), later));
}

}  // namespace
}  // namespace bsockd
