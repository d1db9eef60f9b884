// WATCHDOG=1 comes as long as every thread works, and only then.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/integration/daemon.h"
#include "tests/integration/load.h"
#include "tests/integration/measure.h"
#include "tests/integration/process.h"
#include "tests/integration/service_manager.h"

namespace bsockd::integration {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Thread {
  pid_t tid = 0;
  std::string name;
};

// All but those that the kernel adds for io_uring.
std::vector<Thread> ThreadsOf(pid_t pid) {
  std::vector<Thread> threads;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
    Thread thread{.tid = std::stoi(task.path().filename()), .name = {}};
    std::ifstream comm(task.path() / "comm");
    std::getline(comm, thread.name);
    if (!thread.name.starts_with("iou-")) threads.push_back(std::move(thread));
  }
  return threads;
}

// While one of these lives, one thread of a child stands still, ptrace(2).
class Stall {
 public:
  explicit Stall(pid_t tid) : tid_(tid) {
    stalled_ = ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) == 0 &&
               ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) == 0 &&
               waitpid(tid, nullptr, __WALL) == tid;
  }
  ~Stall() { ptrace(PTRACE_DETACH, tid_, nullptr, nullptr); }
  Stall(const Stall&) = delete;
  Stall& operator=(const Stall&) = delete;

  bool stalled() const { return stalled_; }

 private:
  const pid_t tid_;
  bool stalled_ = false;
};

// Scenario 17.
class WatchdogTest : public BackendTest {
 protected:
  std::unique_ptr<Daemon> StartWatched(milliseconds watchdog, std::string config) {
    DaemonOptions options;
    options.config = std::move(config);
    options.process.environment = manager_.Environment();
    options.process.environment.push_back(
        fmt::format("WATCHDOG_USEC={}", std::chrono::microseconds(watchdog).count()));
    return StartWith(std::move(options));
  }

  ServiceManager manager_;
};
INSTANTIATE_TEST_SUITE_P(, WatchdogTest, kBackends, BackendName);

TEST_P(WatchdogTest, OneThreadThatStandsStillIsEnough) {
  constexpr milliseconds kWatchdog(1000);
  const auto daemon =
      StartWatched(kWatchdog, "server: {workers: 2}\n" + OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  ASSERT_TRUE(manager_.WaitFor("WATCHDOG=1", 2));
  const std::vector<Thread> threads = ThreadsOf(daemon->pid());
  ASSERT_GE(threads.size(), 4u) << "control, acceptor, two workers";
  for (const Thread& thread : threads) {
    SCOPED_TRACE(fmt::format("thread {} ({})", thread.tid, thread.name));
    const auto began = Clock::now();
    {
      const Stall stall(thread.tid);
      if (!stall.stalled()) GTEST_SKIP() << "ptrace is denied here";
      // systemd ends the process kWatchdog after the last message.
      std::this_thread::sleep_until(began + seconds(1));
      const size_t by_then = manager_.Count("WATCHDOG=1");
      std::this_thread::sleep_until(began + seconds(1) + kWatchdog);
      EXPECT_EQ(manager_.Count("WATCHDOG=1"), by_then);
      Tell("from the stall to the last message",
           std::max(Microseconds(0), std::chrono::duration_cast<Microseconds>(
                                         manager_.Times("WATCHDOG=1").back() - began)));
    }
    // It goes on as if nothing had been.
    EXPECT_TRUE(manager_.WaitFor("WATCHDOG=1", manager_.Count("WATCHDOG=1") + 2));
    const bool control = thread.tid == daemon->pid();
    if (!control) {
      EXPECT_FALSE(LinesWith(thread.name, daemon->process().errors()).empty())
          << daemon->process().errors();
    }
  }
}

TEST_P(WatchdogTest, FullLoadDoesNotTripIt) {
  constexpr seconds kWatchdog(2);
  const auto daemon = StartWatched(kWatchdog, OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  Load load({.address = daemon->address(),
             .clients = 2 * std::max<size_t>(std::thread::hardware_concurrency(), 1),
             .requests_per_connection = 100'000,
             .depth = 64,
             .pause = Microseconds(0)});
  const auto began = Clock::now();
  ASSERT_TRUE(manager_.WaitFor("WATCHDOG=1"));
  std::this_thread::sleep_until(began + seconds(6));
  const LoadCounts counts = load.Stop();
  EXPECT_EQ(counts.lost(), 0u) << counts.ToString();
  std::vector<Clock::time_point> times = manager_.Times("WATCHDOG=1");
  times.push_back(Clock::now());
  Microseconds longest{0};
  for (size_t i = 1; i < times.size(); ++i) {
    longest = std::max(longest, std::chrono::duration_cast<Microseconds>(times[i] - times[i - 1]));
  }
  EXPECT_LT(longest, kWatchdog);
  Tell("longest time between two messages", longest);
  Tell("requests meanwhile", fmt::format("{}", counts.answered));
}

}  // namespace
}  // namespace bsockd::integration
