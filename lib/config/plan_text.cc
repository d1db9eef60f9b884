// The text of a plan: see plan.h.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/config/plan.h"

namespace bsockd {
namespace {

struct Row {
  std::string_view verb;
  std::string subject;
  std::string effect;  // Of changes; these are aligned among themselves.
  std::string detail;
};

Row RowOf(const PlannedSocket& socket) {
  using What = PlannedSocket::What;
  const bool moves = socket.what == What::kKeep && socket.former != socket.listener;
  return {socket.what == What::kKeep   ? "keep"
          : socket.what == What::kOpen ? "open"
                                       : "close",
          socket.address, "",
          fmt::format("listener {}{}", socket.listener,
                      moves ? fmt::format(", until now of {}", socket.former) : "")};
}

Row RowOf(std::string_view kind, const PlannedEntry& entry) {
  using What = PlannedEntry::What;
  const bool drains = entry.what == What::kRemove && kind == "listener";
  return {entry.what == What::kKeep  ? "keep"
          : entry.what == What::kAdd ? "add"
                                     : "remove",
          fmt::format("{} {}", kind, entry.name), "", drains ? "its connections drain" : ""};
}

std::string_view OrNone(std::string_view value) { return value.empty() ? "(none)" : value; }

std::string Values(const PlannedChange& change) {
  return fmt::format("{} -> {}", OrNone(change.before), OrNone(change.after));
}

std::vector<Row> RowsOf(const ReloadPlan& plan) {
  std::vector<Row> rows;
  for (const PlannedSocket& socket : plan.sockets) rows.push_back(RowOf(socket));
  for (const PlannedEntry& entry : plan.listeners) rows.push_back(RowOf("listener", entry));
  for (const PlannedEntry& entry : plan.handlers) {
    if (entry.what != PlannedEntry::What::kKeep) rows.push_back(RowOf("handler", entry));
  }
  for (const PlannedChange& change : plan.changes) {
    rows.push_back({"change", change.key, FormatEffect(change), Values(change)});
  }
  return rows;
}

}  // namespace

bool ReloadPlan::empty() const {
  const auto stays = [](const PlannedEntry& entry) {
    return entry.what == PlannedEntry::What::kKeep;
  };
  return changes.empty() && std::all_of(listeners.begin(), listeners.end(), stays) &&
         std::all_of(handlers.begin(), handlers.end(), stays) &&
         std::all_of(sockets.begin(), sockets.end(), [](const PlannedSocket& socket) {
           return socket.what == PlannedSocket::What::kKeep && socket.former == socket.listener;
         });
}

std::string FormatEffect(const PlannedChange& change) {
  switch (change.effect) {
    case TakesEffect::kNewConnections:
      return "new connections";
    case TakesEffect::kAfterRestart:
      return "after a restart";
    case TakesEffect::kAtOnce:
      break;
  }
  if (change.except.empty()) return "at once";
  return fmt::format("at once (of {}: new connections)", fmt::join(change.except, ", "));
}

std::string FormatChange(const PlannedChange& change) {
  return fmt::format("{}: {}", change.key, Values(change));
}

std::string FormatPlan(const ReloadPlan& plan) {
  if (plan.empty()) return "nothing would change\n";
  const std::vector<Row> rows = RowsOf(plan);
  size_t subject_width = 0;
  size_t effect_width = 0;
  for (const Row& row : rows) {
    subject_width = std::max(subject_width, row.subject.size());
    effect_width = std::max(effect_width, row.effect.size());
  }
  std::string text;
  for (const Row& row : rows) {
    fmt::format_to(std::back_inserter(text), "{:<6}  {:<{}}  ", row.verb, row.subject,
                   subject_width);
    if (!row.effect.empty()) {
      fmt::format_to(std::back_inserter(text), "{:<{}}  ", row.effect, effect_width);
    }
    text += row.detail;
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return text;
}

}  // namespace bsockd
