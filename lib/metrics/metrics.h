// Metrics: what the server counts, by listener.
//
// Each counter has one writing thread, so counting is a load and a store without any lock or locked
// instruction; whoever reads adds up the threads' shares. A number that is read may be a moment
// old.
//
// Thread: a Block is written by its thread only; everything is read by any. Metrics has a lock for
// the list of listeners, which a reload changes; no request needs it.
#pragma once

#include <absl/base/thread_annotations.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/mutex.h"

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

// What is counted of one listener.
class ListenerMetrics {
 public:
  // One thread's share. The lines of the cache are its own.
  class alignas(64) Block {
   public:
    // `enforced` false: it would have happened, had the limit been enforced.
    void Add(Counter counter, bool enforced = true) {
      std::atomic<uint64_t>& value = values_[enforced ? 0 : 1][static_cast<size_t>(counter)];
      value.store(value.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

   private:
    friend class ListenerMetrics;
    std::array<std::array<std::atomic<uint64_t>, kCounters>, 2> values_{};
  };

  // `threads`: how many write.
  ListenerMetrics(std::string name, size_t threads) : name_(std::move(name)), blocks_(threads) {}
  ListenerMetrics(const ListenerMetrics&) = delete;
  ListenerMetrics& operator=(const ListenerMetrics&) = delete;

  const std::string& name() const { return name_; }
  Block& At(size_t thread) { return blocks_[thread]; }
  uint64_t Sum(Counter counter, bool enforced = true) const;
  // Connections that are open now.
  uint64_t Connections() const;

 private:
  const std::string name_;
  std::vector<Block> blocks_;
};

class Metrics {
 public:
  // `threads`: how many write.
  explicit Metrics(size_t threads) : threads_(threads) {}
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Those of the listener of that name; they begin with 0 if there are none.
  std::shared_ptr<ListenerMetrics> Of(const std::string& listener);
  // Of all listeners, in the order in which they came.
  std::vector<std::shared_ptr<const ListenerMetrics>> listeners() const;
  // Forgets those that nobody but this object has any more: of listeners that a reload has removed,
  // once their last connection is gone.
  void ForgetUnused();

  // Bytes of the buffers of all connections. Every worker adds what has changed, once a turn.
  std::atomic<int64_t>& buffer_bytes() { return buffer_bytes_; }

  // Everything, one `name value` a line, in the names and the form of Prometheus' text format:
  // `bsockd_refused_total{listener="main",reason="max_connections"} 3`. Counters of limits that
  // are not enforced are `bsockd_shadow_refused_total` and so on.
  std::string Text() const;

 private:
  const size_t threads_;
  mutable Mutex mutex_;
  std::vector<std::shared_ptr<ListenerMetrics>> listeners_ ABSL_GUARDED_BY(mutex_);
  std::atomic<int64_t> buffer_bytes_{0};
  const MonotonicTime started_ = std::chrono::steady_clock::now();
};

}  // namespace bsockd
