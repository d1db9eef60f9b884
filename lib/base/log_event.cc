#include "lib/base/log_event.h"

#include <spdlog/sinks/sink.h>

namespace bsockd {

void LogEvent(spdlog::logger& log, spdlog::level::level_enum level, const LogFields& fields,
              std::string_view text) {
  if (!log.should_log(level)) return;
  const spdlog::details::log_msg message(log.name(), level, {text.data(), text.size()});
  for (const spdlog::sink_ptr& sink : log.sinks()) {
    if (!sink->should_log(level)) continue;
    if (auto* events = dynamic_cast<EventSink*>(sink.get())) {
      events->LogEvent(message, fields);
    } else {
      sink->log(message);
    }
  }
}

}  // namespace bsockd
