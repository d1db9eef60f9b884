#include "lib/config/config_reader.h"

#include <absl/container/flat_hash_set.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/text.h"
#include "lib/config/limits_reader.h"
#include "lib/config/listener_checks.h"
#include "lib/config/listener_reader.h"
#include "lib/config/names.h"

namespace bsockd {
namespace {

constexpr size_t kNameBytesMax = 64;
// More names than this are not searched for one that was meant.
constexpr size_t kSuggestionsMax = 100;

class ConfigReader {
 public:
  explicit ConfigReader(ValueReader* reader) : reader_(*reader) {}

  Config Read(const YamlNode* root) {
    const YamlNode empty;
    if (root == nullptr) root = &empty;
    if (root->kind != YamlNode::Kind::kMap && root->kind != YamlNode::Kind::kNull) {
      reader_.errors().Add(root->place,
                           "a configuration is a map: lines of KEY: VALUE, such as "
                           "listeners: and handlers:");
      return {};
    }
    // A listener has something of `server` and `defaults`, wherever these stand.
    std::vector<Value> defaults;
    std::vector<Value> listeners;
    reader_.ReadMap({root, "", root->place, root->place},
                    {
                        {"server", [this](const Value& v) { ReadServer(v); }},
                        {"log", [this](const Value& v) { ReadLog(v); }},
                        {"defaults", [&](const Value& v) { defaults.push_back(v); }},
                        {"handlers", [this](const Value& v) { ReadHandlers(v); }},
                        {"listeners", [&](const Value& v) { listeners.push_back(v); }},
                    });
    defaults_.limits.max_connections = config_.server.max_connections;
    defaults_.limits.max_connections_per_ip = config_.server.max_connections;
    for (const Value& value : defaults) ReadDefaults(value);
    for (const Value& value : listeners) ReadListeners(value);
    CheckListeners();
    for (PlacedListener& listener : listeners_) {
      config_.listeners.push_back(std::move(listener.config));
    }
    return std::move(config_);
  }

 private:
  void ReadServer(const Value& value) {
    ServerConfig& server = config_.server;
    reader_.ReadMap(
        value,
        {
            {"workers", [&](const Value& v) { ReadWorkers(v); }},
            {"io", [&](const Value& v) { reader_.ReadName(v, kIoBackendNames, &server.io); }},
            {"max_connections",
             [&](const Value& v) {
               reader_.ReadLimit(v, &server.max_connections, [this](const Value& number, int* out) {
                 return reader_.ReadInteger(number, 1, kMaxConnectionsMax, out);
               });
             }},
            {"memory_limit",
             [&](const Value& v) {
               reader_.ReadLimit(v, &server.memory_limit, [this](const Value& size, size_t* out) {
                 return reader_.ReadSize(size, kMemoryLimitMin, kMemoryLimitMax, out);
               });
             }},
            {"drain_timeout",
             [&](const Value& v) {
               reader_.ReadDuration(v, Duration::zero(), kDurationMax, &server.drain_timeout);
             }},
            {"protected",
             [&](const Value& v) { reader_.ReadName(v, kProtectedNames, &server.protection); }},
        });
  }

  void ReadWorkers(const Value& value) {
    reader_.ReadIntegerOr("auto", value, 1, kWorkersMax, &config_.server.workers);
  }

  void ReadLog(const Value& value) {
    LogConfig& log = config_.log;
    reader_.ReadMap(
        value,
        {
            {"level", [&](const Value& v) { reader_.ReadName(v, kLogLevelNames, &log.level); }},
            {"format", [&](const Value& v) { reader_.ReadName(v, kLogFormatNames, &log.format); }},
        });
  }

  void ReadDefaults(const Value& value) {
    reader_.ReadMap(
        value, {
                   {"limits", [this](const Value& v) { ReadLimits(v, &reader_, &defaults_); }},
                   {"timeouts", [this](const Value& v) { ReadTimeouts(v, &reader_, &defaults_); }},
                   {"errors", [this](const Value& v) { ReadErrors(v, &reader_, &defaults_); }},
               });
  }

  void ReadHandlers(const Value& value) {
    handlers_known_ = reader_.ReadEntries(value, [this](const Value& entry, bool first) {
      CheckName(entry, "handler");
      HandlerConfig handler = ReadHandler(entry);
      if (!first) return;
      handler_names_.push_back(entry.name);
      known_handlers_.insert(entry.name);
      config_.handlers.push_back(std::move(handler));
    });
  }

  HandlerConfig ReadHandler(const Value& entry) {
    HandlerConfig handler;
    handler.name = entry.name;
    std::vector<Value> kinds;
    const bool is_map = reader_.ReadMap(
        entry,
        {
            {"reply",
             [&](const Value& v) {
               kinds.push_back(v);
               reader_.ReadString(v, "it is the text of the reply; none at all is \"\"",
                                  &handler.reply.emplace());
             }},
            {"builtin",
             [&](const Value& v) {
               kinds.push_back(v);
               reader_.ReadName(v, kBuiltinNames, &handler.builtin.emplace());
             }},
            {"log_requests", [&](const Value& v) { reader_.ReadBool(v, &handler.log_requests); }},
        });
    if (!is_map) return handler;
    if (handler.reply && handler.builtin) {
      const auto second = std::find_if(kinds.begin(), kinds.end(), [&](const Value& value) {
        return value.name != kinds.front().name;
      });
      reader_.errors().Add(second->key_place,
                           fmt::format("handler {} has both {} and {} (keep one)",
                                       Quoted(entry.name), kinds.front().name, second->name));
    } else if (kinds.empty()) {
      reader_.errors().Add(
          entry.key_place,
          fmt::format("handler {} does nothing (give it reply: TEXT or builtin: NAME)",
                      Quoted(entry.name)));
    }
    return handler;
  }

  void ReadListeners(const Value& value) {
    listeners_place_ = value.key_place;
    listeners_known_ = reader_.ReadEntries(value, [this](const Value& entry, bool first) {
      CheckName(entry, "listener");
      any_listener_ = true;
      PlacedListener listener = ReadListener(entry, defaults_, &reader_);
      if (first) listeners_.push_back(std::move(listener));
    });
  }

  void CheckName(const Value& entry, std::string_view what) {
    const bool allowed = std::all_of(entry.name.begin(), entry.name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '-' || c == '.';
    });
    if (allowed && !entry.name.empty() && entry.name.size() <= kNameBytesMax) return;
    reader_.errors().Add(entry.key_place,
                         fmt::format("a {} cannot be called {} (a name is 1 to {} letters, digits, "
                                     "_, - and .)",
                                     what, Quoted(entry.name), kNameBytesMax));
  }

  void CheckListeners() {
    if (!any_listener_ && listeners_known_) {
      reader_.errors().Add(listeners_place_,
                           "no listeners (listeners: NAME: {listen: ADDRESS, handler: NAME})");
    }
    CheckAddresses(listeners_, &reader_.errors());
    CheckProtection(listeners_, config_.server.protection, &reader_.errors());
    if (!handlers_known_) return;
    for (const PlacedListener& listener : listeners_) {
      if (listener.handler.line != 0) CheckHandler(listener);
    }
  }

  void CheckHandler(const PlacedListener& listener) {
    const std::string& name = listener.config.handler;
    if (known_handlers_.contains(name)) return;
    reader_.errors().Add(listener.handler,
                         fmt::format("no handler is called {} ({})", Quoted(name), HintFor(name)));
  }

  std::string HintFor(std::string_view handler) const {
    if (FromName(kBuiltinNames, handler)) {
      return fmt::format("define it under handlers, as in {0}: {{builtin: {0}}}", handler);
    }
    const size_t count = std::min(handler_names_.size(), kSuggestionsMax);
    const std::string_view near = NearestWord(handler, handler_names_.data(), count);
    if (!near.empty()) return fmt::format("did you mean \"{}\"?", near);
    if (handler_names_.empty()) return "none is defined; define it under handlers";
    constexpr size_t kListedMax = 10;
    if (count <= kListedMax) return "the handlers are " + Join(handler_names_, "and");
    return "define it under handlers";
  }

  ValueReader& reader_;
  Config config_;
  ListenerDefaults defaults_;
  std::vector<PlacedListener> listeners_;
  std::vector<std::string_view> handler_names_;  // Borrowed from the document.
  absl::flat_hash_set<std::string_view> known_handlers_;
  Place listeners_place_;
  bool handlers_known_ = true;  // Not if `handlers` is something else than a map.
  bool listeners_known_ = true;
  bool any_listener_ = false;
};

}  // namespace

Config ReadConfig(const YamlNode* root, ValueReader* reader) {
  return ConfigReader(reader).Read(root);
}

}  // namespace bsockd
