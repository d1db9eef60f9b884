// TimerWheel: a worker's timers. Arming and cancelling are O(1) and allocate nothing.
//
// A hierarchical wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987): level 0
// has a slot a millisecond, each level above one for 64 slots of the level below. A timer stands on
// the level of the highest group of six bits in which its tick differs from the present one; so
// every timer of a lower level is due before any of a higher one.
//
// Thread: its worker's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "lib/base/clock.h"
#include "lib/io/io.h"

namespace bsockd {

// One timer, embedded in what it belongs to. Must not move while armed, and is cancelled before it
// is destroyed.
class Timer {
 public:
  explicit Timer(Slot owner) : owner_(owner) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const { return next_ != nullptr; }
  Slot owner() const { return owner_; }

 private:
  friend class TimerWheel;
  Timer() : owner_(0), prev_(this), next_(this) {}  // The head of an empty list.

  const Slot owner_;
  Timer* prev_ = nullptr;
  Timer* next_ = nullptr;
  uint64_t tick_ = 0;
};

class TimerWheel {
 public:
  explicit TimerWheel(MonotonicTime now) : origin_(now) {}
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Fires at the first Advance() to `deadline` or later, never before, up to a millisecond late.
  // An armed timer is armed anew.
  void Arm(Timer* timer, MonotonicTime deadline);
  // Nothing happens if it is not armed.
  void Cancel(Timer* timer);

  // When Advance() should be called next, or nullopt without timers. May be earlier than the
  // earliest timer.
  std::optional<MonotonicTime> NextDeadline() const;

  // Calls `fire(Timer&)` for each timer that is due, in the order of their ticks; it is no longer
  // armed then. `fire` may arm and cancel any timer. `now` never goes back. After `fires_max` of
  // them the others wait for the next Advance(), for which NextDeadline() is due at once.
  template <typename Fire>
  void Advance(MonotonicTime now, size_t fires_max, Fire fire) {
    const uint64_t target = FloorTick(now);
    for (std::optional<Position> next = Earliest(); next && next->tick <= target;
         next = Earliest()) {
      now_tick_ = next->tick;
      Timer& head = slots_[next->level][next->index];
      if (next->level == 0) {
        while (head.next_ != &head) {
          if (fires_max-- == 0) return;
          Timer* due = head.next_;
          Cancel(due);
          fire(*due);
        }
      } else {
        Cascade(&head);
      }
    }
    if (target > now_tick_) now_tick_ = target;
  }

 private:
  static constexpr int kBits = 6;
  static constexpr int kSlots = 1 << kBits;
  static constexpr int kLevels = 7;  // 2^42 milliseconds: 139 years.
  static constexpr Duration kTick = std::chrono::milliseconds(1);

  struct Position {
    int level;
    int index;
    uint64_t tick;  // When the slot begins.
  };

  uint64_t FloorTick(MonotonicTime time) const;
  Position PositionOf(uint64_t tick) const;
  std::optional<Position> Earliest() const;
  void Insert(Timer* timer);
  void Cascade(Timer* head);

  const MonotonicTime origin_;
  uint64_t now_tick_ = 0;
  Timer slots_[kLevels][kSlots];
  std::array<uint64_t, kLevels> occupied_{};  // A bit a slot.
};

}  // namespace bsockd
