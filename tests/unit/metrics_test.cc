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
  Metrics metrics({"a", "b"}, 3);
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&metrics, thread] {
      for (int i = 0; i < 1000; ++i) metrics.At(thread, 1).Add(Counter::kRequests);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(metrics.Sum(1, Counter::kRequests), 3000u);
  EXPECT_EQ(metrics.Sum(0, Counter::kRequests), 0u);
  EXPECT_EQ(metrics.Sum(1, Counter::kFailed), 0u);
}

TEST(Metrics, WhatIsNotEnforcedIsCountedApart) {
  Metrics metrics({"main"}, 1);
  metrics.At(0, 0).Add(Counter::kCutIdle);
  metrics.At(0, 0).Add(Counter::kCutIdle, /*enforced=*/false);
  metrics.At(0, 0).Add(Counter::kCutIdle, /*enforced=*/false);
  EXPECT_EQ(metrics.Sum(0, Counter::kCutIdle), 1u);
  EXPECT_EQ(metrics.Sum(0, Counter::kCutIdle, /*enforced=*/false), 2u);
  const std::string text = metrics.Text();
  EXPECT_NE(text.find("\nbsockd_cut_total{listener=\"main\",reason=\"idle\"} 1\n"), text.npos);
  EXPECT_NE(text.find("\nbsockd_shadow_cut_total{listener=\"main\",reason=\"idle\"} 2\n"),
            text.npos);
}

TEST(Metrics, TheTextIsANameAndAValueALineAndNoNameTwice) {
  Metrics metrics({"main", "other-1"}, 2);
  metrics.At(0, 0).Add(Counter::kConnections);
  metrics.At(0, 0).Add(Counter::kConnections);
  metrics.At(1, 0).Add(Counter::kConnectionsClosed);
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
