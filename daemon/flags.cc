#include "daemon/flags.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <string_view>

#include "daemon/exit_status.h"
#include "lib/base/version.h"
#include "lib/config/names.h"

namespace bsockd {
namespace {

constexpr std::string_view kFooter = R"(
Examples:
  bsockd 51717                        serve the greeting on 127.0.0.1 and [::1], print requests
  bsockd -c my.yaml                   serve what the file says
  bsockd -t -c my.yaml                say whether the file is right
  bsockd -c my.yaml --plan new.yaml   say what a reload with new.yaml would do
  bsockd -c my.yaml --listen '*:7'    the same service elsewhere

Exit status: 0 ok, 64 usage, 69 an address cannot be bound, 71 operating system, 78 configuration.
SIGTERM and SIGINT: answer what has come, then end; a second one ends at once.)";

// What `text` names. Throws CLI::ValidationError with the names that there are.
template <typename T, size_t N>
T Choose(const std::string& flag, const std::string& text, const Name<T> (&names)[N]) {
  if (const std::optional<T> value = FromName(names, text)) return *value;
  std::string all;
  for (const Name<T>& entry : names) all += (all.empty() ? "" : ", ") + std::string(entry.name);
  throw CLI::ValidationError(flag, "\"" + text + "\" is none of " + all);
}

uint16_t ParsePort(const std::string& text) {
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [parsed_to, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || parsed_to != end) {
    throw CLI::ValidationError("PORT", "\"" + text + "\" is not a port (0 to 65535)");
  }
  return port;
}

}  // namespace

std::variant<Flags, ExitStatus> ParseFlags(int argc, char** argv) {
  Flags flags;
  std::string port;
  std::string config_file;
  CLI::App app("bsockd: a framed request/reply server on sockets.", "bsockd");
  app.footer(std::string(kFooter));
  app.set_version_flag("--version", "bsockd " + std::string(kVersion));
  CLI::Option* port_option =
      app.add_option("PORT", port,
                     "Quick form, without a file: the greeting on the loopback addresses, "
                     "requests printed (0 = any free port)");
  CLI::Option* config_option =
      app.add_option("-c,--config", config_file,
                     "The configuration file (default " + std::string(kDefaultConfigFile) + ")")
          ->take_last();
  app.add_flag("-t,--test", flags.test, "Only say whether the configuration is right");
  app.add_flag("--dump-config", flags.dump_config,
               "Only print the effective configuration, defaults included");
  std::string plan_file;
  CLI::Option* plan_option =
      app.add_option(
             "--plan", plan_file,
             "Only print what a reload with FILE instead would open, close, keep and change")
          ->type_name("FILE");
  app.add_option("--listen", flags.listen,
                 "Listen on ADDRESS instead (of the only listener; NAME=ADDRESS of one of several; "
                 "may be repeated)")
      ->type_name("ADDRESS")
      ->allow_extra_args(false);
  std::string log_level;
  app.add_option("--log-level", log_level, "trace, debug, info, warn or error")->type_name("LEVEL");
  std::string io;
  app.add_option("--io", io, "auto, io_uring or epoll")->type_name("BACKEND");
  app.add_flag("--print-addresses", flags.print_addresses,
               "Print `LISTENER ADDRESS` for each address on standard output, as soon as a client "
               "can connect there");
  std::string takeover;
  CLI::Option* takeover_option =
      app.add_option("--takeover", takeover,
                     "Get the listen sockets from the daemon that serves SOCKET (a file), which "
                     "then drains, if there is one; serve SOCKET for the next")
          ->type_name("SOCKET");

  try {
    app.parse(argc, argv);
    if (port_option->count() > 0) {
      if (config_option->count() > 0) {
        throw CLI::ValidationError("PORT",
                                   "is the form without a file; leave out either it or --config "
                                   "(--listen moves a listener)");
      }
      if (flags.test) {
        throw CLI::ValidationError("--test", "tests a file, and PORT is the form without one");
      }
      if (plan_option->count() > 0) {
        throw CLI::ValidationError("--plan", "compares files, and PORT is the form without one");
      }
      flags.port = ParsePort(port);
    }
    if (plan_option->count() > 0 && (flags.test || flags.dump_config)) {
      throw CLI::ValidationError("--plan", "is one of --test, --dump-config and --plan");
    }
    if (!log_level.empty()) flags.log_level = Choose("--log-level", log_level, kLogLevelNames);
    if (!io.empty()) flags.io = Choose("--io", io, kIoBackendNames);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      app.exit(error);
      return kExitOk;
    }
    std::fprintf(stderr, "bsockd: %s\nbsockd --help says more.\n", error.what());
    return kExitUsage;
  }
  if (config_option->count() > 0) flags.config_file = config_file;
  if (plan_option->count() > 0) flags.plan_file = plan_file;
  if (takeover_option->count() > 0) flags.takeover = takeover;
  return flags;
}

}  // namespace bsockd
