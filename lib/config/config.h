// The configuration as the program sees it: plain structs, every field with its default. The
// language that users write is in docs/configuration.md; load.h reads it. Immutable once loaded.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/clock.h"
#include "lib/net/address.h"

namespace bsockd {

enum class IoBackend : uint8_t { kAuto, kIoUring, kEpoll };
enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarn, kError };
enum class LogFormat : uint8_t { kAuto, kText, kJson };
enum class Builtin : uint8_t { kEcho, kUpper, kDiscard, kTime };

struct ServerConfig {
  int workers = 0;  // Worker threads, 1 to kWorkersMax; 0 = as many as CPUs this process may use.
  IoBackend io = IoBackend::kAuto;
  int max_connections = 10000;  // All listeners together.
  Duration drain_timeout = std::chrono::seconds(30);
};

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kAuto;
};

// Exactly one of `reply` and `builtin` is set.
struct HandlerConfig {
  std::string name;
  std::optional<std::string> reply;  // The same reply to every request.
  std::optional<Builtin> builtin;
  bool log_requests = false;  // Print every request on standard output.
};

struct FramingConfig {
  enum class Kind : uint8_t {
    kLine,       // Up to LF, one CR before it dropped.
    kDelimiter,  // Up to any of `delimiters`.
    kRaw,        // What one read returned.
  };
  enum class AtEof : uint8_t { kDeliver, kDiscard };

  Kind kind = Kind::kLine;
  // kDelimiter: none empty, none twice, none with another one ending inside it before its own end.
  std::vector<std::string> delimiters;
  // kLine, kDelimiter: hand over an unterminated message after so long without a byte.
  std::optional<Duration> flush_after;
  AtEof eof = AtEof::kDeliver;  // What becomes of an unterminated tail at the end of input.
};

struct LimitsConfig {
  size_t max_frame = 1 << 20;      // Bytes of a request's payload.
  size_t output_high = 1 << 20;    // Bytes of replies waiting; reading stops from here on ...
  size_t output_low = 256 * 1024;  // ... and goes on when no more than this is left.
};

struct ListenerConfig {
  std::string name;
  std::vector<Address> listen;  // At least one.
  mode_t mode = 0660;           // Permissions of the unix:/path sockets.
  FramingConfig framing;
  std::string handler;  // The name of one of Config::handlers.
  LimitsConfig limits;
};

struct Config {
  ServerConfig server;
  LogConfig log;
  std::vector<HandlerConfig> handlers;    // Names are unique.
  std::vector<ListenerConfig> listeners;  // Names are unique; at least one.
};

// Bounds of the values above; the loader holds a file to them.
inline constexpr int kWorkersMax = 1024;
inline constexpr int kMaxConnectionsMax = 1 << 20;
inline constexpr size_t kDelimiterBytesMax = 64;
inline constexpr size_t kDelimitersMax = 16;
inline constexpr size_t kMaxFrameMax = 1 << 30;
inline constexpr size_t kOutputMarkMax = 1 << 30;
inline constexpr Duration kDurationMax = std::chrono::hours(24 * 365);

}  // namespace bsockd
