// The monotonic clock's types. Nobody reads the clock for himself: a worker gets `now` from its Io
// once a turn, and pure code is handed the time.
#pragma once

#include <chrono>

namespace bsockd {

using Duration = std::chrono::nanoseconds;
using MonotonicTime = std::chrono::steady_clock::time_point;

}  // namespace bsockd
