// The daemon's counters, as its `stats` handler gives them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace bsockd::integration {

using Counters = std::map<std::string, uint64_t>;

// From the text that the handler gives: `name value` on every line. Anything else in it fails the
// test.
Counters ParseCounters(const std::string& text);

// Asks at `address`, where a listener with `framing: line` and the handler `builtin: stats` is.
Counters ReadCounters(const std::string& address);

// `bsockd_FAMILY_total{listener="main",reason="REASON"}` of these; 0 where it is not among them.
uint64_t CountOf(const Counters& counters, std::string_view family, std::string_view reason);
// The same, asked for at once.
uint64_t ReadCount(const std::string& address, std::string_view family, std::string_view reason);

}  // namespace bsockd::integration
