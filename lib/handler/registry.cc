#include "lib/handler/registry.h"

#include <utility>

#include "lib/handler/builtin.h"

namespace bsockd {

std::unique_ptr<const Handler> MakeHandler(const HandlerConfig& config, RequestLog* request_log,
                                           const Metrics* metrics) {
  std::unique_ptr<const Handler> handler = config.reply.has_value()
                                               ? MakeReplyHandler(*config.reply)
                                               : MakeBuiltinHandler(*config.builtin, metrics);
  if (config.log_requests) return LogRequests(std::move(handler), request_log);
  return handler;
}

}  // namespace bsockd
