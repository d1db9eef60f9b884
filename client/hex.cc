#include "client/hex.h"

#include <fmt/format.h>

#include "lib/base/text.h"

namespace bsockd {
namespace {

// -1 for what is no digit.
int DigitValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

absl::Status Fault(size_t index, std::string_view what) {
  return absl::InvalidArgumentError(ToAbsl(fmt::format(
      "character {}: {} (hex is pairs of digits, as in 0a ff or 0A:FF)", index + 1, what)));
}

std::string Shown(char c) {
  std::string shown = "\"";
  AppendEscaped(std::string_view(&c, 1), 1, &shown);
  return shown + "\"";
}

}  // namespace

absl::StatusOr<std::string> FromHex(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ' || text[i] == ':') continue;
    const int high = DigitValue(text[i]);
    if (high < 0) return Fault(i, fmt::format("{} is no hex digit", Shown(text[i])));
    const size_t next = i + 1;
    if (next == text.size() || text[next] == ' ' || text[next] == ':') {
      return Fault(i, fmt::format("the digit {} stands alone", Shown(text[i])));
    }
    const int low = DigitValue(text[next]);
    if (low < 0) return Fault(next, fmt::format("{} is no hex digit", Shown(text[next])));
    bytes.push_back(static_cast<char>(high * 16 + low));
    i = next;
  }
  return bytes;
}

std::string ToHex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    text.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    text.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return text;
}

}  // namespace bsockd
