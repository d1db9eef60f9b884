// DatagramService: one socket for datagrams, UDP or Unix. A datagram is a request, and its reply is
// one datagram to its sender; framing does not apply.
//
// Each turn in which the socket is readable takes one batch of datagrams and sends their replies,
// a system call each. What does not go out at once is dropped, as the network would drop it, and
// counted.
//
// Thread: its worker's. Lifetime: until the worker is drained or cut.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lib/net/datagrams.h"
#include "lib/net/ip.h"
#include "lib/net/listen_socket.h"
#include "lib/server/connection.h"
#include "lib/server/listener.h"

namespace bsockd {

class DatagramService {
 public:
  DatagramService(std::shared_ptr<ListenSocket> socket, std::shared_ptr<const Listener> listener);

  const ListenSocket& socket() const { return *socket_; }
  // From the next datagram on it is this listener's.
  void MoveTo(std::shared_ptr<const Listener> listener);

  // Once, first: starts receiving. `number` is what its kReadable completions will show.
  void Open(Turn& turn, Slot number);
  void OnReadable(Turn& turn);
  // Receives no more, after answering what has come, unless that is `left` to whoever else has the
  // socket. Destroy it after the next Run().
  void Drain(Turn& turn, bool left);

  // When OnPauseOver() is to be called, while receiving has to pause.
  std::optional<MonotonicTime> pause_end() const { return pause_end_; }
  void OnPauseOver(Turn& turn);

 private:
  // Returns how many datagrams there were, or an errno negated.
  int AnswerBatch(Turn& turn);
  void Answer(Turn& turn, int i);
  bool Admits(Turn& turn, int i);
  bool MayAsk(Turn& turn, int i);
  void AppendError(std::string_view code, std::string_view text);
  void SendReplies(Turn& turn, int count);
  ListenerMetrics::Block& metrics(Turn& turn) const { return listener_->metrics->At(turn.thread); }

  struct KnownPeer {
    IpAddress address;
    std::shared_ptr<Peer> peer;
  };
  static constexpr size_t kKnownPeers = 64;

  const std::shared_ptr<ListenSocket> socket_;
  std::shared_ptr<const Listener> listener_;
  std::unique_ptr<DatagramBatch> batch_;
  // The replies of a batch, one behind the other: that to datagram i ends at reply_ends_[i]. Where
  // nothing is to be sent, has_reply_[i] is false; an empty reply is one.
  std::string replies_;
  std::array<size_t, DatagramBatch::kDatagramsMax> reply_ends_{};
  std::array<bool, DatagramBatch::kDatagramsMax> has_reply_{};
  // Senders lately seen, by a hash of their address, so that the table is not asked each time.
  std::array<KnownPeer, kKnownPeers> known_peers_;
  Slot number_ = 0;
  std::optional<MonotonicTime> pause_end_;
};

}  // namespace bsockd
