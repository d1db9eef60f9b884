// What one thread of the server tells another, by Mailbox. Data only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/unique_fd.h"
#include "lib/config/config.h"
#include "lib/net/listen_socket.h"
#include "lib/server/listener.h"

namespace bsockd {

// Why a connection is not served; each is told `ERR full`.
enum class Refusal : uint8_t { kNone, kServerFull, kListenerFull, kAddressFull, kMemory };
std::string_view TextOf(Refusal refusal);

// A socket that clients find, and the service behind it.
struct BoundListener {
  std::shared_ptr<ListenSocket> socket;
  std::shared_ptr<const Listener> listener;
};

using ListenersByName = std::map<std::string, std::shared_ptr<const Listener>>;

// Any thread of the server, to say that it still works: it answers with the number.
struct Ping {
  uint64_t number = 0;
};

// Acceptor to worker: a connection to own.
struct NewConnection {
  UniqueFd fd;
  std::shared_ptr<const Listener> listener;
  std::shared_ptr<Peer> peer;  // Null where no limit holds for its address.
  Refusal refusal = Refusal::kNone;
};

// Control to worker: from now on it serves these listeners. Connections go over to the new one of
// their listener's name; those of a name that is gone drain for `drain_grace`.
struct Reconfigure {
  std::shared_ptr<const ListenersByName> listeners;
  std::vector<BoundListener> datagrams;  // All that this worker is to read from.
  Limit<size_t> memory_limit;
  Duration drain_grace{0};
  std::promise<void> done;  // Kept when it is so.
};

// Control to worker: answer what has come, close at frame boundaries, end when none is left.
struct Drain {
  Duration spread{0};         // Within which idle connections are sent away.
  bool sockets_left = false;  // Datagrams that wait are left to whoever else has the sockets.
};

// Control to worker: close everything now and end.
struct Cut {};

using WorkerMessage = std::variant<NewConnection, Reconfigure, Drain, Cut, Ping>;

// Control to acceptor: listen on these, and on no other.
struct ListenOn {
  std::vector<BoundListener> listeners;
  Limit<int> max_connections;
  Limit<size_t> memory_limit;
  // Kept when every connection that came in by the former listeners is in its worker's mailbox.
  std::promise<void> done;
};

// Control to acceptor: listen no more, and end.
struct StopAccepting {
  bool backlog_left = false;  // What waits is left to whoever else has the sockets.
};

using AcceptorMessage = std::variant<ListenOn, StopAccepting, Ping>;

// Worker to control: connections that it has closed with something unfinished.
struct ConnectionsCut {
  struct One {
    std::string listener;
    std::string peer;
    std::string unfinished;
  };
  size_t count = 0;
  std::vector<One> first;  // At most kCutsToldMax of them.
};
inline constexpr size_t kCutsToldMax = 20;

// Worker to control: it has ended.
struct WorkerEnded {};

using WorkerEvent = std::variant<ConnectionsCut, WorkerEnded>;

}  // namespace bsockd
