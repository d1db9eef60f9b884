#include "lib/server/admission.h"

#include <fmt/format.h>

#include <utility>

#include "lib/base/text.h"

namespace bsockd {

absl::StatusOr<Admission> Admission::Make(const ListenerConfig& config) {
  Admission result;
  result.allow_ = AccessList(config.allow.value);
  result.deny_ = AccessList(config.deny.value);
  absl::StatusOr<PeerList> peer = PeerList::Find(config.peer.value.users, config.peer.value.groups);
  if (!peer.ok()) {
    return absl::InvalidArgumentError(
        ToAbsl(fmt::format("listener {}: peer: {}", config.name, MessageOf(peer.status()))));
  }
  result.peer_ = *std::move(peer);
  result.enforce_allow_ = config.allow.enforce;
  result.enforce_deny_ = config.deny.enforce;
  result.enforce_peer_ = config.peer.enforce;
  return result;
}

bool Admission::Admits(const IpAddress& address, ListenerMetrics::Block& metrics, Counter deny,
                       Counter allow) const {
  if (deny_.Contains(address)) {
    metrics.Add(deny, enforce_deny_);
    if (enforce_deny_) return false;
  }
  if (!allow_.empty() && !allow_.Contains(address)) {
    metrics.Add(allow, enforce_allow_);
    if (enforce_allow_) return false;
  }
  return true;
}

bool Admission::Admits(const std::optional<PeerCredentials>& peer, ListenerMetrics::Block& metrics,
                       Counter counter) const {
  if (peer ? peer_.Allows(*peer) : peer_.empty()) return true;
  metrics.Add(counter, enforce_peer_);
  return !enforce_peer_;
}

}  // namespace bsockd
