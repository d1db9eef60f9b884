// The handlers that need no code of the user's.
#pragma once

#include <memory>
#include <string>

#include "lib/config/config.h"
#include "lib/handler/handler.h"
#include "lib/metrics/metrics.h"

namespace bsockd {

// The same reply to every request.
std::unique_ptr<const Handler> MakeReplyHandler(std::string reply);

// echo: the request; upper: the request with ASCII letters in upper case; discard: an empty reply;
// time: the present time, RFC 3339 in UTC with milliseconds; stats: Metrics::Text(), which is not
// cheap. `metrics` outlives the handler; only `stats` uses it.
std::unique_ptr<const Handler> MakeBuiltinHandler(Builtin builtin, const Metrics* metrics);

}  // namespace bsockd
