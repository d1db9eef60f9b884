// Admission: a listener's lists of who may use it. Immutable; any thread.
#pragma once

#include <absl/status/statusor.h>

#include <optional>

#include "lib/config/config.h"
#include "lib/metrics/metrics.h"
#include "lib/net/access_list.h"
#include "lib/net/peer.h"

namespace bsockd {

class Admission {
 public:
  Admission() = default;  // Admits everyone.

  // Looks up the names of users and groups, and so may block.
  // Errors: InvalidArgument, naming the listener and the user or group that there is not.
  static absl::StatusOr<Admission> Make(const ListenerConfig& config);

  // Where one is not admitted, or would not be if the list were enforced, that is counted as
  // `deny`, `allow` or `peer`.
  bool Admits(const IpAddress& address, ListenerMetrics::Block& metrics, Counter deny,
              Counter allow) const;
  // Nothing is known of `peer` without a value; it is on no list.
  bool Admits(const std::optional<PeerCredentials>& peer, ListenerMetrics::Block& metrics,
              Counter counter) const;

  // Whether anyone at all is kept away, by address or by user.
  bool asks_address() const { return !allow_.empty() || !deny_.empty(); }
  bool asks_peer() const { return !peer_.empty(); }

 private:
  AccessList allow_;
  AccessList deny_;
  PeerList peer_;
  bool enforce_allow_ = true;
  bool enforce_deny_ = true;
  bool enforce_peer_ = true;
};

}  // namespace bsockd
