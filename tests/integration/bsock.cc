#include "tests/integration/bsock.h"

#include <fmt/format.h>

#include <utility>

namespace bsockd::integration {
namespace {

std::vector<std::string> Bsock(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), ProgramFromEnvironment("BSOCK"));
  return arguments;
}

}  // namespace

Outcome RunBsock(std::vector<std::string> arguments, std::string_view input) {
  ProcessOptions options;
  options.command = Bsock(std::move(arguments));
  return RunToEnd(options, input);
}

std::unique_ptr<Process> StartBsock(std::vector<std::string> arguments, bool terminal) {
  ProcessOptions options;
  options.command = Bsock(std::move(arguments));
  options.terminal = terminal;
  return Process::Start(options);
}

std::string Transcript(std::string_view reply) {
  return fmt::format("CLIENT: I received this from the server: \"{}\"\n", reply);
}

void EchoLines(ServedConnection& connection, int /*index*/) {
  for (;;) {
    const std::string line = connection.ReadUntil("\n");
    if (line.empty() || !connection.Write("re: " + line)) return;
  }
}

}  // namespace bsockd::integration
