// bsockd, from the command line to the end of the process.

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "daemon/control.h"
#include "daemon/exit_status.h"
#include "daemon/flags.h"
#include "daemon/inheritance.h"
#include "daemon/lifecycle.h"
#include "daemon/logging.h"
#include "daemon/reload.h"
#include "daemon/settings.h"
#include "daemon/succession.h"
#include "daemon/takeover.h"
#include "lib/base/log_event.h"
#include "lib/base/message_ids.h"
#include "lib/base/text.h"
#include "lib/base/version.h"
#include "lib/config/load.h"
#include "lib/config/plan.h"
#include "lib/config/socket_key.h"
#include "lib/handler/request_log.h"
#include "lib/metrics/metrics.h"
#include "lib/server/server.h"
#include "lib/server/services.h"
#include "lib/systemd/inherited_fds.h"
#include "lib/systemd/notify.h"

namespace bsockd {
namespace {

struct ListenerAddress {
  std::string listener;
  std::string address;

  bool operator==(const ListenerAddress&) const = default;
};

// Every address once, whichever number of sockets it has.
std::vector<ListenerAddress> AddressesOf(const Services& services) {
  std::vector<ListenerAddress> addresses;
  for (const auto* kind : {&services.streams, &services.datagrams}) {
    for (const BoundListener& bound : *kind) {
      ListenerAddress next{bound.listener->name, bound.socket->name()};
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

int Fail(spdlog::logger& log, const absl::Status& status) {
  // A line for each thing that is wrong.
  for (const std::string_view line : Lines(MessageOf(status))) log.error("{}", line);
  if (absl::IsInvalidArgument(status)) return kExitConfiguration;
  return absl::IsUnavailable(status) ? kExitCannotBind : kExitOperatingSystem;
}

int Complain(const SettingsError& error) {
  for (const std::string& line : error.lines) std::fprintf(stderr, "%s\n", line.c_str());
  return error.exit_status;
}

// What a reload would make of `config` if the file were another one.
int Plan(Flags flags, const Config& config) {
  flags.config_file = *flags.plan_file;
  const std::variant<Config, SettingsError> planned = EffectiveConfig(flags);
  if (const auto* error = std::get_if<SettingsError>(&planned)) return Complain(*error);
  return Print(FormatPlan(PlanReload(config, std::get<Config>(planned))));
}

// --takeover: with a predecessor, or as the first.
struct Takeover {
  std::unique_ptr<Succession> predecessor;
  std::unique_ptr<TakeoverService> service;
};

absl::StatusOr<Takeover> BeginTakeover(const Flags& flags, spdlog::logger* log) {
  Takeover takeover;
  if (!flags.takeover) return takeover;
  absl::StatusOr<std::unique_ptr<Succession>> predecessor = Succession::Begin(*flags.takeover, log);
  if (!predecessor.ok()) return predecessor.status();
  takeover.predecessor = *std::move(predecessor);
  if (takeover.predecessor) return takeover;
  absl::StatusOr<std::unique_ptr<TakeoverService>> service =
      TakeoverService::Listen(*flags.takeover, log);
  if (!service.ok()) return service.status();
  takeover.service = *std::move(service);
  return takeover;
}

// A predecessor's --takeover socket is this process's from now on.
absl::Status AdoptTakeoverService(const Flags& flags, spdlog::logger* log, Takeover* takeover) {
  if (!takeover->predecessor) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<TakeoverService>> service =
      TakeoverService::Adopt(*flags.takeover, takeover->predecessor->TakeServiceSocket(), log);
  if (!service.ok()) return service.status();
  takeover->service = *std::move(service);
  return absl::OkStatus();
}

// Everything that is there before anything is bound.
absl::StatusOr<StartSockets> CollectSockets(std::vector<InheritedFd> inherited,
                                            const Takeover& takeover,
                                            const std::set<std::string>& keys, Notifier& notifier,
                                            spdlog::logger& log) {
  StartSockets start = StartSockets::Adopt(std::move(inherited), notifier, log);
  if (takeover.predecessor) start.Add(takeover.predecessor->sockets());
  if (absl::Status status = start.Check(keys, notifier); !status.ok()) return status;
  return start;
}

absl::StatusOr<Services> MakeAllServices(const Config& config, const ListenSockets& present,
                                         RequestLog* request_log, Metrics* metrics,
                                         spdlog::logger* log) {
  absl::StatusOr<NewServices> made = MakeServices(config, present, {}, request_log, metrics);
  if (!made.ok()) return made.status();
  return Assemble(config, *std::move(made), present, log);
}

int Main(int argc, char** argv) {
  PrepareProcess();
  std::vector<InheritedFd> inherited = TakeInheritedFds();
  Notifier notifier = Notifier::FromEnvironment();
  const std::variant<Flags, ExitStatus> parsed = ParseFlags(argc, argv);
  if (const auto* status = std::get_if<ExitStatus>(&parsed)) return *status;
  const Flags& flags = std::get<Flags>(parsed);

  const std::variant<Config, SettingsError> effective = EffectiveConfig(flags);
  if (const auto* error = std::get_if<SettingsError>(&effective)) return Complain(*error);
  const Config& loaded = std::get<Config>(effective);
  if (flags.dump_config) return Print(DumpConfig(loaded));
  if (flags.plan_file.has_value()) return Plan(flags, loaded);
  if (flags.test) return Print(ConfigFile(flags) + ": ok\n");

  Config config = loaded;
  config.server.workers = WorkerCount(config.server);  // From here on it does not change.
  const std::unique_ptr<spdlog::logger> log = MakeLogger(config.log);
  RequestLog request_log(STDOUT_FILENO, config.log.format == LogFormat::kJson);
  LogEvent(*log, spdlog::level::info, {.message_id = message_id::kStarting},
           fmt::format("bsockd {} starting", kVersion));
  RaiseDescriptorLimit(config.server.max_connections.value, *log);

  absl::StatusOr<Takeover> takeover = BeginTakeover(flags, log.get());
  if (!takeover.ok()) return Fail(*log, takeover.status());
  const std::set<std::string> keys = SocketKeys(config);
  absl::StatusOr<StartSockets> present =
      CollectSockets(std::move(inherited), *takeover, keys, notifier, *log);
  if (!present.ok()) return Fail(*log, present.status());
  Metrics metrics(CountingThreads(config.server));
  absl::StatusOr<Services> services =
      MakeAllServices(config, present->sockets(), &request_log, &metrics, log.get());
  if (!services.ok()) return Fail(*log, services.status());
  // Not before the names are resolved, which can take long, and which a signal may end.
  absl::StatusOr<UniqueFd> signals = TakeSignals();
  if (!signals.ok()) return Fail(*log, signals.status());
  const std::vector<ListenerAddress> addresses = AddressesOf(*services);
  for (const auto& [listener, address] : addresses) {
    LogEvent(*log, spdlog::level::info, {.listener = listener},
             fmt::format("listening on {} ({})", address, listener));
  }
  absl::StatusOr<std::unique_ptr<Reloader>> reloader = Reloader::Create();
  if (!reloader.ok()) return Fail(*log, reloader.status());
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(config.server, &metrics, log.get());
  if (!server.ok()) return Fail(*log, server.status());
  if (flags.print_addresses) {  // Before the requests that log_requests prints.
    std::string lines;
    for (const auto& [listener, address] : addresses) lines += listener + " " + address + "\n";
    Print(lines);
  }
  if (absl::Status status = AdoptTakeoverService(flags, log.get(), &*takeover); !status.ok()) {
    return Fail(*log, status);
  }
  // From here on nothing fails: a predecessor may go.
  (*server)->Apply(config.server, *std::move(services));
  if (takeover->predecessor) takeover->predecessor->Ready();
  Control control({.flags = flags,
                   .signals = *signals,
                   .server = **server,
                   .metrics = metrics,
                   .request_log = request_log,
                   .notifier = notifier,
                   .reloader = **reloader,
                   .log = *log},
                  loaded, config.server.workers, present->sockets(), std::move(takeover->service));
  present->Release(keys, notifier, *log);
  const int exit_status = control.Run();
  if (request_log.dropped() > 0) {
    log->warn("{} requests were not printed: standard output did not take them",
              request_log.dropped());
  }
  // A reload that waits for a name, which may be long, is not waited for.
  if ((*reloader)->busy()) std::_Exit(exit_status);
  return exit_status;
}

}  // namespace
}  // namespace bsockd

int main(int argc, char** argv) { return bsockd::Main(argc, argv); }
