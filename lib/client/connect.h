// Opening sockets: a connection to the first of several socket addresses that takes it, and sockets
// for datagrams.
#pragma once

#include <absl/status/statusor.h>

#include <vector>

#include "lib/base/clock.h"
#include "lib/base/unique_fd.h"
#include "lib/net/address.h"

namespace bsockd {

// Tries `addresses` in their order until one accepts, and returns its socket: non-blocking,
// close-on-exec, with TCP_NODELAY where it is TCP. Each attempt may take an equal part of the time
// that is left, so that one address that never answers does not starve the others.
//
// Errors, in the system's own words: that of the last attempt, except that one which only says that
// this machine has no such kind of address or no way there (EAFNOSUPPORT, EADDRNOTAVAIL,
// ENETUNREACH) gives way to any other. DeadlineExceeded where nobody answered. `addresses` must not
// be empty.
absl::StatusOr<UniqueFd> ConnectToAny(const std::vector<SocketAddress>& addresses,
                                      MonotonicTime deadline);

// A socket for datagrams to `peer` and from it alone; connected, so that what the network says of
// the peer (ICMP, RFC 1122 section 4.1.3.3) is an error of the socket, such as "Connection
// refused". On a Unix socket it has an abstract name that the kernel chose (unix(7), autobind), so
// that the peer can answer. Nothing is sent, and nobody needs to be there except on a Unix socket.
//
// Errors, in the system's own words.
absl::StatusOr<UniqueFd> OpenDatagramSocket(const SocketAddress& peer);

}  // namespace bsockd
