// The scalar types of the configuration language: durations, sizes, modes, numbers, strings.
//
// Pure functions. The messages of their errors say what would be right, short enough to stand in
// parentheses behind what was written; the caller names the place and the text.
#pragma once

#include <absl/status/statusor.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/clock.h"

namespace bsockd {

// `200ms`, `5s`, `2m`, `1h`: a whole number and a unit.
// Errors: InvalidArgument for what is no duration, OutOfRange outside `min` to `max`.
absl::StatusOr<Duration> ParseDuration(std::string_view text, Duration min, Duration max);
// In the largest unit that is exact; parts of a millisecond are rounded up. Never negative.
std::string FormatDuration(Duration duration);

// `512` (bytes), `64KiB`, `1MiB`, `1GiB`: a whole number, perhaps with a unit.
// Errors: InvalidArgument for what is no size, OutOfRange outside `min` to `max`.
absl::StatusOr<size_t> ParseSize(std::string_view text, size_t min, size_t max);
// In the largest unit that is exact.
std::string FormatSize(size_t bytes);

// Permission bits in octal, with or without a leading 0: `0660`.
// Errors: InvalidArgument for what is not octal, OutOfRange above 0777.
absl::StatusOr<mode_t> ParseMode(std::string_view text);
std::string FormatMode(mode_t mode);

// Decimal. Errors: InvalidArgument for what is no number, OutOfRange outside `min` to `max`.
absl::StatusOr<int64_t> ParseInteger(std::string_view text, int64_t min, int64_t max);

// `true` or `false`, as YAML 1.2 has them (section 10.3.2). Errors: InvalidArgument.
absl::StatusOr<bool> ParseBool(std::string_view text);

// What YAML 1.2's core schema (section 10.3.2) makes of a scalar without quotes.
enum class PlainType : uint8_t { kString, kNumber, kBool };
PlainType PlainTypeOf(std::string_view text);

// `text` as a double-quoted YAML scalar on one line. Line ends, control characters and what a
// reader could not see are escaped. A byte that is not UTF-8 cannot be written in YAML and becomes
// U+FFFD.
std::string QuoteYaml(std::string_view text);

}  // namespace bsockd
