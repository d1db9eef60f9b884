#include "daemon/limit_report.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "lib/base/log_event.h"
#include "lib/base/text.h"

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

void Tell(const ListenerMetrics& listener, Counter counter, bool enforced, uint64_t more,
          spdlog::logger& log) {
  const auto [family, reason] = NameOf(counter);
  std::string_view what = WhatHappened(family);
  if (reason == "reply") what = "replies lost";
  if (!enforced && !reason.empty() && what.empty()) what = "connections held";
  // An end that the client or the stop has brought about is no news.
  if (what.empty() || reason == "reset" || reason == "stop") return;
  LogEvent(log, family == "cut" && enforced ? spdlog::level::info : spdlog::level::warn,
           {.listener = listener.name(), .reason = reason},
           fmt::format("listener {}: {} {} by {}{}", listener.name(), more, what, reason,
                       enforced ? "" : ", had it been enforced"));
}

}  // namespace

void LimitReport::Log(MonotonicTime now, spdlog::logger& log) {
  if (now < next_) return;
  next_ = now + kReportInterval;
  LogRest(log);
}

void LimitReport::LogRest(spdlog::logger& log) {
  decltype(told_) told;
  for (const auto& listener : metrics_.listeners()) {
    auto& counts = told[listener->name()];
    const auto& before = told_[listener->name()];
    for (size_t at = 0; at < counts.size(); ++at) {
      const bool enforced = at % 2 == 0;
      const auto counter = static_cast<Counter>(at / 2);
      const uint64_t count = listener->Sum(counter, enforced);
      counts[at] = count;
      // A listener that was removed, and is there again, has begun anew.
      const uint64_t more = count >= before[at] ? count - before[at] : count;
      if (more > 0) Tell(*listener, counter, enforced, more, log);
    }
  }
  told_ = std::move(told);
}

void LogMetrics(const Metrics& metrics, spdlog::logger& log) {
  const std::string text = metrics.Text();
  for (const std::string_view line : Lines(text)) {
    if (!line.ends_with(" 0")) log.info("{}", line);
  }
}

}  // namespace bsockd
