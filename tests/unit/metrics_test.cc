#include "lib/metrics/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bsockd {
namespace {

TEST(Metrics, TheThreadsSharesAreAddedUp) {
  Metrics metrics(3);
  const auto a = metrics.Of("a");
  const auto b = metrics.Of("b");
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&b, thread] {
      for (int i = 0; i < 1000; ++i) b->At(thread).Add(Counter::kRequests);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(b->Sum(Counter::kRequests), 3000u);
  EXPECT_EQ(a->Sum(Counter::kRequests), 0u);
  EXPECT_EQ(b->Sum(Counter::kFailed), 0u);
}

TEST(Metrics, WhatIsNotEnforcedIsCountedApart) {
  Metrics metrics(1);
  const auto main = metrics.Of("main");
  main->At(0).Add(Counter::kCutIdle);
  main->At(0).Add(Counter::kCutIdle, /*enforced=*/false);
  main->At(0).Add(Counter::kCutIdle, /*enforced=*/false);
  EXPECT_EQ(main->Sum(Counter::kCutIdle), 1u);
  EXPECT_EQ(main->Sum(Counter::kCutIdle, /*enforced=*/false), 2u);
  const std::string text = metrics.Text();
  EXPECT_NE(text.find("\nbsockd_cut_total{listener=\"main\",reason=\"idle\"} 1\n"), text.npos);
  EXPECT_NE(text.find("\nbsockd_shadow_cut_total{listener=\"main\",reason=\"idle\"} 2\n"),
            text.npos);
}

TEST(Metrics, TheTextIsANameAndAValueALineAndNoNameTwice) {
  Metrics metrics(2);
  const auto main = metrics.Of("main");
  const auto other = metrics.Of("other-1");
  main->At(0).Add(Counter::kConnections);
  main->At(0).Add(Counter::kConnections);
  main->At(1).Add(Counter::kConnectionsClosed);
  metrics.buffer_bytes() = 4096;
  std::istringstream lines(metrics.Text());
  std::set<std::string> names;
  for (std::string line; std::getline(lines, line);) {
    ASSERT_EQ(std::count(line.begin(), line.end(), ' '), 1) << line;
    const size_t space = line.find(' ');
    const std::string value = line.substr(space + 1);
    EXPECT_TRUE(!value.empty() && std::all_of(value.begin(), value.end(), ::isdigit)) << line;
    EXPECT_TRUE(names.insert(line.substr(0, space)).second) << "twice: " << line;
  }
  const std::string text = metrics.Text();
  EXPECT_NE(text.find("bsockd_connections{listener=\"main\"} 1\n"), text.npos) << text;
  EXPECT_NE(text.find("bsockd_buffer_bytes 4096\n"), text.npos) << text;
}

TEST(Metrics, AListenerIsForgottenWhenNobodyCountsForItAnyMore) {
  Metrics metrics(1);
  const auto stays = metrics.Of("stays");
  auto goes = metrics.Of("goes");
  goes->At(0).Add(Counter::kRequests);
  metrics.ForgetUnused();
  EXPECT_EQ(metrics.Of("goes"), goes) << "somebody has it still";
  goes.reset();
  metrics.ForgetUnused();
  ASSERT_EQ(metrics.listeners().size(), 1u);
  EXPECT_EQ(metrics.listeners()[0]->name(), "stays");
  EXPECT_EQ(metrics.Of("goes")->Sum(Counter::kRequests), 0u) << "it begins anew";
}

TEST(Metrics, EveryCounterHasAName) {
  std::set<std::pair<std::string, std::string>> names;
  for (size_t i = 0; i < kCounters; ++i) {
    const CounterName name = NameOf(static_cast<Counter>(i));
    EXPECT_FALSE(name.family.empty());
    EXPECT_TRUE(names.emplace(name.family, name.reason).second) << name.family << name.reason;
  }
}

}  // namespace
}  // namespace bsockd
