// bsock's command line.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "lib/client/options.h"
#include "lib/net/address.h"

namespace bsockd {

enum class DumpKind : uint8_t { kNone, kCharInt, kHex };

struct CommandLine {
  bool send = false;  // `bsock send`, with `messages`.
  Address address;
  std::vector<std::string> messages;  // As bytes, also where they were given in hex.
  bool hex = false;                   // The lines of standard input and the replies are hex.
  bool once = false;
  ClientOptions options;  // Without an observer.
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
