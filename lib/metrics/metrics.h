// Metrics: what the server counts, by listener.
//
// Each counter has one writing thread, so counting is a load and a store without any lock or locked
// instruction; whoever reads adds up the threads' shares. A number that is read may be a moment
// old.
//
// Thread: a Block is written by its thread only; everything is read by any.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/clock.h"

namespace bsockd {

enum class Counter : uint8_t {
  kConnections,        // Admitted.
  kConnectionsClosed,  // Of those.
  kRequests,           // Given to the handler, datagrams among them.
  kFailed,             // Requests that the handler could not answer.
  // Connections that were not admitted.
  kRefusedServerConnections,
  kRefusedListenerConnections,
  kRefusedConnectionsPerIp,
  kRefusedMemory,
  kRefusedAllow,
  kRefusedDeny,
  kRefusedPeer,
  // Connections that were ended before their clients ended them.
  kCutFirstByte,
  kCutFrame,
  kCutIdle,
  kCutWrite,
  kCutMaxRequests,
  kCutMaxFrame,
  kCutMalformed,
  kCutTruncated,
  kCutReset,
  kCutStop,
  // Requests that were not given to the handler.
  kShedRequestsPerSecond,
  kShedMaxFrame,
  kShedMemory,
  kShedAllow,
  kShedDeny,
  kShedPeer,
  kShedReply,  // Datagrams that were answered, but the reply could not be sent.
  // Times that reading from a connection was held up.
  kHeldOutput,
  kHeldPipeline,
  kHeldMemory,
};
inline constexpr size_t kCounters = static_cast<size_t>(Counter::kHeldMemory) + 1;

// The family and the reason of a counter: {"refused", "max_connections"}. Counters without a reason
// have an empty one.
struct CounterName {
  std::string_view family;
  std::string_view reason;
};
CounterName NameOf(Counter counter);

class Metrics {
 public:
  // One thread's share for one listener. The lines of the cache are its own.
  class alignas(64) Block {
   public:
    // `enforced` false: it would have happened, had the limit been enforced.
    void Add(Counter counter, bool enforced = true) {
      std::atomic<uint64_t>& value = values_[enforced ? 0 : 1][static_cast<size_t>(counter)];
      value.store(value.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

   private:
    friend class Metrics;
    std::array<std::array<std::atomic<uint64_t>, kCounters>, 2> values_{};
  };

  // `threads`: how many write.
  Metrics(std::vector<std::string> listeners, size_t threads);
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  Block& At(size_t thread, size_t listener) {
    return blocks_[thread * listeners_.size() + listener];
  }

  const std::vector<std::string>& listeners() const { return listeners_; }
  size_t threads() const { return threads_; }
  uint64_t Sum(size_t listener, Counter counter, bool enforced = true) const;

  // Bytes of the buffers of all connections. Every worker adds what has changed, once a turn.
  std::atomic<int64_t>& buffer_bytes() { return buffer_bytes_; }

  // Everything, one `name value` a line, in the names and the form of Prometheus' text format:
  // `bsockd_refused_total{listener="main",reason="max_connections"} 3`. Counters of limits that
  // are not enforced are `bsockd_shadow_refused_total` and so on.
  std::string Text() const;

 private:
  const std::vector<std::string> listeners_;
  const size_t threads_;
  std::vector<Block> blocks_;
  std::atomic<int64_t> buffer_bytes_{0};
  const MonotonicTime started_;
};

}  // namespace bsockd
