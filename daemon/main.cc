// bsockd, from the command line to the end of the process.

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "daemon/exit_status.h"
#include "daemon/flags.h"
#include "daemon/lifecycle.h"
#include "daemon/logging.h"
#include "daemon/settings.h"
#include "lib/base/text.h"
#include "lib/base/version.h"
#include "lib/config/load.h"
#include "lib/handler/request_log.h"
#include "lib/server/server.h"

namespace bsockd {
namespace {

void AnnounceListeners(const std::vector<BoundListener>& listeners, spdlog::logger& log) {
  for (const BoundListener& bound : listeners) {
    log.info("listening on {} ({})", bound.socket.local().ToString(), bound.listener->name);
  }
}

std::string AddressLines(const std::vector<BoundListener>& listeners) {
  std::string lines;
  for (const BoundListener& bound : listeners) {
    lines += fmt::format("{} {}\n", bound.listener->name, bound.socket.local().ToString());
  }
  return lines;
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

int Main(int argc, char** argv) {
  PrepareProcess();
  const std::variant<Flags, ExitStatus> parsed = ParseFlags(argc, argv);
  if (const auto* status = std::get_if<ExitStatus>(&parsed)) return *status;
  const Flags& flags = std::get<Flags>(parsed);

  const std::variant<Config, ExitStatus> effective = EffectiveConfig(flags);
  if (const auto* status = std::get_if<ExitStatus>(&effective)) return *status;
  const Config& config = std::get<Config>(effective);
  if (flags.dump_config) return Print(DumpConfig(config));
  if (flags.test) return Print(ConfigFile(flags) + ": ok\n");

  const std::unique_ptr<spdlog::logger> log = MakeLogger(config.log);
  RequestLog request_log(STDOUT_FILENO, config.log.format == LogFormat::kJson);
  log->info("bsockd {} starting", kVersion);
  RaiseDescriptorLimit(config.server.max_connections.value, *log);

  absl::StatusOr<std::vector<BoundListener>> listeners = BindListeners(config, &request_log);
  if (!listeners.ok()) return Fail(*log, listeners.status(), kExitCannotBind);
  AnnounceListeners(*listeners, *log);
  const std::string address_lines = AddressLines(*listeners);
  // Not before the names are resolved, which can take long, and which a signal may end.
  absl::StatusOr<UniqueFd> signals = TakeSignals();
  if (!signals.ok()) return Fail(*log, signals.status(), kExitOperatingSystem);

  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(config.server, *std::move(listeners), log.get());
  if (!server.ok()) return Fail(*log, server.status(), kExitOperatingSystem);
  if (flags.print_addresses) Print(address_lines);
  log->info("ready");
  const int exit_status = Serve(**server, *signals, config.server.drain_timeout, *log);
  if (request_log.dropped() > 0) {
    log->warn("{} requests were not printed: standard output did not take them",
              request_log.dropped());
  }
  return exit_status;
}

}  // namespace
}  // namespace bsockd

int main(int argc, char** argv) { return bsockd::Main(argc, argv); }
