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
                                                  {"time", Builtin::kTime},
                                                  {"stats", Builtin::kStats}};
inline constexpr Name<Protected> kProtectedNames[] = {
    {"off", Protected::kOff}, {"warn", Protected::kWarn}, {"strict", Protected::kStrict}};
inline constexpr Name<FramingConfig::AtEof> kAtEofNames[] = {
    {"deliver", FramingConfig::AtEof::kDeliver}, {"discard", FramingConfig::AtEof::kDiscard}};
inline constexpr Name<FramingConfig::Overlong> kOverlongNames[] = {
    {"close", FramingConfig::Overlong::kClose}, {"skip", FramingConfig::Overlong::kSkip}};
// For booleans of config.h: reply_errors and little_endian.
inline constexpr Name<bool> kErrorsNames[] = {{"reply", true}, {"close", false}};
inline constexpr Name<bool> kEndianNames[] = {{"big", false}, {"little", true}};

// The fields that `length` has a word for: no bytes before them, and nothing but the payload
// behind.
struct LengthPreset {
  std::string_view name;
  int width;
  bool little_endian;
};
inline constexpr LengthPreset kLengthPresets[] = {
    {"u8", 1, false},    {"u16be", 2, false}, {"u16le", 2, true},
    {"u24be", 3, false}, {"u24le", 3, true},  {"u32be", 4, false},
    {"u32le", 4, true},  {"u64be", 8, false}, {"u64le", 8, true}};
inline constexpr LengthFieldConfig FieldOf(const LengthPreset& preset) {
  LengthFieldConfig field;
  field.width = preset.width;
  field.little_endian = preset.little_endian;
  field.strip = static_cast<size_t>(preset.width);
  field.in_replies = true;
  return field;
}

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
