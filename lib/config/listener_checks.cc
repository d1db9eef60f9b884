#include "lib/config/listener_checks.h"

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "lib/config/value_reader.h"
#include "lib/net/ip.h"

namespace bsockd {
namespace {

// Whether the network can reach it, for all that its text says; of systemd:NAME it says nothing.
bool IsExposed(const Address& address) {
  if (address.kind != Address::Kind::kTcp) return false;
  if (address.host == "*") return true;
  const std::string_view host = address.host;
  const absl::StatusOr<CidrBlock> literal = CidrBlock::Parse(host.substr(0, host.find('%')));
  return literal.ok() && !literal->network.is_loopback();
}

}  // namespace

void CheckAddresses(const std::vector<PlacedListener>& listeners, ErrorList* errors) {
  absl::flat_hash_map<std::string, std::pair<const PlacedListener*, int>> taken;
  for (const PlacedListener& listener : listeners) {
    if (errors->full()) return;
    for (size_t i = 0; i < listener.listen.size(); ++i) {
      const Address& address = listener.config.listen[i];
      if (address.kind == Address::Kind::kTcp && address.port == 0) continue;
      const int line = listener.listen[i].line;
      const auto [first, added] =
          taken.try_emplace(address.CanonicalForm(), std::pair(&listener, line));
      if (added) continue;
      errors->Add(listener.listen[i],
                  fmt::format("listener {} has the address {} already (on line {})",
                              Quoted(first->second.first->config.name), Quoted(address.ToString()),
                              first->second.second));
    }
  }
}

void CheckProtection(const std::vector<PlacedListener>& listeners, Protected protection,
                     ErrorList* errors) {
  if (protection != Protected::kStrict) return;
  for (const PlacedListener& listener : listeners) {
    const Limit<std::vector<CidrBlock>>& allow = listener.config.allow;
    if (!listener.allow_known || (!allow.value.empty() && allow.enforce)) continue;
    for (size_t i = 0; i < listener.listen.size(); ++i) {
      const Address& address = listener.config.listen[i];
      if (!IsExposed(address)) continue;
      errors->Add(
          listener.listen[i],
          fmt::format("{} is open to the network, and {} (with protected: strict, give listener {} "
                      "an allow list of who may connect, or listen on 127.0.0.1)",
                      Quoted(address.ToString()),
                      allow.value.empty() ? "there is no allow" : "its allow is not enforced",
                      Quoted(listener.config.name)));
    }
  }
}

}  // namespace bsockd
