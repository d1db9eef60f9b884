#include "lib/config/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "lib/config/dump.h"
#include "lib/config/settings_tree.h"
#include "lib/config/socket_key.h"

namespace bsockd {
namespace {

template <typename T>
const T* FindNamed(const std::vector<T>& entries, std::string_view name) {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const T& entry) { return entry.name == name; });
  return found == entries.end() ? nullptr : &*found;
}

// Whether connections of `before` cannot go over to `after`: what they have sent so far is cut by
// the old framing.
bool FramingChanges(const ListenerConfig& before, const ListenerConfig& after) {
  return before.framing != after.framing || before.reply_framing != after.reply_framing ||
         before.limits.max_frame != after.limits.max_frame;
}

bool HasConnections(const ListenerConfig& listener) {
  return std::any_of(listener.listen.begin(), listener.listen.end(),
                     [](const Address& address) { return !address.datagrams; });
}

bool IsOneOf(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

class Planner {
 public:
  Planner(const Config& before, const Config& after) : before_(before), after_(after) {}

  ReloadPlan Plan() {
    PlanSockets();
    PlanEntries(before_.listeners, after_.listeners, &plan_.listeners);
    PlanEntries(before_.handlers, after_.handlers, &plan_.handlers);
    const Setting before = ParseDump(DumpEverything(before_));
    const Setting after = ParseDump(DumpEverything(after_));
    for (const auto& [section, settings] : after.entries) {
      const Setting* old = before.Find(section);
      if (old == nullptr) continue;
      if (!IsOneOf(section, {"handlers", "listeners"})) {
        Compare(old, &settings, {section});
        continue;
      }
      for (const auto& [name, entry] : settings.entries) {
        if (const Setting* of_old = old->Find(name)) Compare(of_old, &entry, {section, name});
      }
    }
    return std::move(plan_);
  }

 private:
  using Path = std::vector<std::string>;

  void PlanSockets() {
    using What = PlannedSocket::What;
    std::map<std::string, std::string> had;  // By SocketKey(): which listener.
    for (const ListenerConfig& listener : before_.listeners) {
      for (size_t i = 0; i < listener.listen.size(); ++i) {
        had.emplace(SocketKey(listener, i), listener.name);
      }
    }
    const std::set<std::string> has = SocketKeys(after_);
    for (const ListenerConfig& listener : after_.listeners) {
      for (size_t i = 0; i < listener.listen.size(); ++i) {
        const auto found = had.find(SocketKey(listener, i));
        const bool kept = found != had.end();
        plan_.sockets.push_back({kept ? What::kKeep : What::kOpen, listener.listen[i].ToString(),
                                 listener.name, kept ? found->second : ""});
      }
    }
    for (const ListenerConfig& listener : before_.listeners) {
      for (size_t i = 0; i < listener.listen.size(); ++i) {
        if (has.contains(SocketKey(listener, i))) continue;
        plan_.sockets.push_back({What::kClose, listener.listen[i].ToString(), listener.name, ""});
      }
    }
  }

  template <typename T>
  static void PlanEntries(const std::vector<T>& before, const std::vector<T>& after,
                          std::vector<PlannedEntry>* entries) {
    using What = PlannedEntry::What;
    for (const T& entry : after) {
      const bool old = FindNamed(before, entry.name) != nullptr;
      entries->push_back({old ? What::kKeep : What::kAdd, entry.name});
    }
    for (const T& entry : before) {
      if (FindNamed(after, entry.name) == nullptr) entries->push_back({What::kRemove, entry.name});
    }
  }

  // Null for what is not there.
  void Compare(const Setting* before, const Setting* after, const Path& path) {
    // Two ways to say a thing (of a framing, with and without `enforce`) are compared as a whole;
    // a section, a handler and a listener key by key, whichever keys they have.
    const bool whole = before == nullptr || after == nullptr || before->entries.empty() ||
                       after->entries.empty() || (path.size() > 2 && !SameKeys(*before, *after));
    if (whole) return CompareWhole(before, after, path);
    for (const auto& [key, value] : after->entries) Descend(before->Find(key), &value, path, key);
    for (const auto& [key, value] : before->entries) {
      if (after->Find(key) == nullptr) Descend(&value, nullptr, path, key);
    }
  }

  void Descend(const Setting* before, const Setting* after, Path path, const std::string& key) {
    const bool sockets = path.size() == 2 && path[0] == "listeners" && key == "listen";
    if (sockets) return;
    path.push_back(key);
    Compare(before, after, path);
  }

  static bool SameKeys(const Setting& a, const Setting& b) {
    return a.entries.size() == b.entries.size() &&
           std::all_of(a.entries.begin(), a.entries.end(),
                       [&](const auto& entry) { return b.Find(entry.key) != nullptr; });
  }

  void CompareWhole(const Setting* before, const Setting* after, const Path& path) {
    PlannedChange change;
    if (before != nullptr) change.before = before->ToString();
    if (after != nullptr) change.after = after->ToString();
    if (change.before == change.after) return;
    change.key = fmt::format("{}", fmt::join(path, "."));
    SetEffect(path, &change);
    plan_.changes.push_back(std::move(change));
  }

  void SetEffect(const Path& path, PlannedChange* change) {
    if (path[0] == "handlers") return SetHandlerEffect(path[1], change);
    if (path[0] == "listeners") {
      change->effect = ListenerEffect(path);
      return;
    }
    const bool at_once =
        path[0] == "server"
            ? IsOneOf(path[1], {"max_connections", "memory_limit", "drain_timeout", "protected"})
            : path[0] == "log" && path[1] == "level";
    change->effect = at_once ? TakesEffect::kAtOnce : TakesEffect::kAfterRestart;
  }

  // Connections that cannot go over to the new framing keep their old handler, too.
  void SetHandlerEffect(const std::string& handler, PlannedChange* change) {
    size_t users = 0;
    for (const ListenerConfig& before : before_.listeners) {
      const ListenerConfig* after = FindNamed(after_.listeners, before.name);
      if (before.handler != handler || after == nullptr || !HasConnections(before)) continue;
      ++users;
      if (FramingChanges(before, *after)) change->except.push_back(before.name);
    }
    if (users == 0 || change->except.size() < users) return;
    change->effect = TakesEffect::kNewConnections;
    change->except.clear();
  }

  TakesEffect ListenerEffect(const Path& path) const {
    const ListenerConfig& before = *FindNamed(before_.listeners, path[1]);
    const ListenerConfig& after = *FindNamed(after_.listeners, path[1]);
    const bool for_sockets = path[2] == "mode";
    if (for_sockets || !HasConnections(before)) return TakesEffect::kAtOnce;
    const bool at_accept =
        IsOneOf(path[2], {"allow", "deny", "peer"}) ||
        (path.size() > 3 && IsOneOf(path[3], {"max_connections", "max_connections_per_ip"}));
    return at_accept || FramingChanges(before, after) ? TakesEffect::kNewConnections
                                                      : TakesEffect::kAtOnce;
  }

  const Config& before_;
  const Config& after_;
  ReloadPlan plan_;
};

}  // namespace

ReloadPlan PlanReload(const Config& before, const Config& after) {
  return Planner(before, after).Plan();
}

}  // namespace bsockd
