// Sockets that clients are to find: bound, listening, and cleaned up after.
#pragma once

#include <absl/status/statusor.h>
#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/net/address.h"

namespace bsockd {

// A socket that listens, or that waits for datagrams. Owns the descriptor and, for unix:/path and
// unixgram:/path, the socket file: it is removed with the socket if it is still the one that was
// made with it. Movable; thread: one at a time, but for what is const.
class ListenSocket {
 public:
  // A socket that another process has bound: the one that started this one, or a predecessor.
  // `owns_file`: what is said above of the file holds for it, too.
  // Errors: InvalidArgument, saying why it is of no use here: it is no socket, or does not listen.
  static absl::StatusOr<ListenSocket> Adopt(UniqueFd fd, bool owns_file);
  ListenSocket(ListenSocket&&) noexcept = default;
  ListenSocket& operator=(ListenSocket&&) = delete;
  ~ListenSocket();

  int fd() const { return fd_.get(); }
  // Where it really listens: numeric, with the port that the kernel chose.
  const SocketAddress& local() const { return local_; }
  bool datagrams() const { return datagrams_; }
  // local() as Address::Parse reads it: 127.0.0.1:51717, udp:127.0.0.1:51717, unixgram:/path
  std::string name() const;

  // Whether clients can find it: false if the file of a Unix socket is not there any more. Any
  // thread.
  bool reachable() const;

  // Removes the socket file now; connections under way can still be accepted.
  void Unlink();
  // Lets another socket of this user be bound to its IP address, or one that includes it, until it
  // is closed itself: see Listen(), `beside`. Those of datagrams may be a group, which stays one.
  void ShareAddress(bool share);
  // Leaves the socket file to whoever else has the socket: a successor, or systemd for one.
  void LeaveFile() { file_.clear(); }
  // Gives the socket file, if it owns one, these permissions. Errors: that of chmod(2).
  absl::Status SetMode(mode_t mode);

 private:
  struct Options {
    bool datagrams = false;
    bool dual_stack = false;   // An IPv6 socket takes IPv4 clients, too.
    bool shared_port = false;  // With the sockets of its group.
  };

  friend absl::StatusOr<std::vector<ListenSocket>> Listen(const Address&, mode_t, bool);
  friend absl::StatusOr<std::vector<ListenSocket>> BindDatagram(const Address&, mode_t, int, bool);
  friend absl::Status AddToGroup(int, std::vector<std::shared_ptr<ListenSocket>>*);
  static absl::StatusOr<std::vector<ListenSocket>> OnEvery(const Address&, mode_t, int sockets_each,
                                                           bool beside);
  static absl::StatusOr<std::vector<ListenSocket>> OnFile(const SocketAddress&, bool datagrams,
                                                          mode_t);
  // These four: 0, or the errno of what failed.
  static int OpenGroup(SocketAddress where, Options options, int count,
                       std::vector<ListenSocket>* sockets);
  int Open(const SocketAddress& where, const Options& options);
  int OpenFile(const SocketAddress& where, bool datagrams, mode_t mode);
  int RememberFile(const char* path);
  // What the type and the address in local_ call for.
  void SetOptions();

  ListenSocket() = default;

  UniqueFd fd_;
  SocketAddress local_;
  bool datagrams_ = false;
  std::string file_;  // Empty, or the socket file to remove ...
  dev_t file_device_ = 0;
  ino_t file_inode_ = 0;  // ... if it is still this one.
};

// Listens on everything that `address`, one of streams, stands for: each address of a name, IPv4
// and IPv6. Addresses of a family that this machine has not are left out as long as one is left.
// Port 0 is the same free port for all of them. The sockets are non-blocking and close-on-exec; the
// TCP ones have TCP_NODELAY, which accepted sockets inherit.
//
// unix:/path: refused where a live server answers, a stale socket file is replaced, any other file
// is left alone; the new one gets the permissions `mode`, and never more for a moment.
//
// `beside`: also where sockets with ShareAddress() are, as when *:80 is to take the place of
// 127.0.0.1:80.
//
// May block (names). Errors: Unavailable with the address and the reason, fit for the user.
absl::StatusOr<std::vector<ListenSocket>> Listen(const Address& address, mode_t mode,
                                                 bool beside = false);

// The same for an address of datagrams, with as many sockets for each UDP address as threads are to
// read from it, one after the other: the first address's, the second address's and so on. The
// kernel spreads the clients over the sockets of an address (socket(7), SO_REUSEPORT). A second
// server is refused all the same, and the machine's other programs can take a share only as the
// same user. A Unix address is one socket, which several threads may read from.
//
// The sockets tell what DatagramBatch needs to know of a datagram: which address was asked, where
// the socket is bound to all of them, and the sender's credentials on a Unix socket.
absl::StatusOr<std::vector<ListenSocket>> BindDatagram(const Address& address, mode_t mode,
                                                       int udp_sockets, bool beside = false);

// Adds to `*sockets`, those of an address of datagrams that were adopted, until each UDP address
// has `udp_sockets` of them; where there are more, they stay. Errors: as BindDatagram.
absl::Status AddToGroup(int udp_sockets, std::vector<std::shared_ptr<ListenSocket>>* sockets);

// Locks the folder of a socket file. Between looking whether a server answers and answering
// oneself, no other may do the same; and a socket that is bound but does not listen yet looks like
// a stale one. The lock goes with the descriptor. Without the right to read the folder, or if
// somebody keeps it locked for 2 s, there is none.
UniqueFd LockFolderOf(std::string_view path);

// Sockets by the address that they were made for, which may stand for several: by what
// lib/config/socket_key.h makes of it.
using ListenSockets = std::map<std::string, std::vector<std::shared_ptr<ListenSocket>>>;

}  // namespace bsockd
