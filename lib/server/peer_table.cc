#include "lib/server/peer_table.h"

#include <algorithm>
#include <cstring>

namespace bsockd {
namespace {

constexpr size_t kSweepAtMin = 1024;
constexpr Duration kSweepInterval = std::chrono::seconds(1);  // When nothing is at rest.

int64_t Nanoseconds(MonotonicTime time) { return time.time_since_epoch().count(); }

}  // namespace

bool TokenBucket::Take(MonotonicTime now, const RequestRate& rate) {
  const int64_t latest = Nanoseconds(now) + (rate.burst - 1) * rate.interval.count();
  int64_t full_at = full_at_.load(std::memory_order_relaxed);
  for (;;) {
    const int64_t from = std::max(full_at, Nanoseconds(now));
    if (from > latest) return false;
    if (full_at_.compare_exchange_weak(full_at, from + rate.interval.count(),
                                       std::memory_order_relaxed)) {
      return true;
    }
  }
}

bool TokenBucket::IsFull(MonotonicTime now) const {
  return full_at_.load(std::memory_order_relaxed) <= Nanoseconds(now);
}

bool Peer::AtRest(MonotonicTime now) const {
  return connections.load(std::memory_order_relaxed) == 0 && requests.IsFull(now);
}

std::shared_ptr<Peer> PeerTable::Find(const IpAddress& address, MonotonicTime now) {
  Key key{0, address.v6};
  std::memcpy(&key.bits, address.bytes.data(), address.v6 ? 8 : 4);
  MutexLock lock(mutex_);
  if (const auto found = peers_.find(key); found != peers_.end()) return found->second;
  if (peers_.size() >= sweep_at_ && now >= next_sweep_) Sweep(now);
  if (peers_.size() >= kPeersMax) return overflow_;
  return peers_.emplace(key, std::make_shared<Peer>()).first->second;
}

// Forgets those at rest. The next sweep is due when the table has doubled, so that looking through
// it costs each new address a constant.
void PeerTable::Sweep(MonotonicTime now) {
  absl::erase_if(peers_, [now](const auto& entry) {
    // Held by the table alone: nobody is about to use it.
    return entry.second.use_count() == 1 && entry.second->AtRest(now);
  });
  sweep_at_ = std::clamp(peers_.size() * 2, kSweepAtMin, kPeersMax);
  next_sweep_ = now + kSweepInterval;
}

}  // namespace bsockd
