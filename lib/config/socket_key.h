// What the sockets of an address are known by, over reloads, restarts and takeovers. Pure.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>

#include "lib/config/config.h"

namespace bsockd {

// Of a listener's address number `i`: the address's canonical form, with `gram ` before it if that
// is a file and for datagrams. Port 0 is another port for each listener, so there the listener's
// name and the number are added. The same key, the same sockets.
std::string SocketKey(const ListenerConfig& listener, size_t i);
// Whether sockets of this key belong to a .socket unit of systemd.
bool IsOfSocketUnit(std::string_view key);
// What the file of a Unix socket would be known by if it were for datagrams and not for streams, or
// the other way round. Of other sockets: nothing that is a key.
std::string KeyOfOtherType(std::string_view key);
// Those of all listeners.
std::set<std::string> SocketKeys(const Config& config);

}  // namespace bsockd
