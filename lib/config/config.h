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
#include "lib/net/ip.h"

namespace bsockd {

enum class IoBackend : uint8_t { kAuto, kIoUring, kEpoll };
enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarn, kError };
enum class LogFormat : uint8_t { kAuto, kText, kJson };
enum class Builtin : uint8_t { kEcho, kUpper, kDiscard, kTime, kStats };
// What becomes of a listener that the network can reach and that has no list of who may connect.
enum class Protected : uint8_t { kOff, kWarn, kStrict };

// A bound on what clients may do. With `enforce` false it is only tried out: what goes beyond it is
// counted and logged, and let pass.
template <typename T>
struct Limit {
  T value{};
  bool enforce = true;

  bool operator==(const Limit&) const = default;
};

struct ServerConfig {
  int workers = 0;  // Worker threads, 1 to kWorkersMax; 0 = as many as CPUs this process may use.
  IoBackend io = IoBackend::kAuto;
  Limit<int> max_connections{10000};            // All listeners together.
  Limit<size_t> memory_limit{size_t{1} << 30};  // Bytes of buffers, all connections together.
  Duration drain_timeout = std::chrono::seconds(30);
  Protected protection = Protected::kWarn;  // `server.protected`
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

// A length in front of the bytes that it counts, with the meaning of Netty's
// LengthFieldBasedFrameDecoder: a whole frame has offset + width + (the number read) + adjust
// bytes, of which the first `strip` are not part of the payload.
struct LengthFieldConfig {
  int width = 4;  // Bytes of the number: 1, 2, 3, 4 or 8. Unsigned.
  bool little_endian = false;
  size_t offset = 0;   // Bytes before the number.
  int64_t adjust = 0;  // May be negative.
  size_t strip = 0;    // Bytes.
  // Replies are a number of this width and the payload (u32be, packet: 4); otherwise the handler's
  // bytes as they are.
  bool in_replies = false;

  bool operator==(const LengthFieldConfig&) const = default;
};

struct FramingConfig {
  enum class Kind : uint8_t {
    kLine,       // Up to LF, one CR before it dropped.
    kDelimiter,  // Up to any of `delimiters`.
    kLength,     // A length, as `length` says, and what it counts. Also `packet: N`.
    kNetstring,  // `5:hello,`
    kVarint,     // A length as a protobuf varint of at most 5 bytes, then so many bytes.
    kFixed,      // `fixed_bytes` each.
    kRaw,        // What one read returned.
  };
  enum class AtEof : uint8_t { kDeliver, kDiscard };
  enum class Overlong : uint8_t { kClose, kSkip };

  Kind kind = Kind::kLine;
  // kDelimiter: none empty, none twice, none with another one ending inside it before its own end.
  std::vector<std::string> delimiters;
  LengthFieldConfig length;  // kLength.
  size_t fixed_bytes = 0;    // kFixed; at least 1.
  // kLine, kDelimiter: hand over an unterminated message after so long without a byte.
  std::optional<Duration> flush_after;
  AtEof eof = AtEof::kDeliver;  // What becomes of an unterminated tail at the end of input.
  Overlong overlong = Overlong::kClose;  // The connection's fate after a frame over max_frame.

  bool operator==(const FramingConfig&) const = default;
};

// 0 stands for `off` where it is allowed.
struct LimitsConfig {
  Limit<int> max_connections{10000};  // Of this listener; by default what the server may have.
  // Of one client address (IPv6: of its /64); by default what the server may have.
  Limit<int> max_connections_per_ip{10000};
  Limit<size_t> max_frame{1 << 20};    // Bytes of a request's payload.
  Limit<int> max_pipeline{128};        // Requests of a connection whose replies have not left.
  Limit<size_t> output_high{1 << 20};  // Bytes of replies waiting; reading stops from here on ...
  size_t output_low = 256 * 1024;      // ... and goes on when no more than this is left.
  Limit<int> requests_per_second{0};   // Of one client address; 0 = off.
  int requests_burst = 0;              // At once, after a rest; 0 = as many as in one second.
  Limit<int64_t> max_requests{0};      // Of one connection, which closes then; 0 = off.

  bool operator==(const LimitsConfig&) const = default;
};

struct TimeoutsConfig {
  Limit<Duration> first_byte{std::chrono::seconds(30)};  // From accept to the first byte.
  Limit<Duration> frame{std::chrono::seconds(10)};       // From a frame's first byte to its last.
  Limit<Duration> idle{std::chrono::minutes(5)};         // Between requests.
  Limit<Duration> write{std::chrono::seconds(30)};       // Output stuck without progress.

  bool operator==(const TimeoutsConfig&) const = default;
};

// Who may connect to a Unix socket: names or numbers. Both empty: everyone who has the file's
// permission; otherwise one whose user or one of whose groups is listed.
struct PeerConfig {
  std::vector<std::string> users;   // `uid`
  std::vector<std::string> groups;  // `gid`

  bool operator==(const PeerConfig&) const = default;
};

struct ListenerConfig {
  std::string name;
  std::vector<Address> listen;  // At least one.
  mode_t mode = 0660;           // Permissions of the unix:/path and unixgram:/path sockets.
  FramingConfig framing;
  std::optional<FramingConfig> reply_framing;  // Where replies are framed otherwise.
  std::string handler;                         // The name of one of Config::handlers.
  LimitsConfig limits;
  TimeoutsConfig timeouts;
  bool reply_errors = true;  // `errors`: an error frame is sent, or else the connection closes.
  Limit<std::vector<CidrBlock>> allow;  // Empty = all.
  Limit<std::vector<CidrBlock>> deny;   // Wins over `allow`.
  Limit<PeerConfig> peer;
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
inline constexpr size_t kLengthOffsetMax = 1024;
inline constexpr size_t kLengthStripMax = 2048;
inline constexpr int64_t kLengthAdjustMax = int64_t{1} << 30;  // And its negative.
inline constexpr int kMaxPipelineMax = 1 << 20;
inline constexpr int kRequestsPerSecondMax = 1000000000;
inline constexpr int64_t kMaxRequestsMax = int64_t{1} << 53;
inline constexpr size_t kMemoryLimitMin = 1 << 20;
inline constexpr size_t kMemoryLimitMax = size_t{1} << 40;
inline constexpr size_t kAccessListMax = 10000;  // Entries of one list.
inline constexpr Duration kDurationMax = std::chrono::hours(24 * 365);

}  // namespace bsockd
