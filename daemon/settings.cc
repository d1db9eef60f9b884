#include "daemon/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include "daemon/exit_status.h"
#include "lib/base/text.h"
#include "lib/config/load.h"

namespace bsockd {
namespace {

// `bsockd PORT`: the lecture's server, and every client that is near it.
Config QuickConfig(uint16_t port) {
  Config config;
  HandlerConfig greet;
  greet.name = "greet";
  greet.reply = "I am the server, and I got your message";
  greet.log_requests = true;
  config.handlers.push_back(std::move(greet));

  ListenerConfig main;
  main.name = "main";
  Address loopback;  // 127.0.0.1 and, where there is IPv6, [::1].
  loopback.host = "localhost";
  loopback.port = port;
  main.listen.push_back(std::move(loopback));
  main.framing.kind = FramingConfig::Kind::kDelimiter;
  main.framing.delimiters = {"@@", "\r\n", "\n"};
  main.framing.flush_after = std::chrono::milliseconds(200);
  main.handler = "greet";
  config.listeners.push_back(std::move(main));
  return config;
}

SettingsError ListenUsageError(std::string_view text, std::string_view what) {
  return {.lines = {fmt::format("bsockd: --listen {}: {}", text, what)}, .exit_status = kExitUsage};
}

// Replaces the addresses of the listeners that --listen speaks of.
std::optional<SettingsError> MoveListeners(const std::vector<std::string>& listen, Config* config) {
  std::vector<const ListenerConfig*> moved;
  for (const std::string& text : listen) {
    std::string_view address_text = text;
    ListenerConfig* listener = nullptr;
    const size_t equals = text.find('=');
    if (equals != text.npos) {
      const std::string_view name = address_text.substr(0, equals);
      const auto found = std::find_if(config->listeners.begin(), config->listeners.end(),
                                      [&](const auto& each) { return each.name == name; });
      // A path may hold a `=` of its own.
      if (found != config->listeners.end()) {
        listener = &*found;
        address_text.remove_prefix(equals + 1);
      }
    }
    if (listener == nullptr) {
      if (config->listeners.size() != 1) {
        return ListenUsageError(text, "there are several listeners (write NAME=ADDRESS)");
      }
      listener = &config->listeners.front();
    }
    absl::StatusOr<Address> address = Address::Parse(address_text);
    if (!address.ok()) return ListenUsageError(text, MessageOf(address.status()));
    if (std::find(moved.begin(), moved.end(), listener) == moved.end()) {
      moved.push_back(listener);
      listener->listen.clear();
    }
    listener->listen.push_back(*std::move(address));
  }
  return std::nullopt;
}

}  // namespace

std::string ConfigFile(const Flags& flags) {
  return flags.config_file.value_or(std::string(kDefaultConfigFile));
}

std::variant<Config, SettingsError> EffectiveConfig(const Flags& flags) {
  Config config;
  if (flags.port.has_value()) {
    config = QuickConfig(*flags.port);
  } else {
    const std::string file = ConfigFile(flags);
    LoadedConfig loaded = LoadConfigFile(file);
    if (!loaded.ok()) {
      const std::string errors = FormatErrors(file, loaded.errors);
      const std::vector<std::string_view> lines = Lines(errors);
      SettingsError error{.lines = {lines.begin(), lines.end()}, .exit_status = kExitConfiguration};
      if (!flags.config_file.has_value()) {
        error.lines.emplace_back("bsockd: name a file with --config, or try: bsockd 51717");
      }
      return error;
    }
    config = std::move(loaded.config);
  }
  if (std::optional<SettingsError> error = MoveListeners(flags.listen, &config)) return *error;
  if (flags.log_level.has_value()) config.log.level = *flags.log_level;
  if (flags.io.has_value()) config.server.io = *flags.io;
  return config;
}

}  // namespace bsockd
