#include "tests/integration/counters.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/integration/stream.h"

namespace bsockd::integration {

Counters ReadCounters(const std::string& address) {
  Counters counters;
  const auto stream = Stream::Connect(address);
  if (!stream) return counters;
  const Received received = stream->Exchange("\n");
  EXPECT_EQ(received.end, Received::End::kClosed) << testing::PrintToString(received);
  std::istringstream lines(received.bytes);
  std::string name;
  uint64_t value = 0;
  while (lines >> name >> value) counters[name] = value;
  EXPECT_FALSE(counters.empty()) << testing::PrintToString(received);
  return counters;
}

uint64_t CountOf(const Counters& counters, std::string_view family, std::string_view reason) {
  const auto found = counters.find(
      reason.empty()
          ? fmt::format("bsockd_{}_total{{listener=\"main\"}}", family)
          : fmt::format("bsockd_{}_total{{listener=\"main\",reason=\"{}\"}}", family, reason));
  return found == counters.end() ? 0 : found->second;
}

uint64_t ReadCount(const std::string& address, std::string_view family, std::string_view reason) {
  return CountOf(ReadCounters(address), family, reason);
}

}  // namespace bsockd::integration
