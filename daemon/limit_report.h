// LimitReport: tells the log what the limits, timeouts and lists have done: at most one line a
// second for each of them and each listener, however often it was.
#pragma once

#include <spdlog/logger.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "lib/base/clock.h"
#include "lib/metrics/metrics.h"

namespace bsockd {

inline constexpr Duration kReportInterval = std::chrono::seconds(1);

// Thread: control.
class LimitReport {
 public:
  // `metrics` outlives the object.
  explicit LimitReport(const Metrics& metrics) : metrics_(metrics) {}

  // Logs what has happened since the last lines, unless these are younger than kReportInterval.
  void Log(MonotonicTime now, spdlog::logger& log);
  // The same, however young these are: for the end.
  void LogRest(spdlog::logger& log);

 private:
  const Metrics& metrics_;
  // By listener: each counter, enforced and not.
  std::map<std::string, std::array<uint64_t, kCounters * 2>> told_;
  MonotonicTime next_ = MonotonicTime::min();
};

// Every counter that is not 0, a line each.
void LogMetrics(const Metrics& metrics, spdlog::logger& log);

}  // namespace bsockd
