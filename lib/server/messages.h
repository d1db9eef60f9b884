// What one thread of the server tells another, by Mailbox. Data only.
#pragma once

#include <cstddef>
#include <memory>
#include <variant>

#include "lib/base/unique_fd.h"
#include "lib/server/listener.h"

namespace bsockd {

// Acceptor to worker: a connection to own. A refused one gets `ERR full` and is closed.
struct NewConnection {
  UniqueFd fd;
  std::shared_ptr<const Listener> listener;
  bool refused = false;
};

// Control to worker: answer what has come, close at frame boundaries, end when none is left.
struct Drain {};

// Control to worker: close everything now and end.
struct Cut {};

using WorkerMessage = std::variant<NewConnection, Drain, Cut>;

// Control to acceptor: hand over what waits in the backlog, close the listen sockets, end.
struct StopAccepting {};

// Worker to control: it has ended.
struct WorkerEnded {
  size_t connections_cut = 0;  // That were closed with something unfinished.
};

}  // namespace bsockd
