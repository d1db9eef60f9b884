// Daemon: bsockd itself, started for a test on ports that were free, and BackendTest, the fixture
// of the tests that run on both I/O back-ends.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/integration/process.h"

namespace bsockd::integration {

// The daemon's exit codes (docs, "Exit status").
inline constexpr int kExitUsage = 64;
inline constexpr int kExitCannotBind = 69;
inline constexpr int kExitOs = 71;
inline constexpr int kExitConfig = 78;

// The lecture's reply.
inline constexpr std::string_view kGreeting = "I am the server, and I got your message";

// A configuration with one listener "main". `handler` and `framing` as after their keys in YAML;
// `more` are further lines of the listener, or, unindented, of the file.
std::string OneListener(std::string_view handler, std::string_view framing = "line",
                        std::string_view more = "", std::string_view listen = "127.0.0.1:0");

struct DaemonOptions {
  std::string config;                  // The text of a file; empty: the quick form on port 0.
  std::vector<std::string> arguments;  // Further ones.
  size_t address_count = 1;            // Addresses to wait for.
  ProcessOptions process;              // The command is filled in.
};

class Daemon {
 public:
  // Returns when it accepts connections. `io` is a value of --io, or empty for none. Null, with a
  // test failure that shows what it said, if it does not come so far.
  static std::unique_ptr<Daemon> Start(std::string_view io, DaemonOptions options);
  static std::unique_ptr<Daemon> Start(std::string_view io, std::string config) {
    DaemonOptions options;
    options.config = std::move(config);
    return Start(io, std::move(options));
  }

  // Stop(), unless the test has seen its end already.
  ~Daemon();

  // As printed, such as "127.0.0.1:43210", in the order of the listeners.
  const std::string& address(size_t index = 0) const { return addresses_[index]; }
  std::string port(size_t index = 0) const;
  Process& process() { return *process_; }
  // Writes another configuration into its file, for the next reload.
  void WriteConfig(std::string_view config) const { folder_.Write("bsockd.yaml", config); }
  pid_t pid() const { return process_->pid(); }

  // SIGTERM, then ExpectEnd(Exited(0)): a sanitizer's report fails the test here.
  void Stop();
  // Waits for the end of the process, fails the test if it is another one, and shows what the
  // daemon said in that case.
  void ExpectEnd(const ProcessEnd& expected);
  // After SIGTERM: waits until new connections are not taken any more.
  bool WaitUntilDraining() const;

 private:
  Daemon() = default;

  TemporaryFolder folder_;
  std::unique_ptr<Process> process_;
  std::vector<std::string> addresses_;
  bool ended_ = false;
};

// Runs bsockd to its end, for command lines that end by themselves.
Outcome RunBsockd(std::vector<std::string> arguments);

// An errno, or 0. With BSOCKD_DENY_IO_URING=EPERM in the environment every daemon that a test
// starts with `--io io_uring` is denied it so, and gets `--io auto`: the tests must not see a
// difference.
int DeniedIoUring();

// Why this machine has no io_uring, or empty if it has.
std::string WhyNoIoUring();

// GetParam() is the value of --io.
class BackendTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override;

  std::unique_ptr<Daemon> Start(std::string config) const {
    return Daemon::Start(GetParam(), std::move(config));
  }
  std::unique_ptr<Daemon> StartWith(DaemonOptions options) const {
    return Daemon::Start(GetParam(), std::move(options));
  }
};

// For INSTANTIATE_TEST_SUITE_P(, SomeTest, kBackends, BackendName).
inline const auto kBackends = testing::Values("epoll", "io_uring");
inline std::string BackendName(const testing::TestParamInfo<std::string>& info) {
  return info.param;
}

}  // namespace bsockd::integration
