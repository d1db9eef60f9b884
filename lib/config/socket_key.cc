#include "lib/config/socket_key.h"

#include <fmt/format.h>

namespace bsockd {
namespace {

constexpr std::string_view kDatagrams = "gram ";

}  // namespace

std::string SocketKey(const ListenerConfig& listener, size_t i) {
  const Address& address = listener.listen[i];
  // A file's name is the same for sockets of both types, but the sockets are not.
  const bool gram = address.datagrams && address.kind == Address::Kind::kUnixPath;
  const std::string key = fmt::format("{}{}", gram ? kDatagrams : "", address.CanonicalForm());
  if (address.kind != Address::Kind::kTcp || address.port != 0) return key;
  return fmt::format("{} {} {}", key, listener.name, i);
}

bool IsOfSocketUnit(std::string_view key) { return key.starts_with("systemd:"); }

std::string KeyOfOtherType(std::string_view key) {
  if (key.starts_with(kDatagrams)) return std::string(key.substr(kDatagrams.size()));
  return fmt::format("{}{}", kDatagrams, key);
}

std::set<std::string> SocketKeys(const Config& config) {
  std::set<std::string> keys;
  for (const ListenerConfig& listener : config.listeners) {
    for (size_t i = 0; i < listener.listen.size(); ++i) keys.insert(SocketKey(listener, i));
  }
  return keys;
}

}  // namespace bsockd
