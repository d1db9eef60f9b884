// DatagramBatch: datagrams received and answered many at a time, one system call for each
// direction.
//
//   const int count = batch.Receive(socket);
//   for (int i = 0; i < count; ++i) batch.Reply(i, ... batch.payload(i) ...);
//   batch.Send();
//
// All memory is taken at the start. Thread: one at a time; a worker has one batch for all of its
// sockets. See recvmmsg(2), sendmmsg(2), ip(7), ipv6(7), unix(7).
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "lib/net/address.h"
#include "lib/net/listen_socket.h"
#include "lib/net/peer.h"

namespace bsockd {

class DatagramBatch {
 public:
  static constexpr int kDatagramsMax = 32;

  // `payload_bytes_max` is the longest payload that is taken whole. Memory for kDatagramsMax such
  // payloads is set aside, and becomes resident as it is used.
  explicit DatagramBatch(size_t payload_bytes_max);
  DatagramBatch(const DatagramBatch&) = delete;
  DatagramBatch& operator=(const DatagramBatch&) = delete;

  // Takes what waits at `socket`, of BindDatagram(), without waiting for more; `socket` stays until
  // the last Send(). Returns how many datagrams there are, 0 where none waits, or an errno negated
  // where the kernel cannot go on (ENOMEM, ENOBUFS): then it is better to pause than to ask again.
  // Forgets the datagrams before.
  int Receive(const ListenSocket& socket);

  // Of datagram `i` of Receive(), valid until the next one.
  std::string_view payload(int i) const;
  // It was longer than payload_bytes_max; payload(i) is its beginning.
  bool overlong(int i) const { return (received_[i].msg_hdr.msg_flags & MSG_TRUNC) != 0; }
  // Of a Unix socket without a name ("unix:"), no one can answer.
  const SocketAddress& sender(int i) const { return slots_[i].sender; }
  // On a Unix socket, of the process that sent it, without supplementary groups.
  const std::optional<PeerCredentials>& credentials(int i) const { return slots_[i].credentials; }

  // Keeps a reply to datagram `i` for the next Send(), from the address that was asked. At most one
  // for a datagram. `payload` stays valid until then.
  void Reply(int i, std::string_view payload);
  // Sends the replies kept, without waiting, and forgets them. Returns how many have left.
  //
  // What Unix clients leave unread counts against the send buffer of the one socket, so clients
  // that never read can use it up for the others (EAGAIN) until they read or end.
  int Send();
  // Of the last reply to datagram `i`, after Send(): 0, or why it has not left. EMSGSIZE: it is too
  // long for a datagram. EAGAIN, ENOBUFS: there is no room now. ECONNREFUSED, ENOENT, ENOTCONN: the
  // sender is gone or has no name. Others: the network's, of that one destination.
  int send_error(int i) const { return slots_[i].send_error; }

 private:
  struct Slot {
    SocketAddress sender;
    std::optional<PeerCredentials> credentials;
    iovec payload;  // Where it is received.
    iovec reply;
    // Received: where it was sent to, or by whom. In a reply: where it is sent from.
    alignas(cmsghdr) std::array<std::byte, 80> control;
    size_t reply_control_bytes = 0;
    int send_error = 0;
  };

  void Interpret(int i);

  const std::unique_ptr<char[]> memory_;
  int fd_ = -1;  // Of the last Receive(); borrowed.
  std::array<Slot, kDatagramsMax> slots_;
  std::array<mmsghdr, kDatagramsMax> received_{};
  std::array<mmsghdr, kDatagramsMax> replies_{};
  std::array<int, kDatagramsMax> replied_to_{};  // The datagram that replies_[n] answers.
  int reply_count_ = 0;
};

}  // namespace bsockd
