#include "daemon/control.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "daemon/exit_status.h"
#include "daemon/lifecycle.h"
#include "daemon/logging.h"
#include "lib/base/message_ids.h"
#include "lib/base/text.h"
#include "lib/config/plan.h"
#include "lib/config/socket_key.h"

namespace bsockd {
namespace {

// How long the workers may take to close their connections when they are cut.
constexpr Duration kCutTimeout = std::chrono::seconds(1);
// With a watchdog, threads are asked this often at least: between a stall and the watchdog's end
// there is WatchdogSec= and one of these.
constexpr Duration kWatchdogTickMax = std::chrono::milliseconds(500);
constexpr int kWatchdogTickPart = 4;
// A thread that has not come round for so long is worth a line in the log.
constexpr Duration kStallAfter = std::chrono::seconds(1);
// What idle connections may take to be sent away while nobody accepts those that come back.
constexpr Duration kUnattendedSpreadMax = std::chrono::milliseconds(250);
// What systemd is asked for again and again while a drain lasts.
constexpr Duration kStopExtension = std::chrono::seconds(10);

MonotonicTime Now() { return std::chrono::steady_clock::now(); }

Duration TickOf(const Notifier& notifier) {
  if (!notifier.watchdog_timeout()) return kReportInterval;
  return std::min(*notifier.watchdog_timeout() / kWatchdogTickPart, kWatchdogTickMax);
}

ListenSockets OfSocketUnits(const ListenSockets& all) {
  ListenSockets of_units;
  for (const auto& [key, sockets] : all) {
    if (IsOfSocketUnit(key)) of_units[key] = sockets;
  }
  return of_units;
}

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

Control::Control(const Parts& parts, Config config, int workers, const ListenSockets& inherited,
                 std::unique_ptr<TakeoverService> takeover)
    : parts_(parts),
      config_(std::move(config)),
      workers_(workers),
      of_socket_units_(OfSocketUnits(inherited)),
      store_(&parts.notifier),
      takeover_(std::move(takeover)),
      report_(parts.metrics),
      tick_(TickOf(parts.notifier)),
      next_tick_(Now()),
      pinged_at_(Now()),
      measured_at_(Now()) {}

int Control::Run() {
  store_.Keep(parts_.server.services().sockets, parts_.log);
  Log(spdlog::level::info, {.message_id = message_id::kReady}, "ready");
  parts_.notifier.Ready(Status(Now()));
  parts_.server.Ping();
  const int signal = UntilEnd(MonotonicTime::max());
  const bool taken_over = signal == kTakenOver;
  const std::string name = taken_over ? "takeover" : fmt::format("SIG{}", sigabbrev_np(signal));
  Log(spdlog::level::info, {.message_id = message_id::kDraining, .reason = name},
      fmt::format("{}: draining, for {} s at most", name, Seconds(config_.server.drain_timeout)));
  // systemd's store has the sockets, or a successor; one that is not ready yet may have them, too.
  const bool left = parts_.notifier.active() || taken_over;
  if (left || (takeover_ && takeover_->handing_over())) {
    for (const auto& [key, sockets] : parts_.server.services().sockets) {
      for (const auto& socket : sockets) socket->LeaveFile();
    }
  }
  takeover_.reset();
  const Duration spread = config_.server.drain_timeout / kSpreadPart;
  // Where it is systemd, nobody accepts until this process has ended: clients had better wait for
  // that together than one after the other.
  return DrainAndEnd(taken_over || !left ? spread : std::min(spread, kUnattendedSpreadMax),
                     left ? SocketsAre::kLeft : SocketsAre::kClosed);
}

int Control::UntilEnd(MonotonicTime deadline) {
  while (!parts_.server.ended()) {
    const MonotonicTime now = Now();
    if (now >= deadline) return 0;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        std::max<Duration>(std::min(deadline, next_tick_) - now, Duration(0)));
    pollfd polled[] = {
        {.fd = parts_.signals.get(), .events = POLLIN, .revents = 0},
        {.fd = parts_.server.event_fd(), .events = POLLIN, .revents = 0},
        {.fd = parts_.reloader.event_fd(), .events = POLLIN, .revents = 0},
        {.fd = takeover_ ? takeover_->event_fd() : -1, .events = POLLIN, .revents = 0},
    };
    poll(polled, std::size(polled), static_cast<int>(left.count()));
    if (polled[1].revents != 0) LogCuts(parts_.server.TakeEvents());
    if (polled[2].revents != 0) EndReload();
    OnTick(Now());
    if (polled[3].revents != 0 && takeover_->OnReadable(parts_.server.services().sockets) ==
                                      TakeoverService::Event::kTakenOver) {
      return kTakenOver;
    }
    if (polled[0].revents == 0) continue;
    if (const int signal = OnSignal(); signal != 0) return signal;
  }
  return 0;
}

// Returns it if it ends the process.
int Control::OnSignal() {
  const int signal = ReadSignal(parts_.signals);
  switch (signal) {
    case SIGUSR1:
      LogMetrics(parts_.metrics, parts_.log);
      return 0;
    case SIGHUP:
      // Without a file it is the terminal that is gone.
      if (parts_.flags.port) return signal;
      BeginReload();
      return 0;
    default:
      return signal;
  }
}

void Control::OnTick(MonotonicTime now) {
  if (now < next_tick_) return;
  next_tick_ = now + tick_;
  report_.Log(now, parts_.log);
  parts_.metrics.ForgetUnused();
  LookAfterThreads(now);
  parts_.notifier.Status(Status(now));
  if (phase_ == Phase::kDraining) parts_.notifier.ExtendTimeout(kStopExtension);
}

// The watchdog is told only if every thread has answered since it was told the last time.
void Control::LookAfterThreads(MonotonicTime now) {
  const std::vector<std::string> silent = parts_.server.Silent();
  if (silent.empty()) {
    for (const std::string& thread : stalled_) parts_.log.info("{} works again", thread);
    stalled_.clear();
    parts_.notifier.Watchdog();
    parts_.server.Ping();
    pinged_at_ = now;
    return;
  }
  if (now - pinged_at_ < kStallAfter) return;
  for (const std::string& thread : silent) {
    if (!stalled_.insert(thread).second) continue;
    Log(spdlog::level::err, {.message_id = message_id::kWorkerStalled},
        fmt::format("{} has not come round for {:.1f} s: it is stalled", thread,
                    Seconds(now - pinged_at_)));
  }
}

std::string Control::Status(MonotonicTime now) {
  const Duration elapsed = now - measured_at_;
  const bool measure = elapsed >= kReportInterval;
  if (!measure && !status_.empty()) return status_;
  uint64_t connections = 0;
  uint64_t requests = 0;
  for (const auto& listener : parts_.metrics.listeners()) {
    connections += listener->Connections();
    requests += listener->Sum(Counter::kRequests);
  }
  if (measure) {
    // Those of a listener that is gone are not among them any more.
    const uint64_t more = requests - std::min(requests, measured_requests_);
    requests_per_second_ = static_cast<double>(more) / Seconds(elapsed);
    measured_at_ = now;
    measured_requests_ = requests;
  }
  if (phase_ == Phase::kDraining) {
    status_ = fmt::format("draining, {} connections left", connections);
  } else {
    status_ = fmt::format("{} connections, {:.0f} requests/s, reloaded {} times", connections,
                          requests_per_second_, reloads_);
  }
  return status_;
}

void Control::BeginReload() {
  if (phase_ == Phase::kDraining) return;
  if (takeover_ && takeover_->handing_over()) {
    parts_.log.warn("a successor has the listen sockets and is about to serve: not reloaded");
    return;
  }
  if (parts_.reloader.busy()) {
    reload_again_ = true;
    return;
  }
  parts_.log.info("reloading {}", ConfigFile(parts_.flags));
  parts_.notifier.Reloading();
  Reloader::Request request{.flags = parts_.flags,
                            .workers = workers_,
                            .present = PresentSockets(),
                            .former = parts_.server.services().listeners,
                            .request_log = &parts_.request_log,
                            .metrics = &parts_.metrics};
  if (absl::Status status = parts_.reloader.Start(std::move(request)); !status.ok()) {
    RefuseReload({std::string(MessageOf(status))});
  }
}

void Control::EndReload() {
  Reloader::Result result = parts_.reloader.Take();
  if (phase_ == Phase::kDraining) return;
  const std::vector<std::string> errors =
      result.errors.empty() ? Apply(std::move(result)) : std::move(result.errors);
  if (!errors.empty()) {
    RefuseReload(errors);
  } else {
    ++reloads_;
    Log(spdlog::level::info, {.message_id = message_id::kReloaded},
        fmt::format("reloaded {}", ConfigFile(parts_.flags)));
    status_.clear();
    parts_.notifier.Ready(Status(Now()));
  }
  if (std::exchange(reload_again_, false)) BeginReload();
}

void Control::RefuseReload(const std::vector<std::string>& errors) {
  for (const std::string& error : errors) {
    Log(spdlog::level::err, {.message_id = message_id::kReloadRefused},
        fmt::format("reload refused: {}", error));
  }
  parts_.log.warn("the configuration stays as it was");
  parts_.metrics.ForgetUnused();
  parts_.notifier.Ready(Status(Now()));
}

std::vector<std::string> Control::Apply(Reloader::Result result) {
  Config next = std::move(result.config);
  Config settled = next;
  settled.server.workers = workers_;
  // These sockets are given up at once: the acceptor is to have the last of what goes.
  absl::StatusOr<Services> services =
      Assemble(settled, std::move(result.services), PresentSockets(), &parts_.log);
  if (!services.ok()) return {std::string(MessageOf(services.status()))};
  LogChanges(next);
  if (next.server.max_connections.value != config_.server.max_connections.value) {
    RaiseDescriptorLimit(next.server.max_connections.value, parts_.log);
  }
  SetLevel(next.log.level, &parts_.log);
  store_.ForgetOthers(services->sockets);
  parts_.server.Apply(settled.server, *std::move(services));
  store_.Keep(parts_.server.services().sockets, parts_.log);
  WarnOfUnusedSocketUnits();
  next.server.workers = config_.server.workers;
  next.server.io = config_.server.io;
  next.log.format = config_.log.format;
  config_ = std::move(next);
  return {};
}

ListenSockets Control::PresentSockets() const {
  ListenSockets present = parts_.server.services().sockets;
  present.insert(of_socket_units_.begin(), of_socket_units_.end());
  return present;
}

// They are systemd's, so they stay open, and their clients wait for nobody.
void Control::WarnOfUnusedSocketUnits() {
  for (const auto& [key, sockets] : of_socket_units_) {
    if (parts_.server.services().sockets.contains(key)) continue;
    parts_.log.warn(
        "no listener uses {} any more, but systemd keeps it open: clients that connect wait, "
        "and the next start will refuse it (remove it from its socket unit)",
        key);
  }
}

void Control::LogChanges(const Config& next) {
  const ReloadPlan plan = PlanReload(config_, next);
  for (const PlannedSocket& socket : plan.sockets) {
    using What = PlannedSocket::What;
    if (socket.what == What::kKeep) continue;
    Log(spdlog::level::info, {.listener = socket.listener},
        fmt::format("listener {}: {} {}", socket.listener,
                    socket.what == What::kOpen ? "listening on" : "no longer listening on",
                    socket.address));
  }
  for (const PlannedChange& change : plan.changes) {
    const bool waits = change.effect == TakesEffect::kAfterRestart;
    parts_.log.log(waits ? spdlog::level::warn : spdlog::level::info, "{} ({})",
                   FormatChange(change), FormatEffect(change));
  }
}

int Control::DrainAndEnd(Duration spread, SocketsAre sockets) {
  phase_ = Phase::kDraining;
  cut_ = 0;
  status_.clear();
  parts_.notifier.Stopping(Status(Now()));
  const Duration grace = config_.server.drain_timeout;
  of_socket_units_.clear();
  parts_.server.Drain(spread, sockets);
  if (!WaitForEnd(grace)) {
    parts_.server.Cut();
    if (!WaitForEnd(kCutTimeout)) {
      parts_.log.error("a worker does not end; leaving it");
      std::_Exit(kExitOperatingSystem);
    }
  }
  report_.LogRest(parts_.log);
  Log(spdlog::level::info, {.message_id = message_id::kStopped},
      cut_ == 0 ? "stopped" : fmt::format("stopped; {} connections were cut unfinished", cut_));
  return kExitOk;
}

bool Control::WaitForEnd(Duration timeout) {
  if (const int signal = UntilEnd(Now() + timeout); signal != 0) {
    parts_.log.warn("a second signal, {}: ending at once", sigabbrev_np(signal));
    DieBySignal(signal);
  }
  return parts_.server.ended();
}

void Control::LogCuts(const ConnectionsCut& cuts) {
  for (const ConnectionsCut::One& cut : cuts.first) {
    Log(spdlog::level::warn, {.listener = cut.listener, .peer = cut.peer, .reason = "stop"},
        fmt::format("listener {}: {} was cut: {}", cut.listener, cut.peer, cut.unfinished));
  }
  cut_ += cuts.count;
  const size_t more = cuts.count - cuts.first.size();
  if (more > 0) parts_.log.warn("{} more connections were cut unfinished", more);
}

void Control::Log(spdlog::level::level_enum level, const LogFields& fields, std::string_view text) {
  LogEvent(parts_.log, level, fields, text);
}

}  // namespace bsockd
