// Control: the control thread's loop. It serves until it is told to stop: hears signals, reloads,
// lets a successor take over, tells systemd and the log how things are, looks whether every thread
// still works, and drains at the end.
#pragma once

#include <spdlog/logger.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/flags.h"
#include "daemon/inheritance.h"
#include "daemon/limit_report.h"
#include "daemon/reload.h"
#include "daemon/takeover.h"
#include "lib/base/clock.h"
#include "lib/base/log_event.h"
#include "lib/base/unique_fd.h"
#include "lib/config/config.h"
#include "lib/handler/request_log.h"
#include "lib/metrics/metrics.h"
#include "lib/server/server.h"
#include "lib/systemd/notify.h"

namespace bsockd {

// Thread: control.
class Control {
 public:
  // What the program consists of, made by main() and outliving this.
  struct Parts {
    const Flags& flags;
    const UniqueFd& signals;
    Server& server;
    Metrics& metrics;
    RequestLog& request_log;
    Notifier& notifier;
    Reloader& reloader;
    spdlog::logger& log;
  };
  // `config`: what is served, as it was loaded. `workers`: how many there are. `inherited`: the
  // sockets that the process was started with. `takeover`: null if nobody is to take over.
  Control(const Parts& parts, Config config, int workers, const ListenSockets& inherited,
          std::unique_ptr<TakeoverService> takeover);

  // Says that the service is ready, serves until SIGTERM or SIGINT, or until a successor has taken
  // over, then drains: what has come is answered, for `server.drain_timeout` at most, and what is
  // still unfinished is cut. A second signal ends the process at once, as that signal does. SIGHUP
  // reloads, SIGUSR1 writes all counters to the log. Returns the exit status.
  int Run();

 private:
  enum class Phase { kServing, kDraining };
  // In place of a signal: a successor serves.
  static constexpr int kTakenOver = -1;

  // Returns a signal that ends the process, or kTakenOver; or 0 when the server has ended or
  // `deadline` has passed.
  int UntilEnd(MonotonicTime deadline);
  int OnSignal();
  void OnTick(MonotonicTime now);
  // `spread`: of the idle connections' ends.
  int DrainAndEnd(Duration spread, SocketsAre sockets);
  // Dies by a signal that comes meanwhile. False: `timeout` has passed.
  bool WaitForEnd(Duration timeout);

  void BeginReload();
  void EndReload();
  void RefuseReload(const std::vector<std::string>& errors);
  // Empty, or why not.
  std::vector<std::string> Apply(Reloader::Result result);
  // That a configuration may name: those that are served, and those of .socket units.
  ListenSockets PresentSockets() const;
  void WarnOfUnusedSocketUnits();
  void LogChanges(const Config& next);

  void LookAfterThreads(MonotonicTime now);
  void LogCuts(const ConnectionsCut& cuts);
  std::string Status(MonotonicTime now);
  void Log(spdlog::level::level_enum level, const LogFields& fields, std::string_view text);

  Parts parts_;
  Config config_;  // As it was loaded, but for what keeps its value until a restart.
  const int workers_;
  ListenSockets of_socket_units_;  // They are systemd's, and stay open whoever uses them.
  SocketStore store_;
  std::unique_ptr<TakeoverService> takeover_;
  LimitReport report_;
  const Duration tick_;
  MonotonicTime next_tick_;
  Phase phase_ = Phase::kServing;

  bool reload_again_ = false;  // SIGHUP came while a reload was under way.
  uint64_t reloads_ = 0;

  MonotonicTime pinged_at_;        // The last time that every thread was asked for a sign of life.
  std::set<std::string> stalled_;  // Those that the log has named.

  size_t cut_ = 0;  // Connections, with something unfinished, by this drain.

  std::string status_;              // The last one; empty if it is to be made anew.
  double requests_per_second_ = 0;  // Over a second, at least, ...
  MonotonicTime measured_at_;       // ... which ended then.
  uint64_t measured_requests_ = 0;  // What had been asked by then.
};

}  // namespace bsockd
