#include "client/interactive.h"

#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "client/pipeline.h"
#include "client/request_source.h"
#include "lib/base/text.h"

namespace bsockd {
namespace {

constexpr std::string_view kPrompt =
    "CLIENT: Enter text to send to the server, and then hit enter: ";

absl::Status PrintReply(std::string_view reply) {
  std::string line = "CLIENT: I received this from the server: \"";
  // What a server says must not drive a person's terminal; a program wants the bytes.
  if (isatty(STDOUT_FILENO)) {
    AppendEscaped(reply, reply.size(), &line);
  } else {
    line.append(reply);
  }
  line.append("\"\n");
  return WriteOut(line);
}

// To the terminal, wherever the replies go.
void Say(std::string_view text) {
  FILE* terminal = isatty(STDOUT_FILENO) ? stdout : stderr;
  std::fwrite(text.data(), 1, text.size(), terminal);
  std::fflush(terminal);
}

// Waits for a line. None at the end of input, or after an error that has been reported.
std::optional<std::string> ReadLine(Session& session, RequestSource& lines) {
  absl::StatusOr<std::optional<std::string>> line = lines.Next();
  if (line.ok()) return std::move(*line);
  session.FailHere(line.status());
  return std::nullopt;
}

// False where to go on makes no sense.
bool Ask(Session& session, std::string_view request) {
  if (!session.Connect()) return false;
  const absl::StatusOr<std::string> reply = session.Call(request);
  if (!reply.ok()) {
    session.Fail(reply.status());
    if (!absl::IsInvalidArgument(reply.status())) session.Drop();
    return true;
  }
  const absl::Status printed = PrintReply(*reply);
  if (!printed.ok()) session.FailHere(printed);
  return printed.ok();
}

void RunOnTerminal(Session& session, RequestSource& lines, bool once) {
  session.set_announce_all(true);
  do {
    Say(kPrompt);
    const std::optional<std::string> line = ReadLine(session, lines);
    // Ctrl-D leaves the cursor behind the prompt.
    if (lines.ended()) Say("\n");
    if (!line || !Ask(session, *line)) return;
  } while (!once && !lines.ended());
}

}  // namespace

void RunInteractive(Session& session, bool once) {
  RequestSource lines = RequestSource::Lines(STDIN_FILENO);
  if (isatty(STDIN_FILENO)) return RunOnTerminal(session, lines, once);
  if (!once) return RunPipeline(session, lines, PrintReply);
  if (std::optional<std::string> line = ReadLine(session, lines)) {
    RequestSource one = RequestSource::List({std::move(*line)});
    RunPipeline(session, one, PrintReply);
  }
}

}  // namespace bsockd
