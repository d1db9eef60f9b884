// DumpConfig of load.h.
#include "lib/config/dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/config/load.h"
#include "lib/config/names.h"
#include "lib/config/scalars.h"

namespace bsockd {
namespace {

// Appends lines of YAML to a string.
class Dumper {
 public:
  // With `everything`, also what concerns none of a listener's addresses.
  explicit Dumper(bool everything) : everything_(everything) {}

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
    LimitLine(1, "max_connections", server.max_connections);
    LimitLine(1, "memory_limit", server.memory_limit);
    Line(1, "drain_timeout: {}", FormatDuration(server.drain_timeout));
    Line(1, "protected: {}", NameOf(kProtectedNames, server.protection));
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
    const auto has = [&](auto... kinds) {
      return std::any_of(listener.listen.begin(), listener.listen.end(),
                         [&](const Address& address) { return ((address.kind == kinds) || ...); });
    };
    using Kind = Address::Kind;
    if (everything_ || has(Kind::kUnixPath)) Line(2, "mode: {}", FormatMode(listener.mode));
    Framing(2, "framing", listener.framing);
    if (listener.reply_framing) Framing(2, "reply_framing", *listener.reply_framing);
    Line(2, "handler: {}", Key(listener.handler));
    Limits(listener.limits);
    Timeouts(listener.timeouts);
    Line(2, "errors: {}", NameOf(kErrorsNames, listener.reply_errors));
    // What concerns none of its addresses is left out, as long as it says nothing.
    const bool ip = everything_ || has(Kind::kTcp, Kind::kSystemd);
    if (ip || listener.allow != Limit<std::vector<CidrBlock>>()) Blocks("allow", listener.allow);
    if (ip || listener.deny != Limit<std::vector<CidrBlock>>()) Blocks("deny", listener.deny);
    if (everything_ || has(Kind::kUnixPath, Kind::kUnixAbstract, Kind::kSystemd) ||
        listener.peer != Limit<PeerConfig>()) {
      Peer(listener.peer);
    }
  }

  std::string Take() { return std::move(out_); }

 private:
  static std::string Format(int number) { return fmt::to_string(number); }
  static std::string Format(size_t size) { return FormatSize(size); }
  static std::string Format(Duration duration) { return FormatDuration(duration); }

  template <typename T>
  void LimitLine(int indent, std::string_view key, const Limit<T>& limit) {
    LimitLine(indent, key, Format(limit.value), limit.enforce);
  }
  void LimitLine(int indent, std::string_view key, std::string_view value, bool enforce) {
    if (enforce) {
      Line(indent, "{}: {}", key, value);
    } else {
      Line(indent, "{}: {{value: {}, enforce: false}}", key, value);
    }
  }
  template <typename T>
  static std::string NumberOrOff(T number) {
    return number == 0 ? "off" : fmt::to_string(number);
  }

  void Limits(const LimitsConfig& limits) {
    Line(2, "limits:");
    LimitLine(3, "max_connections", limits.max_connections);
    LimitLine(3, "max_connections_per_ip", limits.max_connections_per_ip);
    LimitLine(3, "max_frame", limits.max_frame);
    LimitLine(3, "max_pipeline", limits.max_pipeline);
    LimitLine(3, "output_high", limits.output_high);
    Line(3, "output_low: {}", FormatSize(limits.output_low));
    LimitLine(3, "requests_per_second", NumberOrOff(limits.requests_per_second.value),
              limits.requests_per_second.enforce);
    if (everything_ || limits.requests_burst != 0) {
      Line(3, "requests_burst: {}", NumberOrOff(limits.requests_burst));
    }
    LimitLine(3, "max_requests", NumberOrOff(limits.max_requests.value),
              limits.max_requests.enforce);
  }

  void Timeouts(const TimeoutsConfig& timeouts) {
    Line(2, "timeouts:");
    LimitLine(3, "first_byte", timeouts.first_byte);
    LimitLine(3, "frame", timeouts.frame);
    LimitLine(3, "idle", timeouts.idle);
    LimitLine(3, "write", timeouts.write);
  }

  // A list of strings, each of which goes in quotes.
  void List(int indent, std::string_view key, const std::vector<std::string>& items) {
    if (items.empty()) return Line(indent, "{}: []", key);
    Line(indent, "{}:", key);
    for (const std::string& item : items) Line(indent + 1, "- {}", QuoteYaml(item));
  }

  void Blocks(std::string_view key, const Limit<std::vector<CidrBlock>>& blocks) {
    std::vector<std::string> items;
    for (const CidrBlock& block : blocks.value) items.push_back(block.ToString());
    if (blocks.enforce) return List(2, key, items);
    Line(2, "{}:", key);
    List(3, "value", items);
    Line(3, "enforce: false");
  }

  void Peer(const Limit<PeerConfig>& peer) {
    Line(2, "peer:");
    if (!peer.enforce) Line(3, "value:");
    const int indent = peer.enforce ? 3 : 4;
    List(indent, "uid", peer.value.users);
    List(indent, "gid", peer.value.groups);
    if (!peer.enforce) Line(3, "enforce: false");
  }

  void Framing(int indent, std::string_view key, const FramingConfig& framing) {
    if (framing.kind == FramingConfig::Kind::kRaw) return Line(indent, "{}: raw", key);
    Line(indent, "{}:", key);
    FramingKind(indent + 1, framing);
    // In replies, only that counts.
    if (key == "reply_framing") return;
    if (framing.kind == FramingConfig::Kind::kLine ||
        framing.kind == FramingConfig::Kind::kDelimiter) {
      Line(indent + 1, "flush_after: {}",
           framing.flush_after ? FormatDuration(*framing.flush_after) : "off");
    }
    Line(indent + 1, "eof: {}", NameOf(kAtEofNames, framing.eof));
    Line(indent + 1, "overlong: {}", NameOf(kOverlongNames, framing.overlong));
  }

  void FramingKind(int indent, const FramingConfig& framing) {
    switch (framing.kind) {
      case FramingConfig::Kind::kLine:
        return Line(indent, "line: any");
      case FramingConfig::Kind::kDelimiter:
        return List(indent, "delimiter", framing.delimiters);
      case FramingConfig::Kind::kLength:
        return Length(indent, framing.length);
      case FramingConfig::Kind::kNetstring:
        return Line(indent, "netstring:");
      case FramingConfig::Kind::kVarint:
        return Line(indent, "varint:");
      case FramingConfig::Kind::kFixed:
        return Line(indent, "fixed: {}", FormatSize(framing.fixed_bytes));
      case FramingConfig::Kind::kRaw:
        return Line(indent, "raw:");
    }
  }

  void Length(int indent, const LengthFieldConfig& field) {
    for (const LengthPreset& preset : kLengthPresets) {
      if (FieldOf(preset) == field) return Line(indent, "length: {}", preset.name);
    }
    Line(indent, "length:");
    Line(indent + 1, "width: {}", field.width);
    Line(indent + 1, "endian: {}", NameOf(kEndianNames, field.little_endian));
    Line(indent + 1, "offset: {}", field.offset);
    Line(indent + 1, "adjust: {}", field.adjust);
    Line(indent + 1, "strip: {}", field.strip);
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

  const bool everything_;
  std::string out_;
};

std::string Dump(const Config& config, bool everything) {
  Dumper dumper(everything);
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

}  // namespace

std::string DumpConfig(const Config& config) { return Dump(config, false); }

std::string DumpEverything(const Config& config) { return Dump(config, true); }

}  // namespace bsockd
