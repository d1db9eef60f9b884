// SimIo: a simulated network and clock under a real worker.
//
// One thread, one seed, no system call but for the descriptors' numbers: the worker runs in the
// test's thread, and whenever it waits, the simulation decides by its seed what happens next. The
// same seed gives the same trace.
//
// It is as nasty as a network may be: bytes come in any pieces, sends are partial, input still
// comes after a pause, lent buffers vanish at the next Run(), and clients half-close, reset and
// stall.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "lib/base/mailbox.h"
#include "lib/base/unique_fd.h"
#include "lib/io/io.h"
#include "lib/server/messages.h"

namespace bsockd {

// What a simulated client does, and what became of it.
struct SimClient {
  enum class End {
    kHalfClose,  // Ends its side after its last byte, reads everything.
    kStayOpen,   // Ends its side only when the server has.
    kReset,      // Resets the connection at some time.
  };

  std::string to_send;
  End end = End::kHalfClose;
  size_t window = 0;  // Bytes that it lets wait unread; the server can send no more at a time.

  std::string received;
  bool saw_end = false;    // The server has shut down its side or closed.
  bool was_reset = false;  // By the client itself.
  bool closed = false;     // The server has let go of the connection.
  size_t sent = 0;         // Of `to_send`, as far as the server has received it.
};

// The clients, and what the simulation has to say at its end.
struct SimNetwork {
  std::map<int, SimClient> clients;     // By the descriptor of their connection.
  std::vector<std::string> complaints;  // What went against the contract of Io, or hung.
  uint64_t trace_hash = 1469598103934665603u;
  // Called now and then, where it is set: a message that comes to the worker just then.
  std::function<WorkerMessage(std::mt19937&)> interrupt;
};

class SimIo final : public Io {
 public:
  // Everything is borrowed and outlives the SimIo. The mailbox is the worker's: when nothing can
  // happen any more, the simulation posts a Drain to it, and if even then nothing ends, a Cut.
  SimIo(uint32_t seed, SimNetwork* network, Mailbox<WorkerMessage>* mailbox)
      : random_(seed), network_(*network), mailbox_(*mailbox) {}

  MonotonicTime Run(const std::vector<Op>& ops, std::optional<MonotonicTime> deadline,
                    std::vector<Completion>* completions) override;
  size_t UnreadBytes(int fd) const override;
  size_t UnsentBytes(int fd) const override;
  std::string_view name() const override { return "simulation"; }

 private:
  struct Socket {
    int fd = -1;
    bool want_receive = false;
    bool late_receive = false;  // Paused, but something may still come.
    bool end_delivered = false;
    bool detaching = false;
    std::string_view unsent;
  };

  void Carry(const Op& op);
  bool SomethingHappens(std::vector<Completion>* completions);
  bool Receive(Slot slot, Socket& socket, std::vector<Completion>* completions);
  bool Send(Slot slot, Socket& socket, std::vector<Completion>* completions);
  void NothingHappens(std::vector<Completion>* completions);
  void Complain(std::string what);
  void Push(std::vector<Completion>* completions, const Completion& completion);
  size_t Random(size_t below) { return random_() % below; }

  std::mt19937 random_;
  SimNetwork& network_;
  Mailbox<WorkerMessage>& mailbox_;
  std::map<Slot, Socket> sockets_;
  std::deque<std::string> lent_;
  MonotonicTime now_{};
  bool drain_posted_ = false;
  bool cut_posted_ = false;
  bool first_run_ = true;
};

}  // namespace bsockd
