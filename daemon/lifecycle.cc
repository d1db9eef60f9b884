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
#include "lib/base/standard_fds.h"

namespace bsockd {
namespace {

// How long the workers may take to close their connections when they are cut.
constexpr Duration kCutTimeout = std::chrono::seconds(1);
// Descriptors that are not connections: listen sockets, event loops, standard streams.
constexpr rlim_t kOtherDescriptors = 64;
// Allocations of at least so many bytes are mapped, and unmapped when they are freed.
constexpr int kMmapBytesMin = 128 * 1024;

sigset_t EndSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

int ReadSignal(const UniqueFd& signals) {
  signalfd_siginfo info{};
  const ssize_t size = read(signals.get(), &info, sizeof(info));
  return size == sizeof(info) ? static_cast<int>(info.ssi_signo) : 0;
}

[[noreturn]] void DieBySignal(int signal) {
  std::signal(signal, SIG_DFL);
  const sigset_t set = EndSignals();
  raise(signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  std::_Exit(kExitOperatingSystem);
}

enum class Ended { kYes, kTimeout };

// Waits until the server has ended or `timeout` has passed. Dies by a signal that comes meanwhile.
Ended WaitForEnd(Server& server, const UniqueFd& signals, Duration timeout, spdlog::logger& log) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!server.ended()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return Ended::kTimeout;
    pollfd polled[] = {{.fd = signals.get(), .events = POLLIN, .revents = 0},
                       {.fd = server.event_fd(), .events = POLLIN, .revents = 0}};
    constexpr int64_t kPollMsMax = 1 << 30;
    poll(polled, 2, static_cast<int>(std::min<int64_t>(left.count(), kPollMsMax)));
    if (polled[0].revents != 0) {
      const int signal = ReadSignal(signals);
      log.warn("a second signal, {}: ending at once", sigabbrev_np(signal));
      DieBySignal(signal);
    }
  }
  return Ended::kYes;
}

}  // namespace

void PrepareProcess() {
  OpenStandardFds();
  std::signal(SIGPIPE, SIG_IGN);
  mallopt(M_MMAP_THRESHOLD, kMmapBytesMin);
}

absl::StatusOr<UniqueFd> TakeSignals() {
  const sigset_t set = EndSignals();
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

int Serve(Server& server, const UniqueFd& signals, Duration drain_timeout, spdlog::logger& log) {
  int signal = 0;
  while (signal == 0) signal = ReadSignal(signals);
  log.info("SIG{}: draining, for {} s at most", sigabbrev_np(signal),
           std::chrono::duration<double>(drain_timeout).count());
  server.Drain();
  if (WaitForEnd(server, signals, drain_timeout, log) == Ended::kTimeout) {
    server.Cut();
    if (WaitForEnd(server, signals, kCutTimeout, log) == Ended::kTimeout) {
      log.error("a worker does not end; leaving it");
      std::_Exit(kExitOperatingSystem);
    }
  }
  if (server.connections_cut() > 0) {
    log.warn("stopped; {} connections were cut unfinished", server.connections_cut());
  } else {
    log.info("stopped");
  }
  return kExitOk;
}

}  // namespace bsockd
