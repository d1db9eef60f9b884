#include "daemon/lifecycle.h"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>

#include "daemon/exit_status.h"
#include "daemon/limit_report.h"
#include "lib/base/standard_fds.h"

namespace bsockd {
namespace {

// How long the workers may take to close their connections when they are cut.
constexpr Duration kCutTimeout = std::chrono::seconds(1);
// Descriptors that are not connections: listen sockets, event loops, standard streams.
constexpr rlim_t kOtherDescriptors = 64;
// Allocations of at least so many bytes are mapped, and unmapped when they are freed.
constexpr int kMmapBytesMin = 128 * 1024;

sigset_t TakenSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGUSR1);
  return set;
}

[[noreturn]] void DieBySignal(int signal) {
  std::signal(signal, SIG_DFL);
  const sigset_t set = TakenSignals();
  raise(signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  std::_Exit(kExitOperatingSystem);
}

// What the control thread waits for, and tells meanwhile.
class Watch {
 public:
  Watch(Server& server, const UniqueFd& signals, const Metrics& metrics, spdlog::logger& log)
      : server_(server), signals_(signals), metrics_(metrics), report_(metrics), log_(log) {}

  // Waits for a signal that ends the process, and returns it; or returns 0 when the server has
  // ended or `deadline` has passed.
  int UntilEnd(MonotonicTime deadline) {
    while (!server_.ended()) {
      const MonotonicTime now = std::chrono::steady_clock::now();
      if (now >= deadline) return 0;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(
          std::min<Duration>(deadline - now, kReportInterval));
      pollfd polled[] = {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                         {.fd = server_.event_fd(), .events = POLLIN, .revents = 0}};
      poll(polled, 2, static_cast<int>(left.count()));
      report_.Log(std::chrono::steady_clock::now(), log_);
      if (polled[0].revents == 0) continue;
      const int signal = ReadSignal();
      if (signal != 0 && signal != SIGUSR1) return signal;
      if (signal == SIGUSR1) LogMetrics(metrics_, log_);
    }
    return 0;
  }

  void LogRest() { report_.LogRest(log_); }

 private:
  int ReadSignal() {
    signalfd_siginfo info{};
    const ssize_t size = read(signals_.get(), &info, sizeof(info));
    return size == sizeof(info) ? static_cast<int>(info.ssi_signo) : 0;
  }

  Server& server_;
  const UniqueFd& signals_;
  const Metrics& metrics_;
  LimitReport report_;
  spdlog::logger& log_;
};

enum class Ended { kYes, kTimeout };

// Waits until the server has ended or `timeout` has passed. Dies by a signal that comes meanwhile.
Ended WaitForEnd(Server& server, Watch& watch, Duration timeout, spdlog::logger& log) {
  if (const int signal = watch.UntilEnd(std::chrono::steady_clock::now() + timeout); signal != 0) {
    log.warn("a second signal, {}: ending at once", sigabbrev_np(signal));
    DieBySignal(signal);
  }
  return server.ended() ? Ended::kYes : Ended::kTimeout;
}

}  // namespace

void PrepareProcess() {
  OpenStandardFds();
  std::signal(SIGPIPE, SIG_IGN);
  mallopt(M_MMAP_THRESHOLD, kMmapBytesMin);
}

absl::StatusOr<UniqueFd> TakeSignals() {
  const sigset_t set = TakenSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  UniqueFd signals(signalfd(-1, &set, SFD_CLOEXEC));
  if (!signals) return absl::ErrnoToStatus(errno, "signalfd");
  return signals;
}

void RaiseDescriptorLimit(int connections_max, spdlog::logger& log) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < static_cast<rlim_t>(connections_max) + kOtherDescriptors) {
    log.warn(
        "at most {} descriptors may be open, too few for server.max_connections {} "
        "(raise the hard limit: ulimit -Hn, or LimitNOFILE= under systemd)",
        limit.rlim_max, connections_max);
  }
}

int Serve(Server& server, const UniqueFd& signals, Duration drain_timeout, const Metrics& metrics,
          spdlog::logger& log) {
  Watch watch(server, signals, metrics, log);
  const int signal = watch.UntilEnd(MonotonicTime::max());
  log.info("SIG{}: draining, for {} s at most", sigabbrev_np(signal),
           std::chrono::duration<double>(drain_timeout).count());
  server.Drain();
  if (WaitForEnd(server, watch, drain_timeout, log) == Ended::kTimeout) {
    server.Cut();
    if (WaitForEnd(server, watch, kCutTimeout, log) == Ended::kTimeout) {
      log.error("a worker does not end; leaving it");
      std::_Exit(kExitOperatingSystem);
    }
  }
  watch.LogRest();
  if (server.connections_cut() > 0) {
    log.warn("stopped; {} connections were cut unfinished", server.connections_cut());
  } else {
    log.info("stopped");
  }
  return kExitOk;
}

}  // namespace bsockd
