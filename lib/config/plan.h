// What going from one configuration to another changes: for `bsockd --plan`, and for the log when a
// reload has done it. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/config/config.h"

namespace bsockd {

enum class TakesEffect : uint8_t {
  kAtOnce,          // For connections that there are, too.
  kNewConnections,  // Those that there are keep the old value.
  kAfterRestart,    // Until then the old value stays.
};

struct PlannedSocket {
  enum class What : uint8_t { kKeep, kOpen, kClose };
  What what = What::kKeep;
  std::string address;   // As the configuration has it: Address::ToString().
  std::string listener;  // Which has it afterwards; of kClose, which has had it.
  std::string former;    // Of kKeep: which had it before. Often the same.

  bool operator==(const PlannedSocket&) const = default;
};

// A listener or a handler.
struct PlannedEntry {
  enum class What : uint8_t { kKeep, kAdd, kRemove };
  What what = What::kKeep;
  std::string name;

  bool operator==(const PlannedEntry&) const = default;
};

// A key of something that is there before and afterwards. Where a socket is, is not among them.
struct PlannedChange {
  std::string key;     // Its path: listeners.main.limits.max_frame
  std::string before;  // As YAML on one line; empty where the key was not there.
  std::string after;
  TakesEffect effect = TakesEffect::kAtOnce;
  // Of kAtOnce: listeners whose framing changes, so that their old connections keep the old value.
  std::vector<std::string> except;

  bool operator==(const PlannedChange&) const = default;
};

struct ReloadPlan {
  std::vector<PlannedSocket> sockets;
  std::vector<PlannedEntry> listeners;
  std::vector<PlannedEntry> handlers;
  std::vector<PlannedChange> changes;

  // Whether anything at all is different.
  bool empty() const;
};

// Both as they are loaded, with `server.workers: auto` left as it is.
ReloadPlan PlanReload(const Config& before, const Config& after);

// A line for each fact, aligned; `nothing would change` if there is none.
std::string FormatPlan(const ReloadPlan& plan);

// One change in one line: `log.level: info -> debug`
std::string FormatChange(const PlannedChange& change);

// `at once`, `new connections`, `after a restart`; with the exceptions.
std::string FormatEffect(const PlannedChange& change);

}  // namespace bsockd
