#include "client/command_line.h"

#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "client/exit_code.h"
#include "lib/base/text.h"
#include "lib/base/version.h"
#include "lib/config/load.h"
#include "lib/config/scalars.h"

namespace bsockd {
namespace {

constexpr std::string_view kHelp =
    R"(bsock: talk to a server, a request and a reply at a time.

  bsock [OPTION...] HOST PORT             send lines, print what the server replies
  bsock [OPTION...] ADDRESS
  bsock send [OPTION...] ADDRESS [MESSAGE...]
                                          the same for scripts: nothing but the replies

ADDRESS is HOST:PORT, [IPV6]:PORT, unix:/PATH or unix:@NAME. A name's addresses are tried in order.

On a terminal bsock prompts for each line until Ctrl-D. Otherwise it reads the lines of its standard
input and sends up to 64 of them ahead of their replies. `send` takes the messages from the command
line, or from the lines of its standard input where there are none. Each reply is written as soon as
it has come; `send` puts a newline behind it. A line ends with LF or CRLF.

Options:
      --once          stop after one line
      --framing F     how messages are framed, as in bsockd's configuration: line (the default),
                      raw, '{line: crlf}', '{delimiter: "@@"}', ...
      --timeout TIME  for connecting and for each reply, such as 200ms or 2m; 10s by default
      --dump          show every buffer sent and received on standard error, each byte as a
                      character and as a number
      --hexdump       the same in the form of `hexdump -C`
  -h, --help          show this help
      --version       show the version
      --              what follows is no option: bsock send localhost:51717 -- -1

A server may close the connection after each reply. As long as no request is unanswered then, bsock
says so and makes a new connection for the next one. A request that is left unanswered is an error,
and is not sent again, since the server may have acted on it: on a terminal the next line gets a new
connection, otherwise bsock ends.

Exit status: 0 every request was answered, 1 some was not, 64 wrong usage, 69 could not connect.
)";

CommandLineExit UsageError(std::string_view what) {
  return {kExitUsage, fmt::format("bsock: {}\nTry 'bsock --help'.\n", what)};
}

// The words as they were given, before they are understood.
struct Words {
  std::string address;
  std::string port;
  std::string framing = "line";
  std::string timeout = "10s";
  bool dump = false;
  bool hexdump = false;
};

void AddOptions(CLI::App& app, Words& words) {
  app.set_help_flag("-h,--help");
  app.set_version_flag("--version", fmt::format("bsock {}", kVersion));
  app.add_option("ADDRESS", words.address)->required();
  app.add_option("--framing", words.framing);
  app.add_option("--timeout", words.timeout);
  CLI::Option* dump = app.add_flag("--dump", words.dump);
  app.add_flag("--hexdump", words.hexdump)->excludes(dump);
}

absl::Status Invalid(std::string_view what) { return absl::InvalidArgumentError(ToAbsl(what)); }

absl::StatusOr<Duration> ParseTimeout(std::string_view text) {
  absl::StatusOr<Duration> timeout =
      ParseDuration(text, std::chrono::milliseconds(1), kDurationMax);
  if (timeout.ok()) return timeout;
  return Invalid(
      fmt::format("--timeout {}: that is no time to wait ({})", text, MessageOf(timeout.status())));
}

absl::StatusOr<Address> ParseAddress(const Words& words) {
  absl::StatusOr<Address> address = words.port.empty()
                                        ? Address::Parse(words.address)
                                        : Address::FromHostAndPort(words.address, words.port);
  if (address.ok()) return address;
  return Invalid(fmt::format("{}{}{}: {}", words.address, words.port.empty() ? "" : " ", words.port,
                             MessageOf(address.status())));
}

absl::Status Understand(const Words& words, CommandLine* line) {
  absl::StatusOr<Address> address = ParseAddress(words);
  if (!address.ok()) return address.status();
  absl::StatusOr<FramingConfig> framing = ParseFraming(words.framing);
  if (!framing.ok()) {
    return Invalid(fmt::format("--framing: {}", MessageOf(framing.status())));
  }
  absl::StatusOr<Duration> timeout = ParseTimeout(words.timeout);
  if (!timeout.ok()) return timeout.status();
  line->address = std::move(*address);
  line->framing = std::move(*framing);
  line->timeout = *timeout;
  if (words.dump) line->dump = DumpKind::kCharInt;
  if (words.hexdump) line->dump = DumpKind::kHex;
  return absl::OkStatus();
}

// The words that are no option, which CLI11 leaves alone: as positional arguments it would take
// some messages for its own syntax, such as `[1,2]` and `++`. Words that look like options are
// misspelt ones.
absl::Status TakeMessages(const CLI::App& app, const std::vector<std::string>& verbatim,
                          CommandLine* line) {
  line->messages = app.remaining();
  for (const std::string& word : line->messages) {
    if (word.size() > 1 && word.front() == '-') {
      return Invalid(fmt::format(
          "there is no option {} (put -- before messages that begin with a dash)", word));
    }
  }
  line->messages.insert(line->messages.end(), verbatim.begin(), verbatim.end());
  return absl::OkStatus();
}

}  // namespace

std::variant<CommandLine, CommandLineExit> ParseCommandLine(std::vector<std::string> arguments) {
  CommandLine line;
  line.send = !arguments.empty() && arguments.front() == "send";
  if (line.send) arguments.erase(arguments.begin());

  std::vector<std::string> verbatim;
  if (const auto mark = std::find(arguments.begin(), arguments.end(), "--");
      line.send && mark != arguments.end()) {
    verbatim.assign(mark + 1, arguments.end());
    arguments.erase(mark, arguments.end());
  }

  Words words;
  CLI::App app;
  AddOptions(app, words);
  if (line.send) {
    app.allow_extras();
  } else {
    app.add_option("PORT", words.port);
    app.add_flag("--once", line.once);
  }
  try {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back.
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    return CommandLineExit{kExitOk, std::string(kHelp)};
  } catch (const CLI::CallForVersion& version) {
    return CommandLineExit{kExitOk, fmt::format("{}\n", version.what())};
  } catch (const CLI::ParseError& error) {
    return UsageError(error.what());
  }
  if (!line.send && words.address == "send") {
    return UsageError("`send` comes before the options");
  }
  if (line.send) {
    // `bsock send -- ADDRESS` would be odd, so the address is always before the mark.
    if (const absl::Status taken = TakeMessages(app, verbatim, &line); !taken.ok()) {
      return UsageError(MessageOf(taken));
    }
  }
  if (const absl::Status understood = Understand(words, &line); !understood.ok()) {
    return UsageError(MessageOf(understood));
  }
  return line;
}

}  // namespace bsockd
