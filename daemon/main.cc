// bsockd, from the command line to the end of the process.

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "daemon/exit_status.h"
#include "daemon/flags.h"
#include "daemon/lifecycle.h"
#include "daemon/logging.h"
#include "daemon/settings.h"
#include "lib/base/text.h"
#include "lib/base/version.h"
#include "lib/config/load.h"
#include "lib/config/plan.h"
#include "lib/handler/request_log.h"
#include "lib/metrics/metrics.h"
#include "lib/server/server.h"

namespace bsockd {
namespace {

struct ListenerAddress {
  std::string listener;
  std::string address;

  bool operator==(const ListenerAddress&) const = default;
};

// Every address once, whichever number of sockets it has.
std::vector<ListenerAddress> AddressesOf(const BoundListeners& listeners) {
  std::vector<ListenerAddress> addresses;
  for (const auto* kind : {&listeners.streams, &listeners.datagrams}) {
    for (const BoundListener& bound : *kind) {
      ListenerAddress next{bound.listener->name, bound.socket.name()};
      if (addresses.empty() || addresses.back() != next) addresses.push_back(std::move(next));
    }
  }
  return addresses;
}

int Print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (std::fflush(stdout) == 0) return kExitOk;
  std::perror("bsockd: standard output");
  return kExitOperatingSystem;
}

int Fail(spdlog::logger& log, const absl::Status& status, int exit_status) {
  log.error("{}", MessageOf(status));
  return exit_status;
}

// What a reload would make of `config` if the file were another one.
int Plan(Flags flags, const Config& config) {
  flags.config_file = *flags.plan_file;
  const std::variant<Config, ExitStatus> planned = EffectiveConfig(flags);
  if (const auto* status = std::get_if<ExitStatus>(&planned)) return *status;
  return Print(FormatPlan(PlanReload(config, std::get<Config>(planned))));
}

int Main(int argc, char** argv) {
  PrepareProcess();
  const std::variant<Flags, ExitStatus> parsed = ParseFlags(argc, argv);
  if (const auto* status = std::get_if<ExitStatus>(&parsed)) return *status;
  const Flags& flags = std::get<Flags>(parsed);

  const std::variant<Config, ExitStatus> effective = EffectiveConfig(flags);
  if (const auto* status = std::get_if<ExitStatus>(&effective)) return *status;
  Config config = std::get<Config>(effective);
  if (flags.dump_config) return Print(DumpConfig(config));
  if (flags.plan_file.has_value()) return Plan(flags, config);
  if (flags.test) return Print(ConfigFile(flags) + ": ok\n");

  config.server.workers = WorkerCount(config.server);  // From here on it does not change.
  const std::unique_ptr<spdlog::logger> log = MakeLogger(config.log);
  RequestLog request_log(STDOUT_FILENO, config.log.format == LogFormat::kJson);
  log->info("bsockd {} starting", kVersion);
  RaiseDescriptorLimit(config.server.max_connections.value, *log);

  const std::unique_ptr<Metrics> metrics = MakeMetrics(config);
  absl::StatusOr<BoundListeners> listeners =
      BindListeners(config, &request_log, metrics.get(), log.get());
  if (!listeners.ok()) {
    const bool bad_config = absl::IsInvalidArgument(listeners.status());
    return Fail(*log, listeners.status(), bad_config ? kExitConfiguration : kExitCannotBind);
  }
  const std::vector<ListenerAddress> addresses = AddressesOf(*listeners);
  for (const auto& [listener, address] : addresses)
    log->info("listening on {} ({})", address, listener);
  // Not before the names are resolved, which can take long, and which a signal may end.
  absl::StatusOr<UniqueFd> signals = TakeSignals();
  if (!signals.ok()) return Fail(*log, signals.status(), kExitOperatingSystem);

  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(config.server, *std::move(listeners), metrics.get(), log.get());
  if (!server.ok()) return Fail(*log, server.status(), kExitOperatingSystem);
  if (flags.print_addresses) {
    std::string lines;
    for (const auto& [listener, address] : addresses) lines += listener + " " + address + "\n";
    Print(lines);
  }
  log->info("ready");
  const int exit_status = Serve(**server, *signals, config.server.drain_timeout, *metrics, *log);
  if (request_log.dropped() > 0) {
    log->warn("{} requests were not printed: standard output did not take them",
              request_log.dropped());
  }
  return exit_status;
}

}  // namespace
}  // namespace bsockd

int main(int argc, char** argv) { return bsockd::Main(argc, argv); }
