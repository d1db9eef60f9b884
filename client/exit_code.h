// What bsock's exit status says. The numbers are those of sysexits.h, where it has one.
#pragma once

namespace bsockd {

inline constexpr int kExitOk = 0;            // Every request was answered.
inline constexpr int kExitUnanswered = 1;    // Some request was not, or a reply went nowhere.
inline constexpr int kExitUsage = 64;        // EX_USAGE
inline constexpr int kExitUnavailable = 69;  // EX_UNAVAILABLE: could not connect.

}  // namespace bsockd
