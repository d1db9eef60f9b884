#include "tests/integration/counters.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/integration/stream.h"

namespace bsockd::integration {

Counters ParseCounters(const std::string& text) {
  Counters counters;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    uint64_t value = 0;
    std::string more;
    EXPECT_TRUE(words >> name >> value && !(words >> more)) << "not `name value`: " << line;
    EXPECT_TRUE(counters.emplace(name, value).second) << "twice: " << line;
  }
  EXPECT_FALSE(counters.empty()) << "no counters: " << text;
  return counters;
}

Counters ReadCounters(const std::string& address) {
  const auto stream = Stream::Connect(address);
  if (!stream) return {};
  const Received received = stream->Exchange("\n");
  EXPECT_EQ(received.end, Received::End::kClosed) << testing::PrintToString(received);
  return ParseCounters(received.bytes);
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
