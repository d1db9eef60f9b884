// Measuring how long things take, and telling the figures.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/integration/process.h"

namespace bsockd::integration {

using Microseconds = std::chrono::microseconds;

inline Microseconds Since(Clock::time_point start) {
  return std::chrono::duration_cast<Microseconds>(Clock::now() - start);
}

// The smallest value that `share` (above 0, at most 1) of `times`, of which there is one at least,
// do not exceed.
inline Microseconds Percentile(std::vector<Microseconds> times, double share) {
  std::sort(times.begin(), times.end());
  const auto rank = static_cast<size_t>(share * static_cast<double>(times.size()) + 0.999999);
  return times[std::min(std::max<size_t>(rank, 1), times.size()) - 1];
}
inline Microseconds Median(const std::vector<Microseconds>& times) {
  return Percentile(times, 0.5);
}

// A figure that was measured, for the test's log: `Tell("median wait", "1.2 ms")`.
inline void Tell(const std::string& what, const std::string& figure) {
  testing::Test::RecordProperty(what, figure);
  std::printf("[ MEASURED ] %s: %s\n", what.c_str(), figure.c_str());
}
inline void Tell(const std::string& what, Microseconds time) {
  Tell(what, fmt::format("{:.3f} ms", static_cast<double>(time.count()) / 1000));
}

}  // namespace bsockd::integration
