#include "lib/config/scalars.h"

#include <absl/status/status.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>
#include <utility>

#include "lib/base/text.h"
#include "lib/base/utf8.h"

namespace bsockd {
namespace {

template <typename T>
struct Unit {
  std::string_view name;
  T value;
};

// From small to large.
constexpr Unit<Duration> kDurationUnits[] = {{"ms", std::chrono::milliseconds(1)},
                                             {"s", std::chrono::seconds(1)},
                                             {"m", std::chrono::minutes(1)},
                                             {"h", std::chrono::hours(1)}};
constexpr Unit<uint64_t> kSizeUnits[] = {
    {"", 1}, {"KiB", uint64_t{1} << 10}, {"MiB", uint64_t{1} << 20}, {"GiB", uint64_t{1} << 30}};

absl::Status Invalid(std::string_view hint) { return absl::InvalidArgumentError(ToAbsl(hint)); }
absl::Status OutOfRange(std::string_view hint) { return absl::OutOfRangeError(ToAbsl(hint)); }

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes digits off the front. A number too large for its type is the largest one, which is out of
// every range.
uint64_t TakeDigits(std::string_view* text) {
  const size_t count = std::find_if_not(text->begin(), text->end(), IsDigit) - text->begin();
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + count, number);
  if (error == std::errc::result_out_of_range) number = std::numeric_limits<uint64_t>::max();
  text->remove_prefix(count);
  return number;
}

// number * unit, or the largest value.
uint64_t Multiply(uint64_t number, uint64_t unit) {
  uint64_t product;
  if (__builtin_mul_overflow(number, unit, &product)) return std::numeric_limits<uint64_t>::max();
  return product;
}

std::string Lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

// The unit that somebody meant who wrote `unit`, or empty: 64K, 64kb, 64 KiB.
std::string_view MeantSizeUnit(std::string_view unit) {
  std::string lower = Lower(unit);
  std::erase(lower, ' ');
  for (const Unit<uint64_t>& candidate : kSizeUnits) {
    if (candidate.name.empty()) continue;
    const std::string full = Lower(candidate.name);
    if (lower == full || lower == full.substr(0, 1) || lower == full.substr(0, 1) + "b") {
      return candidate.name;
    }
  }
  return {};
}

// Control characters, line and paragraph separators, bidirectional controls, byte order marks,
// noncharacters: what YAML forbids, folds, or a reader cannot see.
bool NeedsEscape(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0xA0) || (code >= 0x2028 && code <= 0x202E) ||
         (code >= 0x200B && code <= 0x200F) || (code >= 0x2066 && code <= 0x2069) ||
         code == 0xFEFF || code == 0xFFFE || code == 0xFFFF;
}

}  // namespace

absl::StatusOr<Duration> ParseDuration(std::string_view text, Duration min, Duration max) {
  constexpr std::string_view kExpected = "it is a whole number and a unit: ms, s, m or h";
  std::string_view unit = text;
  const uint64_t number = TakeDigits(&unit);
  if (unit.size() == text.size()) return Invalid(kExpected);
  if (unit.empty()) {
    return Invalid(fmt::format("a duration needs a unit: write {0}ms, {0}s, {0}m or {0}h", text));
  }
  const auto known = std::find_if(std::begin(kDurationUnits), std::end(kDurationUnits),
                                  [&](const auto& candidate) { return candidate.name == unit; });
  if (known == std::end(kDurationUnits)) return Invalid(kExpected);
  const uint64_t count = Multiply(number, static_cast<uint64_t>(known->value.count()));
  if (count < static_cast<uint64_t>(min.count()) || count > static_cast<uint64_t>(max.count())) {
    return OutOfRange(fmt::format("it is from {} to {}", FormatDuration(min), FormatDuration(max)));
  }
  return Duration(static_cast<Duration::rep>(count));
}

std::string FormatDuration(Duration duration) {
  const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(duration);
  if (rounded.count() == 0) return "0s";
  const Unit<Duration>* best = &kDurationUnits[0];
  for (const Unit<Duration>& unit : kDurationUnits) {
    if (rounded % unit.value == Duration::zero()) best = &unit;
  }
  return fmt::format("{}{}", rounded / best->value, best->name);
}

absl::StatusOr<size_t> ParseSize(std::string_view text, size_t min, size_t max) {
  constexpr std::string_view kExpected =
      "it is a whole number of bytes, or one with a unit: KiB, MiB or GiB";
  std::string_view unit = text;
  const uint64_t number = TakeDigits(&unit);
  if (unit.size() == text.size()) return Invalid(kExpected);
  const auto known = std::find_if(std::begin(kSizeUnits), std::end(kSizeUnits),
                                  [&](const auto& candidate) { return candidate.name == unit; });
  if (known == std::end(kSizeUnits)) {
    const std::string_view meant = MeantSizeUnit(unit);
    if (meant.empty()) return Invalid(kExpected);
    return Invalid(fmt::format("write {}{}", text.substr(0, text.size() - unit.size()), meant));
  }
  const uint64_t bytes = Multiply(number, known->value);
  if (bytes < min || bytes > max) {
    return OutOfRange(fmt::format("it is from {} to {}", FormatSize(min), FormatSize(max)));
  }
  return static_cast<size_t>(bytes);
}

std::string FormatSize(size_t bytes) {
  if (bytes == 0) return "0";
  const Unit<uint64_t>* best = &kSizeUnits[0];
  for (const Unit<uint64_t>& unit : kSizeUnits) {
    if (bytes % unit.value == 0) best = &unit;
  }
  return fmt::format("{}{}", bytes / best->value, best->name);
}

absl::StatusOr<mode_t> ParseMode(std::string_view text) {
  constexpr mode_t kModeMax = 0777;
  const bool octal =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '7'; });
  if (text.empty() || !octal) return Invalid("it is an octal number, such as 0660");
  uint32_t mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc() || mode > kModeMax) return OutOfRange("it is from 0000 to 0777");
  return static_cast<mode_t>(mode);
}

std::string FormatMode(mode_t mode) { return fmt::format("{:04o}", mode); }

absl::StatusOr<int64_t> ParseInteger(std::string_view text, int64_t min, int64_t max) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool too_large = error == std::errc::result_out_of_range;
  if ((error != std::errc() && !too_large) || end != text.data() + text.size()) {
    return Invalid(fmt::format("it is a whole number from {} to {}", min, max));
  }
  if (too_large || number < min || number > max) {
    return OutOfRange(fmt::format("it is from {} to {}", min, max));
  }
  return number;
}

absl::StatusOr<bool> ParseBool(std::string_view text) {
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  return Invalid("it is true or false");
}

PlainType PlainTypeOf(std::string_view text) {
  if (ParseBool(text).ok()) return PlainType::kBool;
  std::string_view rest = text;
  if (!rest.empty() && (rest.front() == '-' || rest.front() == '+')) rest.remove_prefix(1);
  const std::string lower = Lower(rest);
  if (lower == ".inf" || lower == ".nan") return PlainType::kNumber;
  if (rest.size() > 2 && (rest.substr(0, 2) == "0x" || rest.substr(0, 2) == "0o")) {
    const std::string_view digits = rest[1] == 'x' ? "0123456789abcdefABCDEF" : "01234567";
    const bool number = rest.find_first_not_of(digits, 2) == rest.npos;
    return number ? PlainType::kNumber : PlainType::kString;
  }
  const size_t whole = rest.size();
  TakeDigits(&rest);
  size_t digits = whole - rest.size();
  if (!rest.empty() && rest.front() == '.') {
    rest.remove_prefix(1);
    const size_t before = rest.size();
    TakeDigits(&rest);
    digits += before - rest.size();
  }
  if (digits == 0) return PlainType::kString;
  if (!rest.empty() && (rest.front() == 'e' || rest.front() == 'E')) {
    rest.remove_prefix(1);
    if (!rest.empty() && (rest.front() == '-' || rest.front() == '+')) rest.remove_prefix(1);
    if (rest.empty()) return PlainType::kString;
    TakeDigits(&rest);
  }
  return rest.empty() ? PlainType::kNumber : PlainType::kString;
}

std::string QuoteYaml(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const auto [code, bytes] = DecodeUtf8(text);
    if (bytes == 0) {
      out.append("\\ufffd");
      text.remove_prefix(1);
      continue;
    }
    if (code == '"' || code == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(code));
    } else if (code == '\n') {
      out.append("\\n");
    } else if (code == '\r') {
      out.append("\\r");
    } else if (code == '\t') {
      out.append("\\t");
    } else if (NeedsEscape(code)) {
      if (code < 0x100) {
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", code);
      } else {
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", code);
      }
    } else {
      out.append(text.substr(0, bytes));
    }
    text.remove_prefix(bytes);
  }
  out.push_back('"');
  return out;
}

}  // namespace bsockd
