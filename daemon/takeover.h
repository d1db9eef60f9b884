// A takeover: a daemon that starts gets the listen sockets of the one that runs, which then drains.
// No connect is refused meanwhile, since the sockets are the same.
//
//   successor                             predecessor, at SOCKET (SOCK_SEQPACKET, unix(7))
//   takeover 1 VERSION            ->
//                                 <-      takeover 1 VERSION      + SOCKET's own listening socket
//                                 <-      listen KEY              + its sockets, 253 at most; where
//                                 <-      listen KEY                there are more, once more
//                                 <-      end COUNT               how many `listen` had in all
//   (starts; every listener accepts)
//   ready                         ->      (drains, leaving all socket files alone)
//
// The number is the protocol's: the successor says the highest that it knows, the predecessor the
// one that is spoken. `refused REASON` may come instead of anything from the predecessor. ADDRESS
// is the SocketKey() of lib/config. If the successor ends before `ready`, nothing has happened.
//
// This is the predecessor's side; succession.h is the other.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <spdlog/logger.h>
#include <sys/types.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/net/listen_socket.h"

namespace bsockd {

inline constexpr int kTakeoverVersion = 1;

// Serves SOCKET for the next daemon. Only the same user and root are served, one at a time.
//
// Thread: control; never blocks it.
class TakeoverService {
 public:
  // Makes the socket file, of which only the same user can make use. A stale one is replaced.
  // `log` outlives the object. Errors: Unavailable with the path and the reason, fit for the user:
  // a live daemon answers there, a file that is no socket is there, and what the system has.
  static absl::StatusOr<std::unique_ptr<TakeoverService>> Listen(const std::string& path,
                                                                 spdlog::logger* log);
  // Goes on with the predecessor's, Succession::TakeServiceSocket(). Errors: as above.
  static absl::StatusOr<std::unique_ptr<TakeoverService>> Adopt(const std::string& path,
                                                                UniqueFd socket,
                                                                spdlog::logger* log);
  // Removes the socket file, unless a successor has it or is about to.
  ~TakeoverService();

  // Readable when OnReadable() is to be called.
  int event_fd() const { return events_.get(); }

  enum class Event {
    kNothing,
    // The successor serves. Drain, and leave the files of listen sockets. Comes once; from then on
    // the service does nothing more.
    kTakenOver,
  };
  // Gives `sockets` to a successor that asks.
  Event OnReadable(const ListenSockets& sockets);

  // Whether a successor has the sockets and is not ready yet. Whoever stops now had better leave
  // the files of listen sockets.
  bool handing_over() const { return stage_ == Stage::kWaiting; }

 private:
  enum class Stage {
    kNobody,   // No connection.
    kHello,    // The successor is to speak.
    kSending,  // What is in outgoing_.
    kWaiting,  // For `ready`.
    kTakenOver,
  };
  struct Outgoing {
    std::string text;
    std::vector<int> fds;  // Of `sockets`, or socket_.
    std::vector<std::shared_ptr<ListenSocket>> sockets;
  };

  TakeoverService(std::string path, UniqueFd socket, spdlog::logger* log);
  absl::Status Watch();
  void RememberFile();

  void AcceptAll();
  void Admit(UniqueFd connection);
  // The successor's next message, or its end.
  void Hear(const ListenSockets& sockets);
  void Greet(std::string_view hello, const ListenSockets& sockets);
  void Queue(const std::string& key, const std::vector<std::shared_ptr<ListenSocket>>& sockets);
  void SendQueued();
  // Goes on as if nobody had come. `why` is for the log.
  void Forget(std::string_view why);

  const std::string path_;
  UniqueFd socket_;
  spdlog::logger* const log_;
  UniqueFd events_;  // An epoll of socket_ and connection_.
  bool owns_file_ = false;
  dev_t file_device_ = 0;
  ino_t file_inode_ = 0;

  Stage stage_ = Stage::kNobody;
  UniqueFd connection_;
  std::string successor_;  // For the log: its process and user.
  std::deque<Outgoing> outgoing_;
};

}  // namespace bsockd
