#include "lib/server/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace bsockd {

uint64_t TimerWheel::FloorTick(MonotonicTime time) const {
  return time <= origin_ ? 0 : static_cast<uint64_t>((time - origin_) / kTick);
}

TimerWheel::Position TimerWheel::PositionOf(uint64_t tick) const {
  const uint64_t differing = tick ^ now_tick_;
  const int highest_bit = 63 - std::countl_zero(differing | 1);
  const int level = std::min(highest_bit / kBits, kLevels - 1);
  const int index = static_cast<int>(tick >> (level * kBits)) & (kSlots - 1);
  return {level, index, tick};
}

void TimerWheel::Insert(Timer* timer) {
  const Position at = PositionOf(timer->tick_);
  Timer& head = slots_[at.level][at.index];
  timer->prev_ = head.prev_;
  timer->next_ = &head;
  head.prev_->next_ = timer;
  head.prev_ = timer;
  occupied_[at.level] |= uint64_t{1} << at.index;
}

void TimerWheel::Arm(Timer* timer, MonotonicTime deadline) {
  Cancel(timer);
  // Rounded up so as not to fire early, and never into the slot that is being emptied.
  const uint64_t tick = FloorTick(deadline + kTick - Duration(1));
  timer->tick_ = std::max(tick, now_tick_ + 1);
  Insert(timer);
}

void TimerWheel::Cancel(Timer* timer) {
  if (!timer->armed()) return;
  if (timer->prev_ == timer->next_) {
    // It is alone in its slot: `prev_` is the slot's head. The timer's level cannot be computed
    // from its tick any more, since now_tick_ has moved, but the head's place in the array tells.
    const auto at = static_cast<size_t>(timer->prev_ - &slots_[0][0]);
    occupied_[at / kSlots] &= ~(uint64_t{1} << (at % kSlots));
  }
  timer->prev_->next_ = timer->next_;
  timer->next_->prev_ = timer->prev_;
  timer->prev_ = nullptr;
  timer->next_ = nullptr;
}

std::optional<TimerWheel::Position> TimerWheel::Earliest() const {
  for (int level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const int index = std::countr_zero(occupied_[level]);
    const int shift = level * kBits;
    // The groups above this level are those of the present tick, the groups below are zero.
    const uint64_t above = now_tick_ >> (shift + kBits) << (shift + kBits);
    return Position{level, index, above | static_cast<uint64_t>(index) << shift};
  }
  return std::nullopt;
}

std::optional<MonotonicTime> TimerWheel::NextDeadline() const {
  const std::optional<Position> next = Earliest();
  if (!next) return std::nullopt;
  return origin_ + static_cast<int64_t>(next->tick) * kTick;
}

void TimerWheel::Cascade(Timer* head) {
  while (head->next_ != head) {
    Timer* timer = head->next_;
    Cancel(timer);
    // A timer that is due at this very tick goes to level 0, whose slot is emptied next.
    Insert(timer);
  }
}

}  // namespace bsockd
