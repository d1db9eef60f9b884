// What one thread of the server tells another, by Mailbox. Data only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <variant>

#include "lib/base/unique_fd.h"
#include "lib/net/listen_socket.h"
#include "lib/server/listener.h"

namespace bsockd {

// Why a connection is not served; each is told `ERR full`.
enum class Refusal : uint8_t { kNone, kServerFull, kListenerFull, kAddressFull, kMemory };
std::string_view TextOf(Refusal refusal);

// Acceptor to worker: a connection to own.
struct NewConnection {
  UniqueFd fd;
  std::shared_ptr<const Listener> listener;
  std::shared_ptr<Peer> peer;  // Null where no limit holds for its address.
  Refusal refusal = Refusal::kNone;
};

// Control to worker: a socket for datagrams to own.
struct NewDatagramSocket {
  ListenSocket socket;
  std::shared_ptr<const Listener> listener;
};

// Control to worker: answer what has come, close at frame boundaries, end when none is left.
struct Drain {};

// Control to worker: close everything now and end.
struct Cut {};

using WorkerMessage = std::variant<NewConnection, NewDatagramSocket, Drain, Cut>;

// Control to acceptor: hand over what waits in the backlog, close the listen sockets, end.
struct StopAccepting {};

// Worker to control: it has ended.
struct WorkerEnded {
  size_t connections_cut = 0;  // That were closed with something unfinished.
};

}  // namespace bsockd
