// Lines of the log with fields: in the journal they are fields, in JSON members; text leaves them
// out, so the text says it all.
#pragma once

#include <spdlog/details/log_msg.h>
#include <spdlog/logger.h>

#include <string_view>

namespace bsockd {

// Empty ones are left out.
struct LogFields {
  std::string_view message_id = {};  // One of lib/base/message_ids.h.
  std::string_view listener = {};    // Its name in the configuration.
  std::string_view peer = {};        // Whom the client's address names.
  std::string_view reason = {};      // One word: a limit, a signal, an error of errno(3).
};

// A sink of spdlog that knows what to do with fields.
class EventSink {
 public:
  virtual ~EventSink() = default;
  // As spdlog's log(), by any thread. Nothing that it is given outlives the call.
  virtual void LogEvent(const spdlog::details::log_msg& message, const LogFields& fields) = 0;
};

// Writes `text` with `fields` to the sinks of `log`, now and in this thread; spdlog has no place
// for fields in a message, so the sinks are asked directly. Those that are no EventSink get the
// text.
void LogEvent(spdlog::logger& log, spdlog::level::level_enum level, const LogFields& fields,
              std::string_view text);

}  // namespace bsockd
