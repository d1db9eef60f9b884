#include "lib/server/memory_limiter.h"

#include <algorithm>

namespace bsockd {
namespace {

// How often connections are looked through while memory is short.
constexpr Duration kLookInterval = std::chrono::milliseconds(1);
// This part of the limit is left to those who hold little.
constexpr size_t kSmallPart = 8;

}  // namespace

void MemoryLimiter::Tell(const Turn& turn) {
  if (turn.buffer_bytes == told_) return;
  total_.fetch_add(turn.buffer_bytes - told_, std::memory_order_relaxed);
  told_ = turn.buffer_bytes;
}

void MemoryLimiter::Govern(Turn& turn, ConnectionTable& connections) {
  Tell(turn);
  const auto total =
      static_cast<size_t>(std::max<int64_t>(total_.load(std::memory_order_relaxed), 0));
  if (limit_.enforce) {
    const size_t room = limit_.value - std::min(total, limit_.value);
    const size_t each = room / workers_ / std::max<size_t>(connections.size(), 1);
    turn.reply_bytes_max = std::clamp(each, kScarceReplyBytesMax, kTurnReplyBytesMax);
  }
  // A reload has said so.
  if (!limit_.enforce && holding_) ReleaseSome(turn, connections, SIZE_MAX);
  if (total <= limit_.value - limit_.value / kSmallPart) {
    above_ = false;
    if (holding_) ReleaseSome(turn, connections, limit_.value - total);
    return;
  }
  if (turn.now < next_look_) return;
  next_look_ = turn.now + kLookInterval;
  if (holding_) ReleaseSmall(turn, connections);
  if (total <= limit_.value) return;
  if (limit_.enforce || !above_) HoldLargest(turn, connections);
  above_ = true;
}

// As many as there are here, all with so much, have what is for those who hold little.
size_t MemoryLimiter::SmallBytes(const ConnectionTable& connections) const {
  return limit_.value / kSmallPart / workers_ / std::max<size_t>(connections.size(), 1);
}

void MemoryLimiter::ReleaseSmall(Turn& turn, ConnectionTable& connections) {
  const size_t small = SmallBytes(connections);
  connections.ForEach([&](Connection& connection) {
    if (connection.buffer_bytes() <= small) connection.ReleaseForMemory(turn);
  });
}

// Not all at once: together they would take more than there is.
void MemoryLimiter::ReleaseSome(Turn& turn, ConnectionTable& connections, size_t room) {
  size_t count = std::max<size_t>(room / workers_ / kTurnReplyBytesMax, 1);
  holding_ = false;
  connections.ForEach([&](Connection& connection) {
    if (!connection.held_for_memory()) return;
    if (count == 0) {
      holding_ = true;
    } else {
      --count;
      connection.ReleaseForMemory(turn);
    }
  });
}

// The largest that together have at least half of what may still grow here.
void MemoryLimiter::HoldLargest(Turn& turn, ConnectionTable& connections) {
  growing_.clear();
  size_t bytes = 0;
  const size_t small = SmallBytes(connections);
  connections.ForEach([&](Connection& connection) {
    if (!connection.can_grow() || connection.buffer_bytes() <= small) return;
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
