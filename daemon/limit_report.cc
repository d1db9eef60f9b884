#include "daemon/limit_report.h"

#include <string>
#include <string_view>
#include <utility>

namespace bsockd {
namespace {

// Of what is worth a line of its own. Held connections are not: that is how a fast client and a
// slow one meet.
std::string_view WhatHappened(std::string_view family) {
  if (family == "refused") return "connections refused";
  if (family == "cut") return "connections ended";
  if (family == "shed") return "requests not executed";
  return {};
}

}  // namespace

LimitReport::LimitReport(const Metrics& metrics)
    : metrics_(metrics), told_(metrics.listeners().size() * kCounters * 2) {}

void LimitReport::Log(MonotonicTime now, spdlog::logger& log) {
  if (now < next_) return;
  next_ = now + kReportInterval;
  LogRest(log);
}

void LimitReport::LogRest(spdlog::logger& log) {
  size_t at = 0;
  for (size_t listener = 0; listener < metrics_.listeners().size(); ++listener) {
    for (size_t c = 0; c < kCounters; ++c) {
      for (const bool enforced : {true, false}) {
        const auto [family, reason] = NameOf(static_cast<Counter>(c));
        const uint64_t count = metrics_.Sum(listener, static_cast<Counter>(c), enforced);
        const uint64_t more = count - std::exchange(told_[at++], count);
        std::string_view what = WhatHappened(family);
        if (reason == "reply") what = "replies lost";
        if (!enforced && !reason.empty() && what.empty()) what = "connections held";
        if (more == 0 || what.empty()) continue;
        // An end that the client or the stop has brought about is no news.
        if (reason == "reset" || reason == "stop") continue;
        log.log(family == "cut" && enforced ? spdlog::level::info : spdlog::level::warn,
                "listener {}: {} {} by {}{}", metrics_.listeners()[listener], more, what, reason,
                enforced ? "" : ", had it been enforced");
      }
    }
  }
}

void LogMetrics(const Metrics& metrics, spdlog::logger& log) {
  const std::string text = metrics.Text();
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    if (!line.ends_with(" 0")) log.info("{}", line);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  }
}

}  // namespace bsockd
