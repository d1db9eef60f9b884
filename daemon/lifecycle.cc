#include "daemon/lifecycle.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "daemon/exit_status.h"
#include "lib/base/standard_fds.h"

namespace bsockd {
namespace {

// Descriptors that are not connections: listen sockets, event loops, standard streams.
constexpr rlim_t kOtherDescriptors = 64;
// Allocations of at least so many bytes are mapped, and unmapped when they are freed.
constexpr int kMmapBytesMin = 128 * 1024;

sigset_t TakenSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGUSR1);
  return set;
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

int ReadSignal(const UniqueFd& signals) {
  signalfd_siginfo info{};
  const ssize_t size = read(signals.get(), &info, sizeof(info));
  return size == sizeof(info) ? static_cast<int>(info.ssi_signo) : 0;
}

void DieBySignal(int signal) {
  std::signal(signal, SIG_DFL);
  const sigset_t set = TakenSignals();
  raise(signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  std::_Exit(kExitOperatingSystem);
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

}  // namespace bsockd
