#include "lib/server/memory_limiter.h"

#include <algorithm>

namespace bsockd {
namespace {

// How often connections are looked through while the limit is exceeded.
constexpr Duration kHoldInterval = std::chrono::milliseconds(1);

}  // namespace

void MemoryLimiter::Govern(Turn& turn, ConnectionTable& connections) {
  if (turn.buffer_bytes != told_) {
    total_.fetch_add(turn.buffer_bytes - told_, std::memory_order_relaxed);
    told_ = turn.buffer_bytes;
  }
  const auto total =
      static_cast<size_t>(std::max<int64_t>(total_.load(std::memory_order_relaxed), 0));
  if (total > limit_.value) {
    if (turn.now < next_hold_) return;
    next_hold_ = turn.now + kHoldInterval;
    if (limit_.enforce || !above_) HoldLargest(turn, connections);
    above_ = true;
  } else if (total <= limit_.value - limit_.value / 8) {
    above_ = false;
    if (!holding_) return;
    holding_ = false;
    connections.ForEach([&](Connection& connection) { connection.ReleaseForMemory(turn); });
  }
}

// The largest that together have at least half of what may still grow here.
void MemoryLimiter::HoldLargest(Turn& turn, ConnectionTable& connections) {
  growing_.clear();
  size_t bytes = 0;
  connections.ForEach([&](Connection& connection) {
    if (!connection.can_grow() || connection.buffer_bytes() == 0) return;
    growing_.push_back(&connection);
    bytes += connection.buffer_bytes();
  });
  std::sort(growing_.begin(), growing_.end(), [](const Connection* a, const Connection* b) {
    return a->buffer_bytes() > b->buffer_bytes();
  });
  size_t held = 0;
  for (Connection* connection : growing_) {
    connection->HoldForMemory(turn, limit_.enforce);
    held += connection->buffer_bytes();
    if (!limit_.enforce || held * 2 >= bytes) break;
  }
  holding_ = limit_.enforce && (holding_ || !growing_.empty());
}

}  // namespace bsockd
