// PeerTable: what a listener knows of its clients' addresses, for the limits that hold for an
// address and not for a connection.
//
// Thread: any. The table has a lock, which is taken once a connection, or once a batch of datagrams
// from an address that the worker has not seen lately; never once a request of a connection. A Peer
// has none.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "lib/base/clock.h"
#include "lib/base/mutex.h"
#include "lib/net/ip.h"

namespace bsockd {

// So many requests a second, and so many at once after a rest.
struct RequestRate {
  Duration interval;  // Between two requests at full rate.
  int burst;          // At least 1.
};

// A token bucket in one number (ITU-T I.371, "generic cell rate algorithm"): the time at which it
// will be full again. Full at first. Any thread.
class TokenBucket {
 public:
  // Takes a token if there is one.
  bool Take(MonotonicTime now, const RequestRate& rate);
  bool IsFull(MonotonicTime now) const;

 private:
  std::atomic<int64_t> full_at_{INT64_MIN};  // Nanoseconds of the monotonic clock.
};

// One client address. Shared by its connections; any thread.
struct Peer {
  // Connections that are open. The acceptor adds, the connections' ends take away.
  std::atomic<int> connections{0};
  TokenBucket requests;
  TokenBucket complaints;  // Datagrams that tell it that it has asked too often.

  // Whether nothing is to be remembered of it.
  bool AtRest(MonotonicTime now) const;
};

class PeerTable {
 public:
  // Addresses above this many share one Peer, so that a flood of addresses costs no memory.
  static constexpr size_t kPeersMax = 65536;

  // The Peer of `address`; all of an IPv6 /64 are one, because a client has as many addresses of
  // its own there as it likes (RFC 6177).
  std::shared_ptr<Peer> Find(const IpAddress& address, MonotonicTime now);

 private:
  struct Key {
    uint64_t bits;
    bool v6;
    bool operator==(const Key&) const = default;
    template <typename H>
    friend H AbslHashValue(H hash, const Key& key) {
      return H::combine(std::move(hash), key.bits, key.v6);
    }
  };

  void Sweep(MonotonicTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  absl::flat_hash_map<Key, std::shared_ptr<Peer>> peers_ ABSL_GUARDED_BY(mutex_);
  size_t sweep_at_ ABSL_GUARDED_BY(mutex_) = 1024;
  MonotonicTime next_sweep_ ABSL_GUARDED_BY(mutex_) = MonotonicTime::min();
  const std::shared_ptr<Peer> overflow_ = std::make_shared<Peer>();
};

}  // namespace bsockd
