#include "lib/handler/request_log.h"

#include <absl/time/clock.h>
#include <absl/time/time.h>

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "lib/base/text.h"

namespace bsockd {
namespace {

// Bytes shown of a request. An escape is at most four bytes in text and six in JSON, so that a line
// stays within LineWriter::kLineBytesMax.
constexpr size_t kTextBytesMax = 1000;
constexpr size_t kJsonBytesMax = 600;

class LoggingHandler final : public Handler {
 public:
  LoggingHandler(std::unique_ptr<const Handler> handler, RequestLog* log)
      : handler_(std::move(handler)), log_(log) {}

  absl::Status Handle(const Request& request, Reply& reply) const override {
    log_->Write(request);
    return handler_->Handle(request, reply);
  }

 private:
  const std::unique_ptr<const Handler> handler_;
  RequestLog* const log_;
};

}  // namespace

void RequestLog::Write(const Request& request) {
  std::string line;
  if (json_) {
    const nlohmann::ordered_json object = {
        {"time", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone())},
        {"level", "info"},
        {"message", "request"},
        {"listener", request.listener},
        {"request", request.payload.substr(0, kJsonBytesMax)},
        {"bytes", request.payload.size()}};
    line = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  } else {
    line = "SERVER: I received this from the client: \"";
    AppendEscaped(request.payload, kTextBytesMax, &line);
    line += '"';
  }
  line += '\n';
  writer_.Write(line);
}

std::unique_ptr<const Handler> LogRequests(std::unique_ptr<const Handler> handler,
                                           RequestLog* log) {
  return std::make_unique<LoggingHandler>(std::move(handler), log);
}

}  // namespace bsockd
