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

Metrics::Metrics(std::vector<std::string> listeners, size_t threads)
    : listeners_(std::move(listeners)),
      threads_(threads),
      blocks_(listeners_.size() * threads),
      started_(std::chrono::steady_clock::now()) {}

uint64_t Metrics::Sum(size_t listener, Counter counter, bool enforced) const {
  uint64_t sum = 0;
  for (size_t thread = 0; thread < threads_; ++thread) {
    const Block& block = blocks_[thread * listeners_.size() + listener];
    sum += block.values_[enforced ? 0 : 1][static_cast<size_t>(counter)].load(
        std::memory_order_relaxed);
  }
  return sum;
}

std::string Metrics::Text() const {
  std::string text;
  const auto out = std::back_inserter(text);
  const auto uptime = std::chrono::steady_clock::now() - started_;
  fmt::format_to(out, "bsockd_uptime_seconds {}\n",
                 std::chrono::duration_cast<std::chrono::seconds>(uptime).count());
  fmt::format_to(out, "bsockd_buffer_bytes {}\n", buffer_bytes_.load(std::memory_order_relaxed));
  for (size_t i = 0; i < listeners_.size(); ++i) {
    // Closed first: a connection that closes in between must not make the difference negative.
    const uint64_t closed = Sum(i, Counter::kConnectionsClosed);
    fmt::format_to(out, "bsockd_connections{{listener=\"{}\"}} {}\n", listeners_[i],
                   Sum(i, Counter::kConnections) - closed);
  }
  for (const bool enforced : {true, false}) {
    for (size_t c = 0; c < kCounters; ++c) {
      const auto [family, reason] = kNames[c];
      if (!enforced && reason.empty()) continue;  // Not a limit.
      for (size_t i = 0; i < listeners_.size(); ++i) {
        fmt::format_to(out, "bsockd_{}{}_total{{listener=\"{}\"{}{}{}}} {}\n",
                       enforced ? "" : "shadow_", family, listeners_[i],
                       reason.empty() ? "" : ",reason=\"", reason, reason.empty() ? "" : "\"",
                       Sum(i, static_cast<Counter>(c), enforced));
      }
    }
  }
  text.pop_back();
  return text;
}

}  // namespace bsockd
