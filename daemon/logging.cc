#include "daemon/logging.h"

#include <absl/container/inlined_vector.h>
#include <absl/time/time.h>
#include <fmt/format.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/sink.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "lib/base/line_writer.h"
#include "lib/base/log_event.h"

namespace bsockd {
namespace {

std::string_view LevelName(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
      return "trace";
    case spdlog::level::debug:
      return "debug";
    case spdlog::level::info:
      return "info";
    case spdlog::level::warn:
      return "warn";
    default:
      return "error";
  }
}

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

std::string Timestamp(const spdlog::details::log_msg& message) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromChrono(message.time),
                          absl::UTCTimeZone());
}

std::string_view Text(const spdlog::details::log_msg& message) {
  return {message.payload.data(), message.payload.size()};
}

// syslog(3)
std::string_view Priority(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return "7";
    case spdlog::level::info:
      return "6";
    case spdlog::level::warn:
      return "4";
    default:
      return "3";
  }
}

// What all sinks have in common: they write at once, and have one form. Thread: any.
class LogSink : public spdlog::sinks::sink, public EventSink {
 public:
  void log(const spdlog::details::log_msg& message) final { LogEvent(message, {}); }
  void flush() final {}
  void set_pattern(const std::string&) final {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) final {}
};

class TextSink final : public LogSink {
 public:
  void LogEvent(const spdlog::details::log_msg& message, const LogFields&) override {
    writer_.Write(
        fmt::format("{} {:<5} {}\n", Timestamp(message), LevelName(message.level), Text(message)));
  }

 private:
  LineWriter writer_{STDERR_FILENO};
};

class JsonSink final : public LogSink {
 public:
  void LogEvent(const spdlog::details::log_msg& message, const LogFields& fields) override {
    nlohmann::ordered_json object = {{"time", Timestamp(message)},
                                     {"level", LevelName(message.level)},
                                     {"message", Text(message)}};
    const auto add = [&](const char* name, std::string_view value) {
      if (!value.empty()) object[name] = value;
    };
    add("message_id", fields.message_id);
    add("listener", fields.listener);
    add("peer", fields.peer);
    add("reason", fields.reason);
    // Messages may quote bytes that are not UTF-8; JSON has none.
    writer_.Write(object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }

 private:
  LineWriter writer_{STDERR_FILENO};
};

// What the journal does not take goes to standard error, as text.
class JournalSink final : public LogSink {
 public:
  explicit JournalSink(std::string_view socket_path) : journal_(socket_path) {}

  void LogEvent(const spdlog::details::log_msg& message, const LogFields& fields) override {
    absl::InlinedVector<JournalField, 7> entry = {{"MESSAGE", Text(message)},
                                                  {"PRIORITY", Priority(message.level)},
                                                  {"SYSLOG_IDENTIFIER", "bsockd"}};
    const auto add = [&](std::string_view name, std::string_view value) {
      if (!value.empty()) entry.push_back({name, value});
    };
    add("MESSAGE_ID", fields.message_id);
    add("LISTENER", fields.listener);
    add("PEER", fields.peer);
    add("REASON", fields.reason);
    if (!journal_.Write(entry)) text_.LogEvent(message, fields);
  }

 private:
  JournalWriter journal_;
  TextSink text_;
};

std::shared_ptr<spdlog::sinks::sink> MakeSink(LogFormat format, std::string_view journal_socket) {
  if (format == LogFormat::kJson) return std::make_shared<JsonSink>();
  if (format == LogFormat::kAuto && IsJournal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"))) {
    return std::make_shared<JournalSink>(journal_socket);
  }
  return std::make_shared<TextSink>();
}

}  // namespace

std::unique_ptr<spdlog::logger> MakeLogger(const LogConfig& config,
                                           std::string_view journal_socket) {
  auto logger = std::make_unique<spdlog::logger>("bsockd", MakeSink(config.format, journal_socket));
  SetLevel(config.level, logger.get());
  return logger;
}

void SetLevel(LogLevel level, spdlog::logger* log) { log->set_level(SpdlogLevel(level)); }

}  // namespace bsockd
