// The command line of bsockd.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lib/config/config.h"

namespace bsockd {

inline constexpr std::string_view kDefaultConfigFile = "/etc/bsockd/bsockd.yaml";

struct Flags {
  std::optional<uint16_t> port;            // The quick form: no file.
  std::optional<std::string> config_file;  // Not together with `port`.
  std::vector<std::string> listen;
  std::optional<LogLevel> log_level;
  std::optional<IoBackend> io;
  bool test = false;
  bool dump_config = false;
  std::optional<std::string> plan_file;  // Not together with `port`, `test` or `dump_config`.
  bool print_addresses = false;
  std::optional<std::string> takeover;  // The path of the socket.
};

// The exit status of a program that has nothing more to do: help was asked for and printed, or the
// command line was wrong and the user has been told.
using ExitStatus = int;

std::variant<Flags, ExitStatus> ParseFlags(int argc, char** argv);

}  // namespace bsockd
