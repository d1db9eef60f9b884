#include "lib/metrics/metrics.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

namespace bsockd {
namespace {

constexpr CounterName kNames[kCounters] = {
    {"connections", ""},
    {"connections_closed", ""},
    {"requests", ""},
    {"failed", ""},
    {"refused", "server_max_connections"},
    {"refused", "max_connections"},
    {"refused", "max_connections_per_ip"},
    {"refused", "memory_limit"},
    {"refused", "allow"},
    {"refused", "deny"},
    {"refused", "peer"},
    {"cut", "first_byte"},
    {"cut", "frame"},
    {"cut", "idle"},
    {"cut", "write"},
    {"cut", "max_requests"},
    {"cut", "max_frame"},
    {"cut", "malformed"},
    {"cut", "truncated"},
    {"cut", "reset"},
    {"cut", "stop"},
    {"shed", "requests_per_second"},
    {"shed", "max_frame"},
    {"shed", "memory_limit"},
    {"shed", "allow"},
    {"shed", "deny"},
    {"shed", "peer"},
    {"shed", "reply"},
    {"held", "output_high"},
    {"held", "max_pipeline"},
    {"held", "memory_limit"},
};

}  // namespace

CounterName NameOf(Counter counter) { return kNames[static_cast<size_t>(counter)]; }

uint64_t ListenerMetrics::Sum(Counter counter, bool enforced) const {
  uint64_t sum = 0;
  for (const Block& block : blocks_) {
    sum += block.values_[enforced ? 0 : 1][static_cast<size_t>(counter)].load(
        std::memory_order_relaxed);
  }
  return sum;
}

uint64_t ListenerMetrics::Connections() const {
  // Closed first: a connection that closes in between must not make the difference negative.
  const uint64_t closed = Sum(Counter::kConnectionsClosed);
  return Sum(Counter::kConnections) - closed;
}

std::shared_ptr<ListenerMetrics> Metrics::Of(const std::string& listener) {
  MutexLock lock(mutex_);
  for (const auto& known : listeners_) {
    if (known->name() == listener) return known;
  }
  listeners_.push_back(std::make_shared<ListenerMetrics>(listener, threads_));
  return listeners_.back();
}

std::vector<std::shared_ptr<const ListenerMetrics>> Metrics::listeners() const {
  MutexLock lock(mutex_);
  return {listeners_.begin(), listeners_.end()};
}

void Metrics::ForgetUnused() {
  MutexLock lock(mutex_);
  std::erase_if(listeners_, [](const auto& metrics) { return metrics.use_count() == 1; });
}

std::string Metrics::Text() const {
  std::string text;
  const auto out = std::back_inserter(text);
  const auto uptime = std::chrono::steady_clock::now() - started_;
  fmt::format_to(out, "bsockd_uptime_seconds {}\n",
                 std::chrono::duration_cast<std::chrono::seconds>(uptime).count());
  fmt::format_to(out, "bsockd_buffer_bytes {}\n", buffer_bytes_.load(std::memory_order_relaxed));
  const auto all = listeners();
  for (const auto& listener : all) {
    fmt::format_to(out, "bsockd_connections{{listener=\"{}\"}} {}\n", listener->name(),
                   listener->Connections());
  }
  for (const bool enforced : {true, false}) {
    for (size_t c = 0; c < kCounters; ++c) {
      const auto [family, reason] = kNames[c];
      if (!enforced && reason.empty()) continue;  // Not a limit.
      for (const auto& listener : all) {
        fmt::format_to(out, "bsockd_{}{}_total{{listener=\"{}\"{}{}{}}} {}\n",
                       enforced ? "" : "shadow_", family, listener->name(),
                       reason.empty() ? "" : ",reason=\"", reason, reason.empty() ? "" : "\"",
                       listener->Sum(static_cast<Counter>(c), enforced));
      }
    }
  }
  text.pop_back();
  return text;
}

}  // namespace bsockd
