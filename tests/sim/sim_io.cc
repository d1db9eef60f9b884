#include "tests/sim/sim_io.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace bsockd {
namespace {

constexpr int kAttemptsMax = 30;
constexpr size_t kInterruptEvery = 20;  // Turns, on average.
// What is longer away is a client's timeout, and a drain may come before it.
constexpr Duration kSoon = std::chrono::seconds(9);

}  // namespace

MonotonicTime SimIo::Run(const std::vector<Op>& ops, std::optional<MonotonicTime> deadline,
                         std::vector<Completion>* completions) {
  completions->clear();
  lent_.clear();  // Whoever still looks at these bytes is caught by AddressSanitizer.
  lent_.shrink_to_fit();
  for (const Op& op : ops) Carry(op);
  if (first_run_) {
    first_run_ = false;
    Push(completions, {.kind = Completion::Kind::kWake});
    return now_;
  }
  now_ += std::chrono::microseconds(Random(2000));
  const size_t events_max = 1 + Random(8);
  for (size_t i = 0; i < events_max && SomethingHappens(completions); ++i) {
  }
  // The clock is moved only where nothing can happen without it, or a client that takes its time
  // would find all its time gone.
  for (int i = 0; i < kAttemptsMax && completions->empty(); ++i) SomethingHappens(completions);
  if (network_.interrupt && Random(kInterruptEvery) == 0) {
    mailbox_.Post(network_.interrupt(random_));
    Push(completions, {.kind = Completion::Kind::kWake});
  }
  if (completions->empty()) {
    const bool soon = deadline.has_value() && *deadline - now_ <= kSoon;
    if (deadline.has_value() && (soon || drain_posted_ || Random(2) == 0)) {
      now_ = std::max(now_, *deadline);
    } else {
      NothingHappens(completions);
    }
  }
  return now_;
}

void SimIo::Carry(const Op& op) {
  Socket& socket = sockets_[op.slot];
  if (socket.detaching) Complain(fmt::format("slot {}: an operation after kDetach", op.slot));
  if (socket.fd >= 0 && socket.fd != op.fd) {
    Complain(fmt::format("slot {}: used again before kDetached", op.slot));
  }
  socket.fd = op.fd;
  switch (op.kind) {
    case Op::Kind::kReceive:
      socket.want_receive = true;
      break;
    case Op::Kind::kPause:
      socket.want_receive = false;
      socket.late_receive = Random(3) == 0;
      break;
    case Op::Kind::kSend:
      if (!socket.unsent.empty()) Complain(fmt::format("slot {}: two sends at a time", op.slot));
      if (op.data.empty()) Complain(fmt::format("slot {}: a send of nothing", op.slot));
      if (network_.clients[op.fd].saw_end)
        Complain(fmt::format("slot {}: sends after its end", op.slot));
      socket.unsent = op.data;
      break;
    case Op::Kind::kShutdownWrite:
      if (!socket.unsent.empty()) Complain(fmt::format("slot {}: ends amid a send", op.slot));
      network_.clients[op.fd].saw_end = true;
      break;
    case Op::Kind::kWatch:
    case Op::Kind::kUnwatch:
      Complain("there are no datagrams here");
      break;
    case Op::Kind::kAbort:
    case Op::Kind::kDetach:
      socket.detaching = true;
      socket.unsent = {};
      break;
  }
}

// One thing, if anything can happen without the clock's help.
bool SimIo::SomethingHappens(std::vector<Completion>* completions) {
  if (sockets_.empty()) return false;
  const size_t first = Random(sockets_.size());
  for (size_t i = 0; i < sockets_.size(); ++i) {
    auto at = std::next(sockets_.begin(), static_cast<long>((first + i) % sockets_.size()));
    const Slot slot = at->first;
    Socket& socket = at->second;
    SimClient& client = network_.clients[socket.fd];
    if (socket.detaching) {
      client.closed = true;
      client.saw_end = true;
      sockets_.erase(at);
      Push(completions, {.kind = Completion::Kind::kDetached, .slot = slot});
      return true;
    }
    const bool receive_first = Random(2) == 0;
    if (receive_first && Receive(slot, socket, completions)) return true;
    if (Send(slot, socket, completions)) return true;
    if (!receive_first && Receive(slot, socket, completions)) return true;
  }
  return false;
}

bool SimIo::Receive(Slot slot, Socket& socket, std::vector<Completion>* completions) {
  if ((!socket.want_receive && !socket.late_receive) || socket.end_delivered) return false;
  SimClient& client = network_.clients[socket.fd];
  Completion completion{.kind = Completion::Kind::kReceived, .slot = slot};
  if (client.end == SimClient::End::kReset && !client.was_reset && Random(20) == 0) {
    client.was_reset = true;
  }
  if (client.was_reset) {
    completion.result = -ECONNRESET;
    socket.end_delivered = true;
  } else if (client.sent < client.to_send.size()) {
    const size_t left = client.to_send.size() - client.sent;
    const size_t size = Random(4) == 0 ? left : 1 + Random(std::min<size_t>(left, 40));
    lent_.push_back(client.to_send.substr(client.sent, size));
    lent_.back().shrink_to_fit();
    client.sent += size;
    completion.data = lent_.back();
    completion.result = static_cast<int>(size);
    socket.late_receive = false;
  } else if (client.end == SimClient::End::kHalfClose || client.saw_end) {
    socket.end_delivered = true;  // result 0
  } else {
    return false;
  }
  Push(completions, completion);
  return true;
}

bool SimIo::Send(Slot slot, Socket& socket, std::vector<Completion>* completions) {
  if (socket.unsent.empty()) return false;
  SimClient& client = network_.clients[socket.fd];
  Completion completion{.kind = Completion::Kind::kSent, .slot = slot};
  if (client.was_reset) {
    completion.result = -EPIPE;
  } else {
    if (Random(3) == 0) return false;  // The client does not read just now.
    const size_t size = 1 + Random(std::min(socket.unsent.size(), client.window));
    client.received += socket.unsent.substr(0, size);
    completion.result = static_cast<int>(size);
  }
  socket.unsent = {};
  Push(completions, completion);
  return true;
}

void SimIo::NothingHappens(std::vector<Completion>* completions) {
  // A send that the client only did not feel like reading goes on next time.
  for (const auto& [slot, socket] : sockets_) {
    if (!socket.unsent.empty() || socket.detaching) return;
  }
  if (!drain_posted_) {
    drain_posted_ = true;
    mailbox_.Post(Drain{.spread = std::chrono::milliseconds(Random(100))});
  } else if (!cut_posted_) {
    cut_posted_ = true;
    Complain("the drain does not end");
    mailbox_.Post(Cut());
  } else {
    Complain("not even the cut ends");
    std::abort();
  }
  Push(completions, {.kind = Completion::Kind::kWake});
}

size_t SimIo::UnreadBytes(int fd) const {
  const SimClient& client = network_.clients.at(fd);
  return client.was_reset ? 0 : client.to_send.size() - client.sent;
}

size_t SimIo::UnsentBytes(int) const { return 0; }

void SimIo::Complain(std::string what) { network_.complaints.push_back(std::move(what)); }

void SimIo::Push(std::vector<Completion>* completions, const Completion& completion) {
  const auto mix = [this](uint64_t value) {  // FNV-1a
    network_.trace_hash = (network_.trace_hash ^ value) * 1099511628211u;
  };
  mix(static_cast<uint64_t>(completion.kind));
  mix(completion.slot);
  mix(static_cast<uint64_t>(completion.result));
  completions->push_back(completion);
}

}  // namespace bsockd
