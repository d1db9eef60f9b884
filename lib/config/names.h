// The words of the configuration language for the enumerations of config.h.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "lib/config/config.h"

namespace bsockd {

template <typename T>
struct Name {
  std::string_view name;
  T value;
};

inline constexpr Name<IoBackend> kIoBackendNames[] = {
    {"auto", IoBackend::kAuto}, {"io_uring", IoBackend::kIoUring}, {"epoll", IoBackend::kEpoll}};
inline constexpr Name<LogLevel> kLogLevelNames[] = {{"trace", LogLevel::kTrace},
                                                    {"debug", LogLevel::kDebug},
                                                    {"info", LogLevel::kInfo},
                                                    {"warn", LogLevel::kWarn},
                                                    {"error", LogLevel::kError}};
inline constexpr Name<LogFormat> kLogFormatNames[] = {
    {"auto", LogFormat::kAuto}, {"text", LogFormat::kText}, {"json", LogFormat::kJson}};
inline constexpr Name<Builtin> kBuiltinNames[] = {{"echo", Builtin::kEcho},
                                                  {"upper", Builtin::kUpper},
                                                  {"discard", Builtin::kDiscard},
                                                  {"time", Builtin::kTime}};
inline constexpr Name<FramingConfig::AtEof> kAtEofNames[] = {
    {"deliver", FramingConfig::AtEof::kDeliver}, {"discard", FramingConfig::AtEof::kDiscard}};

// The value called `name`, or nothing.
template <typename T, size_t N>
std::optional<T> FromName(const Name<T> (&names)[N], std::string_view name) {
  for (const Name<T>& entry : names) {
    if (entry.name == name) return entry.value;
  }
  return std::nullopt;
}

// What `value` is called.
template <typename T, size_t N>
std::string_view NameOf(const Name<T> (&names)[N], T value) {
  for (const Name<T>& entry : names) {
    if (entry.value == value) return entry.name;
  }
  return {};
}

}  // namespace bsockd
