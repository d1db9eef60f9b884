#include "client/command_line.h"

#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include "client/exit_code.h"
#include "client/hex.h"
#include "lib/base/text.h"
#include "lib/base/version.h"
#include "lib/config/load.h"
#include "lib/config/scalars.h"

namespace bsockd {
namespace {

constexpr int kRetriesMax = 1000;
constexpr Duration kDatagramTimeout = std::chrono::seconds(2);  // Of each try.

constexpr std::string_view kHelp =
    R"(bsock: talk to a server, a request and a reply at a time.

  bsock [OPTION...] HOST PORT             send lines, print what the server replies
  bsock [OPTION...] ADDRESS
  bsock send [OPTION...] ADDRESS [MESSAGE...]
                                          the same for scripts: nothing but the replies

ADDRESS is HOST:PORT, [IPV6]:PORT, unix:/PATH or unix:@NAME. A name's addresses are tried in order.
udp:HOST:PORT, unixgram:/PATH and unixgram:@NAME are for datagrams: each request is one, and each
reply; framing does not apply.

On a terminal bsock prompts for each line until Ctrl-D. Otherwise it reads the lines of its standard
input and sends up to 64 of them ahead of their replies. `send` takes the messages from the command
line, or from the lines of its standard input where there are none. Each reply is written as soon as
it has come; `send` puts a newline behind it. A line ends with LF or CRLF.

Options:
      --once          stop after one line
      --framing F     how messages are framed, as in bsockd's configuration: line (the default),
                      raw, '{line: crlf}', '{delimiter: "@@"}', '{length: u32be}', netstring, ...
      --reply-framing F
                      how replies are framed, where that is not as requests are
      --hex           with `send`: messages are pairs of hex digits (0a ff, 0A:FF), replies too
      --timeout TIME  for connecting and for each reply, such as 200ms or 2m; 10s by default. With
                      datagrams for each try; 2s by default
      --retries N     how often a datagram without an answer is sent again; 2 by default
      --dump          show every buffer sent and received on standard error, each byte as a
                      character and as a number
      --hexdump       the same in the form of `hexdump -C`
  -h, --help          show this help
      --version       show the version
      --              what follows is no option: bsock send localhost:51717 -- -1

A server may close the connection after each reply. As long as no request is unanswered then, bsock
says so and makes a new connection for the next one. A request that is left unanswered is an error,
and is not sent again, since the server may have acted on it: on a terminal the next line gets a new
connection, otherwise bsock ends. Datagrams get lost, so these are sent again, and a server may see
one more than once; --retries 0 prevents it.

Exit status: 0 every request was answered, 1 some was not, 64 wrong usage, 69 could not connect.
)";

CommandLineExit UsageError(std::string_view what) {
  return {kExitUsage, fmt::format("bsock: {}\nTry 'bsock --help'.\n", what)};
}

// The words as they were given, before they are understood.
struct Words {
  std::string address;
  std::string port;
  std::string framing;
  std::string reply_framing;
  std::string timeout;
  std::string retries;
  bool dump = false;
  bool hexdump = false;
};

void AddOptions(CLI::App& app, Words& words) {
  app.set_help_flag("-h,--help");
  app.set_version_flag("--version", fmt::format("bsock {}", kVersion));
  app.add_option("ADDRESS", words.address)->required();
  app.add_option("--framing", words.framing);
  app.add_option("--reply-framing", words.reply_framing);
  app.add_option("--timeout", words.timeout);
  app.add_option("--retries", words.retries);
  CLI::Option* dump = app.add_flag("--dump", words.dump);
  app.add_flag("--hexdump", words.hexdump)->excludes(dump);
}

absl::Status Invalid(std::string_view what) { return absl::InvalidArgumentError(ToAbsl(what)); }

absl::Status ReadTimeout(std::string_view text, Duration* timeout) {
  const absl::StatusOr<Duration> read =
      ParseDuration(text, std::chrono::milliseconds(1), kDurationMax);
  if (!read.ok()) {
    return Invalid(
        fmt::format("--timeout {}: that is no time to wait ({})", text, MessageOf(read.status())));
  }
  *timeout = *read;
  return absl::OkStatus();
}

absl::Status ReadRetries(std::string_view text, int* retries) {
  const absl::StatusOr<int64_t> read = ParseInteger(text, 0, kRetriesMax);
  if (!read.ok()) {
    return Invalid(fmt::format("--retries {}: {}", text, MessageOf(read.status())));
  }
  *retries = static_cast<int>(*read);
  return absl::OkStatus();
}

absl::StatusOr<Address> ParseAddress(const Words& words) {
  absl::StatusOr<Address> address = words.port.empty()
                                        ? Address::Parse(words.address)
                                        : Address::FromHostAndPort(words.address, words.port);
  if (address.ok() && address->kind == Address::Kind::kSystemd) {
    return Invalid(fmt::format(
        "{}: that names sockets which systemd hands to a server (give the address where they are)",
        words.address));
  }
  if (address.ok()) return address;
  return Invalid(fmt::format("{}{}{}: {}", words.address, words.port.empty() ? "" : " ", words.port,
                             MessageOf(address.status())));
}

// What `option` says, if it was given.
absl::Status ReadFraming(const CLI::App& app, const std::string& option, const std::string& text,
                         std::optional<FramingConfig>* framing) {
  if (app.count(option) == 0) return absl::OkStatus();
  absl::StatusOr<FramingConfig> read = ParseFraming(text);
  if (!read.ok()) return Invalid(fmt::format("{}: {}", option, MessageOf(read.status())));
  *framing = std::move(*read);
  return absl::OkStatus();
}

// Options that say something which does not apply are mistakes.
absl::Status CheckThatItApplies(const CLI::App& app, bool datagrams) {
  if (!datagrams && app.count("--retries") > 0) {
    return Invalid("--retries is for datagrams (udp: and unixgram: addresses)");
  }
  for (const char* option : {"--framing", "--reply-framing"}) {
    if (datagrams && app.count(option) > 0) {
      return Invalid(fmt::format("{} has no meaning with datagrams (each is one message)", option));
    }
  }
  return absl::OkStatus();
}

absl::Status Understand(const CLI::App& app, const Words& words, CommandLine* line) {
  absl::StatusOr<Address> address = ParseAddress(words);
  if (!address.ok()) return address.status();
  line->address = std::move(*address);
  const bool datagrams = line->address.datagrams;
  std::optional<FramingConfig> framing;
  absl::Status status = CheckThatItApplies(app, datagrams);
  status.Update(ReadFraming(app, "--framing", words.framing, &framing));
  status.Update(
      ReadFraming(app, "--reply-framing", words.reply_framing, &line->options.reply_framing));
  if (framing) line->options.framing = std::move(*framing);
  if (datagrams) line->options.timeout = kDatagramTimeout;
  if (app.count("--timeout") > 0) {
    status.Update(ReadTimeout(words.timeout, &line->options.timeout));
  }
  if (app.count("--retries") > 0) {
    status.Update(ReadRetries(words.retries, &line->options.retries));
  }
  if (words.dump) line->dump = DumpKind::kCharInt;
  if (words.hexdump) line->dump = DumpKind::kHex;
  return status;
}

absl::Status DecodeHex(std::vector<std::string>* messages) {
  for (size_t i = 0; i < messages->size(); ++i) {
    absl::StatusOr<std::string> bytes = FromHex((*messages)[i]);
    if (!bytes.ok()) {
      return Invalid(fmt::format("message {}, {}", i + 1, MessageOf(bytes.status())));
    }
    (*messages)[i] = std::move(*bytes);
  }
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
  return line->hex ? DecodeHex(&line->messages) : absl::OkStatus();
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
    app.add_flag("--hex", line.hex);
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
  if (const absl::Status understood = Understand(app, words, &line); !understood.ok()) {
    return UsageError(MessageOf(understood));
  }
  return line;
}

}  // namespace bsockd
