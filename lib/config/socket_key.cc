#include "lib/config/socket_key.h"

#include <fmt/format.h>

namespace bsockd {

std::string SocketKey(const ListenerConfig& listener, size_t i) {
  const Address& address = listener.listen[i];
  // A file's name is the same for sockets of both types, but the sockets are not.
  const bool gram = address.datagrams && address.kind == Address::Kind::kUnixPath;
  const std::string key = (gram ? "gram " : "") + address.CanonicalForm();
  if (address.kind != Address::Kind::kTcp || address.port != 0) return key;
  return fmt::format("{} {} {}", key, listener.name, i);
}

std::set<std::string> SocketKeys(const Config& config) {
  std::set<std::string> keys;
  for (const ListenerConfig& listener : config.listeners) {
    for (size_t i = 0; i < listener.listen.size(); ++i) keys.insert(SocketKey(listener, i));
  }
  return keys;
}

}  // namespace bsockd
