// Listener: an address's service, as the workers and the acceptor see it. Immutable, shared by all
// threads; lives as long as the last connection that came in by it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/clock.h"
#include "lib/config/config.h"
#include "lib/framing/framer.h"
#include "lib/handler/handler.h"
#include "lib/metrics/metrics.h"
#include "lib/server/admission.h"
#include "lib/server/peer_table.h"

namespace bsockd {

struct Listener {
  std::string name;
  std::shared_ptr<ListenerMetrics> metrics;
  FramingConfig framing;
  std::optional<FramingConfig> reply_framing;
  std::unique_ptr<const Framer> framer;
  std::unique_ptr<const Framer> own_reply_framer;  // Null: replies are framed as requests are.
  std::shared_ptr<const Handler> handler;
  LimitsConfig limits;
  TimeoutsConfig timeouts;
  std::optional<Duration> flush_after;
  bool reply_errors = true;
  std::optional<RequestRate> request_rate;
  // Null where no limit holds for an address. The table has a lock of its own.
  std::shared_ptr<PeerTable> peers;
  Admission admission;

  const Framer& reply_framer() const { return own_reply_framer ? *own_reply_framer : *framer; }
  // Whether a connection can go over from this one to `other` between any two bytes.
  bool FramesLike(const Listener& other) const;
};

// Appends `ERR <code> <text>` as a reply that ends with `ending`, cut where the framing has no room
// for all of it.
void AppendErrorFrame(const Framer& framer, FrameEnding ending, std::string_view code,
                      std::string_view text, std::string* out);

}  // namespace bsockd
