// MemoryLimiter: holds a worker's connections to `server.memory_limit`.
//
// The buffers of all connections of all workers together may have so many bytes. Above that, each
// worker reads no more from its largest holders, the next largest, and so on, until enough has
// been given back; the acceptor refuses new connections meanwhile. A connection that is not read
// from keeps what it has: its replies still go out, what it has asked before is answered as these
// do, and its timeouts end it if it does not use them. Who holds little is not held up, and goes on
// once it holds little: so those who are not the cause are served as long as it lasts.
//
// What is noticed at the end of a turn has happened: so the less memory there is, the fewer bytes
// of replies a connection may make in one turn.
//
// Thread: its worker's; the total is shared, and each worker adds what has changed once a turn.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "lib/config/config.h"
#include "lib/server/connection_table.h"

namespace bsockd {

// While connections are held: how often to look whether there is memory again.
inline constexpr Duration kMemoryLookInterval = std::chrono::milliseconds(10);

class MemoryLimiter {
 public:
  // `total` outlives the object. `workers`: how many share the limit.
  MemoryLimiter(Limit<size_t> limit, size_t workers, std::atomic<int64_t>* total)
      : limit_(limit), workers_(workers), total_(*total) {}

  void set_limit(Limit<size_t> limit) { limit_ = limit; }

  // In each turn before replies are flushed: those that it lets go on may make some.
  void Govern(Turn& turn, ConnectionTable& connections);
  // At the end of each turn: adds what has changed to the total.
  void Tell(const Turn& turn);

  bool holding() const { return holding_; }

 private:
  void HoldLargest(Turn& turn, ConnectionTable& connections);
  size_t SmallBytes(const ConnectionTable& connections) const;
  void ReleaseSmall(Turn& turn, ConnectionTable& connections);
  void ReleaseSome(Turn& turn, ConnectionTable& connections, size_t room);

  Limit<size_t> limit_;
  const size_t workers_;
  std::atomic<int64_t>& total_;
  int64_t told_ = 0;  // This worker's part of the total.
  bool holding_ = false;
  bool above_ = false;
  MonotonicTime next_look_ = MonotonicTime::min();
  std::vector<Connection*> growing_;
};

}  // namespace bsockd
