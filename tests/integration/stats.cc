#include "tests/integration/stats.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <utility>

namespace bsockd::integration {

std::string ListenerWithStats(std::string_view handler, std::string_view framing,
                              std::string_view more, std::string_view listen) {
  return fmt::format(
      "handlers:\n"
      "  only: {}\n"
      "  counters: {{builtin: stats}}\n"
      "listeners:\n"
      "  main:\n"
      "    listen: [\"{}\"]\n"
      "    handler: only\n"
      "    framing: {}\n"
      "{}\n"
      "  stats:\n"
      "    listen: 127.0.0.1:0\n"
      "    handler: counters\n"
      "    reply_framing: {{delimiter: \"\\0\"}}\n",
      handler, listen, framing, more);
}

std::unique_ptr<Stats> Stats::Connect(const Daemon& daemon) {
  std::unique_ptr<Stream> stream = Stream::Connect(daemon.address(1));
  if (!stream) return nullptr;
  return std::unique_ptr<Stats>(new Stats(std::move(stream)));
}

Counters Stats::All() {
  if (!stream_->Send("\n")) ADD_FAILURE() << "cannot ask for the counters";
  std::string text = stream_->ReceiveUntil(std::string_view("\0", 1));
  if (!text.empty()) text.pop_back();
  return ParseCounters(text);
}

int64_t Stats::Value(const std::string& name) {
  const Counters counters = All();
  const auto found = counters.find(name);
  if (found != counters.end()) return static_cast<int64_t>(found->second);
  ADD_FAILURE() << "no counter " << name;
  return -1;
}

int64_t Stats::Count(std::string_view family, std::string_view reason) {
  return Value(fmt::format("bsockd_{}_total{{listener=\"main\",reason=\"{}\"}}", family, reason));
}

int64_t Stats::ShadowCount(std::string_view family, std::string_view reason) {
  return Count(fmt::format("shadow_{}", family), reason);
}

}  // namespace bsockd::integration
