#include "lib/server/timer_wheel.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <vector>

namespace bsockd {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr size_t kAll = 1000;

class TimerWheelTest : public testing::Test {
 protected:
  MonotonicTime At(milliseconds offset) const { return start_ + offset; }
  // The owners of the timers that fire when the clock reaches `now`.
  std::vector<Slot> FiredBy(MonotonicTime now) {
    std::vector<Slot> fired;
    wheel_.Advance(now, kAll, [&](Timer& timer) { fired.push_back(timer.owner()); });
    return fired;
  }

  const MonotonicTime start_{std::chrono::hours(1000)};
  TimerWheel wheel_{start_};
  Timer a_{1};
  Timer b_{2};
  Timer c_{3};
};

TEST_F(TimerWheelTest, FiresNotBeforeItsTimeAndAtMostAMillisecondAfter) {
  wheel_.Arm(&a_, At(milliseconds(200)));
  EXPECT_TRUE(FiredBy(At(milliseconds(199))).empty());
  EXPECT_TRUE(a_.armed());
  EXPECT_EQ(FiredBy(At(milliseconds(200))), std::vector<Slot>{1});
  EXPECT_FALSE(a_.armed());
}

TEST_F(TimerWheelTest, ADeadlineBetweenTicksIsRoundedUp) {
  const MonotonicTime deadline = At(milliseconds(5)) + std::chrono::microseconds(1);
  wheel_.Arm(&a_, deadline);
  EXPECT_TRUE(FiredBy(deadline - Duration(1)).empty());
  EXPECT_EQ(FiredBy(At(milliseconds(6))), std::vector<Slot>{1});
}

TEST_F(TimerWheelTest, ADeadlineInThePastFiresAtTheNextTick) {
  FiredBy(At(milliseconds(50)));
  wheel_.Arm(&a_, At(milliseconds(10)));
  EXPECT_EQ(FiredBy(At(milliseconds(51))), std::vector<Slot>{1});
}

TEST_F(TimerWheelTest, FiresInTheOrderOfTheDeadlines) {
  wheel_.Arm(&c_, At(milliseconds(70000)));
  wheel_.Arm(&a_, At(milliseconds(3)));
  wheel_.Arm(&b_, At(milliseconds(4100)));
  EXPECT_EQ(FiredBy(At(milliseconds(100000))), (std::vector<Slot>{1, 2, 3}));
}

TEST_F(TimerWheelTest, ACancelledTimerDoesNotFire) {
  wheel_.Arm(&a_, At(milliseconds(10)));
  wheel_.Arm(&b_, At(milliseconds(10)));
  wheel_.Cancel(&a_);
  EXPECT_FALSE(a_.armed());
  EXPECT_EQ(FiredBy(At(milliseconds(20))), std::vector<Slot>{2});
  wheel_.Cancel(&a_);  // Nothing happens.
}

TEST_F(TimerWheelTest, ArmingAgainMovesTheDeadline) {
  wheel_.Arm(&a_, At(milliseconds(10)));
  wheel_.Arm(&a_, At(milliseconds(300)));
  EXPECT_TRUE(FiredBy(At(milliseconds(299))).empty());
  EXPECT_EQ(FiredBy(At(milliseconds(300))), std::vector<Slot>{1});
}

TEST_F(TimerWheelTest, WithoutTimersThereIsNoDeadline) {
  EXPECT_FALSE(wheel_.NextDeadline().has_value());
  wheel_.Arm(&a_, At(milliseconds(10)));
  EXPECT_TRUE(wheel_.NextDeadline().has_value());
  wheel_.Cancel(&a_);
  EXPECT_FALSE(wheel_.NextDeadline().has_value());
}

TEST_F(TimerWheelTest, FollowingTheDeadlinesReachesAFarTimerInAFewSteps) {
  const MonotonicTime deadline = start_ + hours(24 * 365);
  wheel_.Arm(&a_, deadline);
  int steps = 0;
  while (a_.armed()) {
    const MonotonicTime next = *wheel_.NextDeadline();
    ASSERT_LE(next, deadline);
    FiredBy(next);
    ASSERT_LE(++steps, 8);
  }
}

TEST_F(TimerWheelTest, FiringMayArmAndCancelOthers) {
  wheel_.Arm(&a_, At(milliseconds(10)));
  wheel_.Arm(&b_, At(milliseconds(10)));
  std::vector<Slot> fired;
  wheel_.Advance(At(milliseconds(100)), kAll, [&](Timer& timer) {
    fired.push_back(timer.owner());
    wheel_.Cancel(&b_);
    if (fired.size() == 1) wheel_.Arm(&a_, At(milliseconds(50)));
  });
  EXPECT_EQ(fired, (std::vector<Slot>{1, 1}));
}

TEST_F(TimerWheelTest, FiresNoMoreThanItIsToldAndTheRestAtOnceNextTime) {
  wheel_.Arm(&a_, At(milliseconds(10)));
  wheel_.Arm(&b_, At(milliseconds(10)));
  wheel_.Arm(&c_, At(milliseconds(20)));
  std::vector<Slot> fired;
  const auto fire = [&](Timer& timer) { fired.push_back(timer.owner()); };
  wheel_.Advance(At(milliseconds(100)), 1, fire);
  EXPECT_EQ(fired, (std::vector<Slot>{1}));
  EXPECT_LE(*wheel_.NextDeadline(), At(milliseconds(100)));
  // One that is armed meanwhile has its own time.
  wheel_.Arm(&a_, At(milliseconds(150)));
  wheel_.Advance(At(milliseconds(100)), 1, fire);
  wheel_.Advance(At(milliseconds(100)), 1, fire);
  EXPECT_EQ(fired, (std::vector<Slot>{1, 2, 3}));
  EXPECT_EQ(FiredBy(At(milliseconds(149))), std::vector<Slot>{});
  EXPECT_EQ(FiredBy(At(milliseconds(150))), std::vector<Slot>{1});
}

// Against a sorted map, with random arming, cancelling and steps of the clock.
TEST_F(TimerWheelTest, AgreesWithASortedMap) {
  const char* given = std::getenv("BSOCKD_SEED");
  const unsigned seed =
      given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device()();
  SCOPED_TRACE(testing::Message() << "BSOCKD_SEED=" << seed);
  std::mt19937 random(seed);
  std::vector<std::unique_ptr<Timer>> timers;
  for (Slot i = 0; i < 50; ++i) timers.push_back(std::make_unique<Timer>(i));
  std::map<Slot, MonotonicTime> armed;
  MonotonicTime now = start_;
  for (int step = 0; step < 20000; ++step) {
    const Slot slot = random() % 50;
    const int scale = 1 << random() % 24;
    if (random() % 3 > 0) {
      const MonotonicTime deadline = now + std::chrono::microseconds(1 + random() % (scale * 100u));
      wheel_.Arm(timers[slot].get(), deadline);
      armed[slot] = deadline;
    } else if (random() % 2 == 0) {
      wheel_.Cancel(timers[slot].get());
      armed.erase(slot);
    }
    now += std::chrono::microseconds(random() % (1 << random() % 22));
    for (const Slot fired : FiredBy(now)) {
      ASSERT_TRUE(armed.count(fired)) << "step " << step;
      ASSERT_LE(armed[fired], now);
      armed.erase(fired);
    }
    for (const auto& [late, deadline] : armed) {
      ASSERT_GT(deadline + milliseconds(1), now) << "slot " << late << " is late, step " << step;
    }
  }
  for (auto& timer : timers) wheel_.Cancel(timer.get());
}

}  // namespace
}  // namespace bsockd
