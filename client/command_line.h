// bsock's command line.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "lib/base/clock.h"
#include "lib/config/config.h"
#include "lib/net/address.h"

namespace bsockd {

enum class DumpKind : uint8_t { kNone, kCharInt, kHex };

struct CommandLine {
  bool send = false;  // `bsock send`, with `messages`.
  Address address;
  std::vector<std::string> messages;
  bool once = false;
  FramingConfig framing;
  Duration timeout{};
  DumpKind dump = DumpKind::kNone;
};

// What to print instead of running: on standard output where `exit_code` is 0, else on standard
// error.
struct CommandLineExit {
  int exit_code = 0;
  std::string text;
};

// `arguments`: without the program's name.
std::variant<CommandLine, CommandLineExit> ParseCommandLine(std::vector<std::string> arguments);

}  // namespace bsockd
