// A connection over which a test asks for the daemon's counters again and again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tests/integration/counters.h"
#include "tests/integration/daemon.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {

// A configuration as OneListener() makes it, with a second listener, "stats", beside "main".
// `more` are further lines of "main".
std::string ListenerWithStats(std::string_view handler, std::string_view framing = "line",
                              std::string_view more = "", std::string_view listen = "127.0.0.1:0");

// A connection to the listener "stats".
class Stats {
 public:
  // `daemon` was started with ListenerWithStats() and two addresses to wait for. Null, with a test
  // failure, where it cannot be connected.
  static std::unique_ptr<Stats> Connect(const Daemon& daemon);

  // Everything, by name: `bsockd_buffer_bytes`, `bsockd_requests_total{listener="main"}`.
  Counters All();
  // One value; a test failure, and -1, if there is none of the name.
  int64_t Value(const std::string& name);

  // Of the listener "main": `Count("cut", "frame")`, and what a limit that is not enforced would
  // have done.
  int64_t Count(std::string_view family, std::string_view reason);
  int64_t ShadowCount(std::string_view family, std::string_view reason);
  int64_t Requests() { return Value("bsockd_requests_total{listener=\"main\"}"); }
  int64_t Connections() { return Value("bsockd_connections{listener=\"main\"}"); }

 private:
  explicit Stats(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}

  std::unique_ptr<Stream> stream_;
};

}  // namespace bsockd::integration
