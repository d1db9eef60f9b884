// Listener: an address's service, as the workers see it. Immutable, shared by all threads; lives as
// long as the last connection that came in by it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "lib/base/clock.h"
#include "lib/config/config.h"
#include "lib/framing/framer.h"
#include "lib/handler/handler.h"

namespace bsockd {

struct Listener {
  std::string name;
  std::unique_ptr<const Framer> framer;
  std::shared_ptr<const Handler> handler;
  LimitsConfig limits;
  std::optional<Duration> flush_after;
};

}  // namespace bsockd
