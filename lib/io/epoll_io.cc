// The epoll back-end: level-triggered readiness, turned into completions (epoll(7)).

#include <absl/status/status.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <utility>

#include "lib/base/unique_fd.h"
#include "lib/io/io.h"
#include "lib/io/slot_table.h"

namespace bsockd {
namespace {

constexpr int kEventsMax = 256;                      // Sockets looked at in one turn.
constexpr size_t kReadBytesMax = size_t{16} * 1024;  // Of one socket in one turn.
constexpr size_t kArenaBytes = size_t{512} * 1024;   // Lent to all completions of one turn.
constexpr int kRunsWithoutLookMax = 4;  // Before the sockets are looked at all the same.
constexpr Duration kWatchRetryInterval = std::chrono::milliseconds(100);
// epoll_event::data is a slot, or one of these.
constexpr uint64_t kWakeKey = ~uint64_t{0};
constexpr uint64_t kWatchKey = uint64_t{1} << 32;  // And the number of the watched descriptor.

class EpollIo final : public Io {
 public:
  EpollIo(UniqueFd epoll, int wake_fd)
      : epoll_(std::move(epoll)), wake_fd_(wake_fd), arena_(new char[kArenaBytes]) {}

  MonotonicTime Run(const std::vector<Op>& ops, std::optional<MonotonicTime> deadline,
                    std::vector<Completion>* completions) override;
  std::string_view name() const override { return "epoll"; }

 private:
  struct SlotState {
    int fd = -1;
    bool want_receive = false;
    uint32_t registered = 0;  // Events that the kernel watches for; 0 = not registered.
    std::string_view unsent;  // Not empty while a send waits for room.
  };

  void Carry(const Op& op, std::vector<Completion>* completions);
  void Watch(const Op& op);
  void UpdateInterest(Slot slot, SlotState& state, std::vector<Completion>* completions);
  void Send(Slot slot, SlotState& state, std::vector<Completion>* completions);
  void Receive(Slot slot, SlotState& state, std::vector<Completion>* completions);
  void Wait(std::optional<MonotonicTime> deadline);
  void DispatchEvents(std::vector<Completion>* completions);

  const UniqueFd epoll_;
  const int wake_fd_;
  const std::unique_ptr<char[]> arena_;
  size_t arena_used_ = 0;
  SlotTable<SlotState> slots_;
  std::vector<Op> unwatched_;  // kWatch that failed, to be tried again.
  // Events fetched and not yet dispatched, because the arena was full: [next_event_, event_count_).
  std::array<epoll_event, kEventsMax> events_;
  int next_event_ = 0;
  int event_count_ = 0;
  int runs_without_look_ = 0;
  MonotonicTime now_ = std::chrono::steady_clock::now();
};

MonotonicTime EpollIo::Run(const std::vector<Op>& ops, std::optional<MonotonicTime> deadline,
                           std::vector<Completion>* completions) {
  completions->clear();
  arena_used_ = 0;
  for (const Op& op : std::exchange(unwatched_, {})) Watch(op);
  for (const Op& op : ops) Carry(op, completions);
  if (!unwatched_.empty()) {
    deadline = std::min(deadline.value_or(MonotonicTime::max()), now_ + kWatchRetryInterval);
  }
  // Sends that completed at once are told before anything is waited for: their owners may have
  // more to do, and asking the kernel in between would be a system call for nothing. But not again
  // and again: connections with much to send would starve those that ask.
  if (completions->empty() || ++runs_without_look_ == kRunsWithoutLookMax) {
    runs_without_look_ = 0;
    if (!completions->empty()) deadline = MonotonicTime();
    if (next_event_ == event_count_) Wait(deadline);
    DispatchEvents(completions);
  }
  now_ = std::chrono::steady_clock::now();
  return now_;
}

void EpollIo::Carry(const Op& op, std::vector<Completion>* completions) {
  if (op.kind == Op::Kind::kWatch || op.kind == Op::Kind::kUnwatch) return Watch(op);
  SlotState& state = slots_[op.slot];
  state.fd = op.fd;
  switch (op.kind) {
    case Op::Kind::kReceive:
      state.want_receive = true;
      UpdateInterest(op.slot, state, completions);
      break;
    case Op::Kind::kPause:
      state.want_receive = false;
      UpdateInterest(op.slot, state, completions);
      break;
    case Op::Kind::kSend:
      state.unsent = op.data;
      Send(op.slot, state, completions);
      break;
    case Op::Kind::kShutdownWrite:
      shutdown(op.fd, SHUT_WR);
      break;
    case Op::Kind::kWatch:
    case Op::Kind::kUnwatch:
      break;  // Carried out before: they have no slot.
    case Op::Kind::kAbort:
      ResetOnClose(op.fd);
      [[fallthrough]];
    case Op::Kind::kDetach:
      state.want_receive = false;
      state.unsent = {};
      UpdateInterest(op.slot, state, completions);
      state = SlotState();
      completions->push_back({.kind = Completion::Kind::kDetached, .slot = op.slot});
      break;
  }
}

void EpollIo::Watch(const Op& op) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWatchKey | op.slot;
  const bool add = op.kind == Op::Kind::kWatch;
  std::erase_if(unwatched_, [&](const Op& failed) { return failed.slot == op.slot; });
  const int result = epoll_ctl(epoll_.get(), add ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, op.fd, &event);
  if (add && result != 0) unwatched_.push_back(op);  // Out of memory.
}

void EpollIo::UpdateInterest(Slot slot, SlotState& state, std::vector<Completion>* completions) {
  const uint32_t wanted = (state.want_receive ? static_cast<uint32_t>(EPOLLIN) : 0) |
                          (state.unsent.empty() ? 0 : static_cast<uint32_t>(EPOLLOUT));
  if (wanted == state.registered) return;
  // A descriptor of which nothing is wanted leaves the set: the kernel reports hang-ups and errors
  // whether they are wanted or not, and a level-triggered report that nobody acts on is a spin.
  const int operation = wanted == 0             ? EPOLL_CTL_DEL
                        : state.registered == 0 ? EPOLL_CTL_ADD
                                                : EPOLL_CTL_MOD;
  epoll_event event{};
  event.events = wanted;
  event.data.u64 = slot;
  if (epoll_ctl(epoll_.get(), operation, state.fd, &event) != 0) {
    // ENOMEM or the user's limit of watches: an error of this connection.
    const auto kind = state.want_receive ? Completion::Kind::kReceived : Completion::Kind::kSent;
    completions->push_back({.kind = kind, .slot = slot, .result = -errno});
    state.want_receive = false;
    state.unsent = {};
    return;
  }
  state.registered = wanted;
}

void EpollIo::Send(Slot slot, SlotState& state, std::vector<Completion>* completions) {
  ssize_t sent;
  do {
    sent = send(state.fd, state.unsent.data(), state.unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    UpdateInterest(slot, state, completions);
    return;
  }
  const int result = sent < 0 ? -errno : static_cast<int>(sent);
  state.unsent = {};
  UpdateInterest(slot, state, completions);
  completions->push_back({.kind = Completion::Kind::kSent, .slot = slot, .result = result});
}

void EpollIo::Receive(Slot slot, SlotState& state, std::vector<Completion>* completions) {
  char* buffer = arena_.get() + arena_used_;
  ssize_t received;
  do {
    received = recv(state.fd, buffer, kReadBytesMax, MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  Completion completion{.kind = Completion::Kind::kReceived, .slot = slot};
  if (received > 0) {
    completion.result = static_cast<int>(received);
    completion.data = {buffer, static_cast<size_t>(received)};
    arena_used_ += static_cast<size_t>(received);
  } else {
    completion.result = received < 0 ? -errno : 0;
    state.want_receive = false;
    UpdateInterest(slot, state, completions);
  }
  completions->push_back(completion);
}

void EpollIo::Wait(std::optional<MonotonicTime> deadline) {
  int timeout_ms = -1;
  if (deadline.has_value()) {
    // Rounded up, so that a deadline has passed when the wait for it ends.
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - now_).count();
    timeout_ms = static_cast<int>(std::clamp<int64_t>(left, 0, std::numeric_limits<int>::max()));
  }
  const int count = epoll_wait(epoll_.get(), events_.data(), kEventsMax, timeout_ms);
  if (count < 0 && errno != EINTR) {
    std::perror("bsockd: epoll_wait");
    std::abort();
  }
  next_event_ = 0;
  event_count_ = std::max(count, 0);
}

void EpollIo::DispatchEvents(std::vector<Completion>* completions) {
  while (next_event_ < event_count_ && arena_used_ + kReadBytesMax <= kArenaBytes) {
    const epoll_event& event = events_[next_event_++];
    if (event.data.u64 == kWakeKey) {
      eventfd_t ignored;
      eventfd_read(wake_fd_, &ignored);
      completions->push_back({.kind = Completion::Kind::kWake});
      continue;
    }
    if ((event.data.u64 & kWatchKey) != 0) {
      completions->push_back({.kind = Completion::Kind::kReadable,
                              .slot = static_cast<Slot>(event.data.u64 & ~kWatchKey)});
      continue;
    }
    // An event that was held over may belong to the slot's former connection. Acting on it is
    // harmless: the socket is asked, and answers EAGAIN.
    const Slot slot = static_cast<Slot>(event.data.u64);
    SlotState& state = slots_[slot];
    if (!state.unsent.empty() && (event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
      Send(slot, state, completions);
    }
    if (state.want_receive && (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
      Receive(slot, state, completions);
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Io>> MakeEpollIo(int wake_fd) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return absl::ErrnoToStatus(errno, "epoll_create1");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeKey;
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake_fd, &event) != 0) {
    return absl::ErrnoToStatus(errno, "epoll_ctl");
  }
  return std::make_unique<EpollIo>(std::move(epoll), wake_fd);
}

}  // namespace bsockd
