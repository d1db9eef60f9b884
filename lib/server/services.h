// Services: what a configuration serves, ready to be served: its listeners, and the sockets by
// which clients find them.
//
// They are made in two steps, because a reload must not hold up the control thread, and the first
// step can take long:
//
//   made = MakeServices(config, present addresses, ...)    // any thread: names, users, new sockets
//   services = Assemble(config, made, present sockets)     // control thread
//
// Thread: none is shared while it is made; listeners are immutable then.
#pragma once

#include <absl/status/statusor.h>
#include <spdlog/logger.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/config/config.h"
#include "lib/handler/request_log.h"
#include "lib/metrics/metrics.h"
#include "lib/net/listen_socket.h"
#include "lib/server/messages.h"

namespace bsockd {

struct Services {
  ListenersByName listeners;
  ListenSockets sockets;                 // All of them, by SocketKey() (lib/config).
  std::vector<BoundListener> streams;    // The acceptor's, in the order of the configuration.
  std::vector<BoundListener> datagrams;  // The workers'; each UDP address is there once a worker.
};

// That systemd has passed no socket of this key, and what is to be done.
std::string NoSuchSocket(std::string_view systemd_key);

struct NewServices {
  ListenersByName listeners;
  ListenSockets sockets;  // Those that had to be bound.
};

// Makes every listener, looks up the users that it names, and binds every address that is not
// `present` (by SocketKey()), or is so but with its file gone. What is present and has no place in
// `config` is taken to be closed soon: a new address may include one of these, as *:80 does
// 127.0.0.1:80. `former`: the listeners that these replace; what they know of their clients'
// addresses is kept. The number of workers must be settled. `request_log` and `metrics` outlive
// what is returned.
//
// May block. Errors: InvalidArgument for a user that there is not, and for a socket that systemd
// should have passed; Unavailable, naming the address and the reason, where it cannot be bound.
absl::StatusOr<NewServices> MakeServices(const Config& config, const ListenSockets& present,
                                         const ListenersByName& former, RequestLog* request_log,
                                         Metrics* metrics);

// Puts them together with the sockets of `present` that the configuration names; the others are not
// in the result. A listener that the whole network can reach is a warning.
//
// Errors: InvalidArgument where `server.protected: strict` forbids that; Unavailable where a UDP
// address has fewer sockets than workers and more cannot be bound.
absl::StatusOr<Services> Assemble(const Config& config, NewServices made,
                                  const ListenSockets& present, spdlog::logger* log);

}  // namespace bsockd
