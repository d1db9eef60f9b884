// Listen sockets: bound, listening, and cleaned up after.
#pragma once

#include <absl/status/statusor.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/net/address.h"

namespace bsockd {

// A listening socket. Owns the descriptor and, for unix:/path, the socket file: it is removed with
// the socket if it is still the one that was made here. Movable; thread: one at a time.
class ListenSocket {
 public:
  ListenSocket(ListenSocket&&) noexcept = default;
  ListenSocket& operator=(ListenSocket&&) = delete;
  ~ListenSocket();

  int fd() const { return fd_.get(); }
  // Where it really listens: numeric, with the port that the kernel chose.
  const SocketAddress& local() const { return local_; }

  // Removes the socket file now; connections under way can still be accepted.
  void Unlink();

 private:
  friend absl::StatusOr<std::vector<ListenSocket>> Listen(const Address&, mode_t);
  static absl::StatusOr<std::vector<ListenSocket>> ListenOnFile(const SocketAddress&, mode_t);
  // Both: 0, or the errno of what failed.
  int Open(const SocketAddress& where, bool dual_stack);
  int OpenFile(const SocketAddress& where, mode_t mode);

  ListenSocket() = default;

  UniqueFd fd_;
  SocketAddress local_;
  std::string file_;  // Empty, or the socket file to remove ...
  dev_t file_device_ = 0;
  ino_t file_inode_ = 0;  // ... if it is still this one.
};

// Listens on everything that `address` stands for: each address of a name, IPv4 and IPv6. Addresses
// of a family that this machine has not are left out as long as one is left. Port 0 is the same
// free port for all of them. The sockets are non-blocking and close-on-exec; the TCP ones have
// TCP_NODELAY, which accepted sockets inherit.
//
// unix:/path: refused where a live server answers, a stale socket file is replaced, any other file
// is left alone; the new one gets the permissions `mode`, and never more for a moment.
//
// May block (names). Errors: Unavailable with the address and the reason, fit for the user.
absl::StatusOr<std::vector<ListenSocket>> Listen(const Address& address, mode_t mode);

}  // namespace bsockd
