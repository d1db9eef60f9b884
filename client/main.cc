// bsock: the bundled client. From the command line to a session, and one of its two modes.
#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "client/command_line.h"
#include "client/dump.h"
#include "client/exit_code.h"
#include "client/interactive.h"
#include "client/send.h"
#include "client/session.h"
#include "lib/base/standard_fds.h"
#include "lib/client/client.h"

namespace bsockd {
namespace {

// Shows a buffer on standard error, behind what standard output has said so far.
void Dump(DumpKind kind, Direction direction, std::string_view bytes) {
  std::fflush(stdout);
  WriteError(fmt::format(
      "CLIENT: {} {} byte{}\n{}", direction == Direction::kSent ? "sent" : "received", bytes.size(),
      bytes.size() == 1 ? "" : "s", kind == DumpKind::kHex ? HexDump(bytes) : CharIntTable(bytes)));
}

int Run(std::vector<std::string> arguments) {
  OpenStandardFds();
  auto parsed = ParseCommandLine(std::move(arguments));
  if (const auto* exit = std::get_if<CommandLineExit>(&parsed)) {
    if (exit->exit_code == kExitOk) return WriteOut(exit->text).ok() ? kExitOk : kExitUnanswered;
    WriteError(exit->text);
    return exit->exit_code;
  }
  CommandLine& line = std::get<CommandLine>(parsed);

  if (line.dump != DumpKind::kNone) {
    line.options.observer = [kind = line.dump](Direction direction, std::string_view bytes) {
      Dump(kind, direction, bytes);
    };
  }
  Session session(line.address, std::move(line.options));
  if (!session.Connect()) return session.exit_code();
  if (line.send) {
    RunSend(session, std::move(line.messages), line.hex);
  } else {
    RunInteractive(session, line.once);
  }
  return session.exit_code();
}

}  // namespace
}  // namespace bsockd

int main(int argc, char** argv) {
  return bsockd::Run(std::vector<std::string>(argv + 1, argv + argc));
}
