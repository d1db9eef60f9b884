// DrainSchedule: when each of a crowd of connections is to begin its end. Their clients will all
// come back, here or elsewhere; so the idle ones are not sent away in one moment, but one a
// millisecond, or faster where that would take too long. Those that are amid something begin at
// once, since they have the longest way.
//
// Thread: its worker's.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

#include "lib/base/clock.h"
#include "lib/server/connection_table.h"

namespace bsockd {

// Of the time for a drain, what idle connections may take to be sent away.
inline constexpr int kSpreadPart = 4;

class DrainSchedule {
 public:
  // For connections `wanted(const Connection&)` of `table`, from `now` on. The idle ones are spread
  // over `spread_max` at most. Those that are still there after `grace` are to be cut; without it
  // that is somebody else's business.
  template <typename Wanted>
  DrainSchedule(ConnectionTable& table, MonotonicTime now, Duration spread_max,
                std::optional<Duration> grace, Wanted wanted)
      : begun_at_(now), ends_at_(grace ? now + *grace : MonotonicTime::max()) {
    std::vector<ConnectionId> idle;
    table.ForEach([&](const Connection& connection) {
      if (wanted(connection)) (connection.idle() ? idle : connections_).push_back(connection.id());
    });
    busy_ = connections_.size();
    connections_.insert(connections_.end(), idle.begin(), idle.end());
    spread_ = std::min<Duration>(spread_max, kInterval * idle.size());
  }

  // Calls `begin(Connection&)` for those whose time has come and that are still there.
  template <typename Begin>
  void Advance(MonotonicTime now, ConnectionTable& table, Begin begin) {
    while (next_ < connections_.size() && BeginsAt(next_) <= now) {
      if (Connection* connection = table.Find(connections_[next_++])) begin(*connection);
    }
  }

  // Calls `cut(Connection&)` for those that are still there when the grace is over.
  template <typename Cut>
  void CutRest(MonotonicTime now, ConnectionTable& table, Cut cut) {
    if (now < ends_at_) return;
    for (const ConnectionId id : connections_) {
      if (Connection* connection = table.Find(id)) cut(*connection);
    }
    connections_.clear();
    next_ = 0;
  }

  // When to look again; MonotonicTime::max() where all is done.
  MonotonicTime next() const {
    if (connections_.empty()) return MonotonicTime::max();
    return next_ < connections_.size() ? BeginsAt(next_) : ends_at_;
  }

 private:
  static constexpr Duration kInterval = std::chrono::milliseconds(1);

  MonotonicTime BeginsAt(size_t i) const {
    if (i < busy_) return begun_at_;
    const size_t idle = connections_.size() - busy_;
    return begun_at_ + spread_ / static_cast<int64_t>(idle) * static_cast<int64_t>(i - busy_);
  }

  MonotonicTime begun_at_;
  MonotonicTime ends_at_;
  Duration spread_{0};                     // Of the idle ones.
  std::vector<ConnectionId> connections_;  // Busy ones, then idle ones.
  size_t busy_ = 0;
  size_t next_ = 0;  // The first that has not begun.
};

}  // namespace bsockd
