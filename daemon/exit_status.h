// What bsockd's exit status means; sysexits.h has the numbers.
#pragma once

#include <sysexits.h>

namespace bsockd {

inline constexpr int kExitOk = EX_OK;                   // 0: served, and drained when asked to
inline constexpr int kExitUsage = EX_USAGE;             // 64: the command line is wrong
inline constexpr int kExitCannotBind = EX_UNAVAILABLE;  // 69: an address is not to be had
inline constexpr int kExitOperatingSystem = EX_OSERR;   // 71: threads, descriptors, io_uring
inline constexpr int kExitConfiguration = EX_CONFIG;    // 78: the configuration is wrong

}  // namespace bsockd
