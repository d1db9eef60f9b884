// DumpConfig of load.h.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "lib/config/load.h"
#include "lib/config/names.h"
#include "lib/config/scalars.h"

namespace bsockd {
namespace {

// Appends lines of YAML to a string.
class Dumper {
 public:
  // `indent` in levels of two spaces.
  template <typename... Args>
  void Line(int indent, fmt::format_string<Args...> format, Args&&... args) {
    out_.append(static_cast<size_t>(indent) * 2, ' ');
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_.push_back('\n');
  }

  void Server(const ServerConfig& server) {
    Line(0, "server:");
    if (server.workers == 0) {
      Line(1, "workers: auto");
    } else {
      Line(1, "workers: {}", server.workers);
    }
    Line(1, "io: {}", NameOf(kIoBackendNames, server.io));
    Line(1, "max_connections: {}", server.max_connections.value);
    Line(1, "drain_timeout: {}", FormatDuration(server.drain_timeout));
  }

  void Log(const LogConfig& log) {
    Line(0, "log:");
    Line(1, "level: {}", NameOf(kLogLevelNames, log.level));
    Line(1, "format: {}", NameOf(kLogFormatNames, log.format));
  }

  void Handler(const HandlerConfig& handler) {
    Line(1, "{}:", Key(handler.name));
    if (handler.reply) Line(2, "reply: {}", QuoteYaml(*handler.reply));
    if (handler.builtin) Line(2, "builtin: {}", NameOf(kBuiltinNames, *handler.builtin));
    Line(2, "log_requests: {}", handler.log_requests);
  }

  void Listener(const ListenerConfig& listener) {
    Line(1, "{}:", Key(listener.name));
    Line(2, "listen:");
    for (const Address& address : listener.listen) {
      Line(3, "- {}", QuoteYaml(address.ToString()));
    }
    const bool unix_path = std::any_of(
        listener.listen.begin(), listener.listen.end(),
        [](const Address& address) { return address.kind == Address::Kind::kUnixPath; });
    if (unix_path) Line(2, "mode: {}", FormatMode(listener.mode));
    Framing(listener.framing);
    Line(2, "handler: {}", Key(listener.handler));
    Line(2, "limits:");
    Line(3, "max_frame: {}", FormatSize(listener.limits.max_frame.value));
    Line(3, "output_high: {}", FormatSize(listener.limits.output_high.value));
    Line(3, "output_low: {}", FormatSize(listener.limits.output_low));
  }

  std::string Take() { return std::move(out_); }

 private:
  void Framing(const FramingConfig& framing) {
    switch (framing.kind) {
      default:
        Line(2, "framing: raw");
        return;
      case FramingConfig::Kind::kLine:
        Line(2, "framing:");
        Line(3, "line: any");
        break;
      case FramingConfig::Kind::kDelimiter:
        Line(2, "framing:");
        Line(3, "delimiter:");
        for (const std::string& delimiter : framing.delimiters) {
          Line(4, "- {}", QuoteYaml(delimiter));
        }
        break;
    }
    Line(3, "flush_after: {}", framing.flush_after ? FormatDuration(*framing.flush_after) : "off");
    Line(3, "eof: {}", NameOf(kAtEofNames, framing.eof));
  }

  // A name has no character that YAML gives a meaning to within a word, but it may look like a
  // number or begin as a list item does.
  static std::string Key(const std::string& name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    const bool plain =
        !name.empty() && letter(name.front()) && std::all_of(name.begin(), name.end(), [&](char c) {
          return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-';
        });
    // The words that YAML 1.1 or 1.2 reads as null or as booleans.
    constexpr std::string_view kWords[] = {"null", "true", "false", "yes", "no",
                                           "on",   "off",  "y",     "n"};
    std::string lower = name;
    for (char& c : lower) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    const bool word = std::find(std::begin(kWords), std::end(kWords), lower) != std::end(kWords);
    return plain && !word ? name : QuoteYaml(name);
  }

  std::string out_;
};

}  // namespace

std::string DumpConfig(const Config& config) {
  Dumper dumper;
  dumper.Server(config.server);
  dumper.Log(config.log);
  // A map without entries has no block form.
  if (config.handlers.empty()) {
    dumper.Line(0, "handlers: {{}}");
  } else {
    dumper.Line(0, "handlers:");
  }
  for (const HandlerConfig& handler : config.handlers) dumper.Handler(handler);
  dumper.Line(0, "listeners:");
  for (const ListenerConfig& listener : config.listeners) dumper.Listener(listener);
  return dumper.Take();
}

}  // namespace bsockd
