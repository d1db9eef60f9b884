// From a handler's configuration to the handler.
#pragma once

#include <memory>

#include "lib/config/config.h"
#include "lib/handler/handler.h"
#include "lib/handler/request_log.h"
#include "lib/metrics/metrics.h"

namespace bsockd {

// `config` has been validated by the loader. `request_log` and `metrics` outlive the handler.
std::unique_ptr<const Handler> MakeHandler(const HandlerConfig& config, RequestLog* request_log,
                                           const Metrics* metrics);

}  // namespace bsockd
