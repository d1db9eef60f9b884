// The io_uring back-end: multishot receive into a ring of provided buffers (io_uring(7),
// io_uring_prep_recv_multishot(3), io_uring_register_buf_ring(3)).
//
// An idle connection has a receive armed in the kernel and no buffer; a buffer is taken from the
// ring only when bytes come, and goes back at the start of the next Run().

#include <absl/status/status.h>
#include <liburing.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "lib/io/io.h"
#include "lib/io/slot_table.h"

namespace bsockd {
namespace {

constexpr unsigned kSubmissionsMax = 512;
constexpr unsigned kCompletionsMax = 2048;  // More wait in the kernel; none is lost.
// Together the bytes that one turn can bring, and that a connection can still get after a pause.
constexpr unsigned kBuffersMax = 256;  // A power of two.
constexpr size_t kBufferBytes = 4096;
constexpr uint16_t kBufferGroup = 0;
constexpr Duration kMemoryRetryMax = std::chrono::milliseconds(300);
constexpr Duration kMemoryRetryPause = std::chrono::milliseconds(20);

// What an operation's user_data says: its kind, and the slot in the bits above.
enum class Tag : uint64_t { kReceive, kSend, kCancel, kWake, kWatch, kHangUp };
constexpr int kTagBits = 3;
uint64_t UserData(Tag tag, Slot slot = 0) {
  return static_cast<uint64_t>(slot) << kTagBits | static_cast<uint64_t>(tag);
}

[[noreturn]] void Die(const char* call, int error) {
  std::fprintf(stderr, "bsockd: %s: %s\n", call, strerrordesc_np(error));
  std::abort();
}

class UringIo final : public Io {
 public:
  explicit UringIo(int wake_fd) : wake_fd_(wake_fd) {}
  ~UringIo() override;

  // Once, before anything else. Errors: -errno and the call that failed.
  std::pair<int, const char*> Init();

  MonotonicTime Run(const std::vector<Op>& ops, std::optional<MonotonicTime> deadline,
                    std::vector<Completion>* completions) override;
  std::string_view name() const override { return "io_uring"; }

 private:
  struct SlotState {
    int fd = -1;
    bool want_receive = false;
    bool receive_armed = false;  // A multishot receive is in the kernel.
    bool hang_up_armed = false;  // A poll for the end of the peer's stream is in the kernel.
    bool hang_up_told = false;   // It has fired, as it does once.
    bool rearm_listed = false;   // In `rearm_`.
    bool send_in_flight = false;
    bool detaching = false;
  };

  io_uring_sqe* Sqe();
  void Carry(const Op& op, std::vector<Completion>* completions);
  void Watch(const Op& op);
  void ArmWatch(Slot slot);
  void ArmReceive(Slot slot, SlotState& state);
  void ArmHangUp(Slot slot, SlotState& state);
  void ArmWake();
  void RearmLater(Slot slot, SlotState& state);
  void Cancel(uint64_t user_data);
  void ReturnBuffers();
  void SubmitAndWait(bool wait, std::optional<MonotonicTime> deadline);
  void Reap(std::vector<Completion>* completions);
  void OnReceive(Slot slot, const io_uring_cqe& cqe, std::vector<Completion>* completions);
  void OnHangUp(Slot slot, std::vector<Completion>* completions);
  void FinishDetach(Slot slot, SlotState& state, std::vector<Completion>* completions);

  const int wake_fd_;
  io_uring ring_{};
  bool ring_made_ = false;
  io_uring_buf_ring* buffer_ring_ = nullptr;  // mmap of kBuffersMax entries
  char* buffers_ = nullptr;                   // mmap of kBuffersMax * kBufferBytes
  std::vector<uint16_t> lent_;                // Buffers whose bytes the last completions show.
  SlotTable<int> watched_;     // Descriptors, by the numbers of kWatch; -1 = no longer.
  std::vector<Slot> rewatch_;  // Polls that have fired.
  std::vector<Slot> rearm_;    // Receives that ended for want of buffers or such.
  SlotTable<SlotState> slots_;
  uint64_t wake_count_ = 0;  // Where the kernel puts the eventfd's counter.
  MonotonicTime now_ = std::chrono::steady_clock::now();
};

UringIo::~UringIo() {
  if (ring_made_) io_uring_queue_exit(&ring_);
  if (buffer_ring_ != nullptr) munmap(buffer_ring_, kBuffersMax * sizeof(io_uring_buf));
  if (buffers_ != nullptr) munmap(buffers_, kBuffersMax * kBufferBytes);
}

std::pair<int, const char*> UringIo::Init() {
  // Both flags are of Linux 6.1; an older kernel answers EINVAL. DEFER_TASKRUN is needed, not only
  // fast: bytes leave a socket within Run() and at no other time, so UnreadBytes() tells the truth.
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                 IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL;
  params.cq_entries = kCompletionsMax;
  int error = io_uring_queue_init_params(kSubmissionsMax, &ring_, &params);
  if (error == -EINVAL) return {error, "io_uring_setup (Linux 6.1 or later is needed)"};
  if (error != 0) return {error, "io_uring_setup"};
  ring_made_ = true;

  const auto map = [](size_t bytes) {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  };
  void* ring_memory = map(kBuffersMax * sizeof(io_uring_buf));
  if (ring_memory == MAP_FAILED) return {-errno, "mmap"};
  buffer_ring_ = static_cast<io_uring_buf_ring*>(ring_memory);
  void* buffer_memory = map(kBuffersMax * kBufferBytes);
  if (buffer_memory == MAP_FAILED) return {-errno, "mmap"};
  buffers_ = static_cast<char*>(buffer_memory);

  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(buffer_ring_);
  registration.ring_entries = kBuffersMax;
  registration.bgid = kBufferGroup;
  error = io_uring_register_buf_ring(&ring_, &registration, 0);
  if (error != 0) return {error, "io_uring_register_buf_ring"};
  io_uring_buf_ring_init(buffer_ring_);
  lent_.reserve(kBuffersMax);
  for (unsigned i = 0; i < kBuffersMax; ++i) lent_.push_back(static_cast<uint16_t>(i));
  ReturnBuffers();
  ArmWake();
  return {0, ""};
}

// Submits what is queued when the queue is full: the operations before it keep their order.
io_uring_sqe* UringIo::Sqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  while (sqe == nullptr) {
    const int submitted = io_uring_submit(&ring_);
    if (submitted < 0 && submitted != -EINTR && submitted != -EAGAIN && submitted != -EBUSY) {
      Die("io_uring_submit", -submitted);
    }
    sqe = io_uring_get_sqe(&ring_);
  }
  return sqe;
}

MonotonicTime UringIo::Run(const std::vector<Op>& ops, std::optional<MonotonicTime> deadline,
                           std::vector<Completion>* completions) {
  completions->clear();
  ReturnBuffers();
  for (const Slot slot : rearm_) {
    SlotState& state = slots_[slot];
    state.rearm_listed = false;
    if (state.want_receive && !state.receive_armed && !state.detaching) ArmReceive(slot, state);
  }
  rearm_.clear();
  for (const Slot slot : rewatch_) {
    if (watched_[slot] >= 0) ArmWatch(slot);
  }
  rewatch_.clear();
  for (const Op& op : ops) Carry(op, completions);
  SubmitAndWait(completions->empty(), deadline);
  Reap(completions);
  // What the ring had no room for waits in the kernel. It belongs to this turn: a drain that comes
  // next relies on every byte that has left a socket having been told.
  while (io_uring_cq_has_overflow(&ring_)) {
    io_uring_get_events(&ring_);
    Reap(completions);
  }
  now_ = std::chrono::steady_clock::now();
  return now_;
}

void UringIo::Carry(const Op& op, std::vector<Completion>* completions) {
  if (op.kind == Op::Kind::kWatch || op.kind == Op::Kind::kUnwatch) return Watch(op);
  SlotState& state = slots_[op.slot];
  state.fd = op.fd;
  switch (op.kind) {
    case Op::Kind::kReceive:
      state.want_receive = true;
      // A receive that is being cancelled is armed anew when its cancellation is told.
      if (!state.receive_armed) ArmReceive(op.slot, state);
      if (!state.hang_up_told && !state.hang_up_armed) ArmHangUp(op.slot, state);
      break;
    case Op::Kind::kPause:
      state.want_receive = false;
      if (state.receive_armed) Cancel(UserData(Tag::kReceive, op.slot));
      break;
    case Op::Kind::kSend: {
      io_uring_sqe* sqe = Sqe();
      io_uring_prep_send(sqe, op.fd, op.data.data(), op.data.size(), MSG_NOSIGNAL);
      io_uring_sqe_set_data64(sqe, UserData(Tag::kSend, op.slot));
      state.send_in_flight = true;
      break;
    }
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
      state.detaching = true;
      if (state.receive_armed) Cancel(UserData(Tag::kReceive, op.slot));
      if (state.hang_up_armed) Cancel(UserData(Tag::kHangUp, op.slot));
      if (state.send_in_flight) Cancel(UserData(Tag::kSend, op.slot));
      FinishDetach(op.slot, state, completions);
      break;
  }
}

void UringIo::Watch(const Op& op) {
  if (op.kind == Op::Kind::kWatch) {
    watched_[op.slot] = op.fd;
    ArmWatch(op.slot);
  } else {
    watched_[op.slot] = -1;
    Cancel(UserData(Tag::kWatch, op.slot));
  }
}

void UringIo::ArmWatch(Slot slot) {
  io_uring_sqe* sqe = Sqe();
  io_uring_prep_poll_add(sqe, watched_[slot], POLLIN);
  io_uring_sqe_set_data64(sqe, UserData(Tag::kWatch, slot));
}

void UringIo::ArmReceive(Slot slot, SlotState& state) {
  io_uring_sqe* sqe = Sqe();
  if (state.hang_up_told) {
    io_uring_prep_recv(sqe, state.fd, nullptr, kBufferBytes, 0);
  } else {
    io_uring_prep_recv_multishot(sqe, state.fd, nullptr, 0, 0);
  }
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = kBufferGroup;
  io_uring_sqe_set_data64(sqe, UserData(Tag::kReceive, slot));
  state.receive_armed = true;
}

// A multishot receive may miss the end of the stream, or a reset, that comes together with the last
// bytes: later kernels than 6.1 stop looking once the socket says that it holds no more bytes, and
// no event follows. So the end is watched for by itself, and from then on the rest is received
// piece by piece: each such receive looks at the socket first.
void UringIo::ArmHangUp(Slot slot, SlotState& state) {
  io_uring_sqe* sqe = Sqe();
  io_uring_prep_poll_add(sqe, state.fd, POLLRDHUP);  // Errors are told whether asked for or not.
  io_uring_sqe_set_data64(sqe, UserData(Tag::kHangUp, slot));
  state.hang_up_armed = true;
}

void UringIo::ArmWake() {
  io_uring_sqe* sqe = Sqe();
  io_uring_prep_read(sqe, wake_fd_, &wake_count_, sizeof(wake_count_), 0);
  io_uring_sqe_set_data64(sqe, UserData(Tag::kWake));
}

void UringIo::RearmLater(Slot slot, SlotState& state) {
  if (!state.want_receive || state.rearm_listed) return;
  state.rearm_listed = true;
  rearm_.push_back(slot);
}

void UringIo::Cancel(uint64_t user_data) {
  io_uring_sqe* sqe = Sqe();
  io_uring_prep_cancel64(sqe, user_data, 0);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  io_uring_sqe_set_data64(sqe, UserData(Tag::kCancel));
}

void UringIo::ReturnBuffers() {
  if (lent_.empty()) return;
  const int mask = io_uring_buf_ring_mask(kBuffersMax);
  int offset = 0;
  for (const uint16_t id : lent_) {
    io_uring_buf_ring_add(buffer_ring_, buffers_ + id * kBufferBytes, kBufferBytes, id, mask,
                          offset++);
  }
  io_uring_buf_ring_advance(buffer_ring_, offset);
  lent_.clear();
}

void UringIo::SubmitAndWait(bool wait, std::optional<MonotonicTime> deadline) {
  int result;
  if (!wait || (deadline.has_value() && *deadline <= now_)) {
    // Not a wait of no time, for which the kernel sets a timer and gives the CPU away.
    result = io_uring_submit_and_get_events(&ring_);
  } else {
    __kernel_timespec timeout{};
    if (deadline.has_value()) {
      const Duration left = *deadline - now_;
      timeout.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(left).count();
      timeout.tv_nsec = (left % std::chrono::seconds(1)).count();
    }
    io_uring_cqe* first = nullptr;
    result = io_uring_submit_and_wait_timeout(&ring_, &first, 1,
                                              deadline.has_value() ? &timeout : nullptr, nullptr);
  }
  // EBUSY and EAGAIN: completions must be reaped before more can be submitted; Reap() does.
  if (result < 0 && result != -ETIME && result != -EINTR && result != -EBUSY && result != -EAGAIN) {
    Die("io_uring_enter", -result);
  }
}

void UringIo::Reap(std::vector<Completion>* completions) {
  unsigned head;
  unsigned count = 0;
  io_uring_cqe* cqe;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    ++count;
    const uint64_t user_data = io_uring_cqe_get_data64(cqe);
    const Slot slot = static_cast<Slot>(user_data >> kTagBits);
    switch (static_cast<Tag>(user_data & ((1 << kTagBits) - 1))) {
      case Tag::kReceive:
        OnReceive(slot, *cqe, completions);
        break;
      case Tag::kSend: {
        SlotState& state = slots_[slot];
        state.send_in_flight = false;
        if (!state.detaching) {
          completions->push_back(
              {.kind = Completion::Kind::kSent, .slot = slot, .result = cqe->res});
        }
        FinishDetach(slot, state, completions);
        break;
      }
      case Tag::kCancel:
        break;  // Only failures are told, and what was to be cancelled has ended then.
      case Tag::kWatch:
        if (watched_[slot] < 0) break;  // No longer.
        rewatch_.push_back(slot);
        completions->push_back({.kind = Completion::Kind::kReadable, .slot = slot});
        break;
      case Tag::kHangUp:
        OnHangUp(slot, completions);
        break;
      case Tag::kWake:
        ArmWake();
        completions->push_back({.kind = Completion::Kind::kWake});
        break;
    }
  }
  io_uring_cq_advance(&ring_, count);
}

void UringIo::OnReceive(Slot slot, const io_uring_cqe& cqe, std::vector<Completion>* completions) {
  SlotState& state = slots_[slot];
  Completion completion{.kind = Completion::Kind::kReceived, .slot = slot, .result = cqe.res};
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    const auto id = static_cast<uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    lent_.push_back(id);
    completion.data = {buffers_ + id * kBufferBytes, static_cast<size_t>(std::max(cqe.res, 0))};
  }
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) state.receive_armed = false;

  const bool ended_for_now =
      cqe.res == -ENOBUFS || cqe.res == -ECANCELED || cqe.res == -EINTR || cqe.res == -EAGAIN;
  if (!ended_for_now && !state.detaching) {
    if (cqe.res <= 0) state.want_receive = false;
    completions->push_back(completion);
  }
  if (!state.receive_armed) {
    if (state.detaching) {
      FinishDetach(slot, state, completions);
    } else {
      RearmLater(slot, state);
    }
  }
}

// The multishot receive is ended; when that is told, it is armed anew as what it is from now on.
void UringIo::OnHangUp(Slot slot, std::vector<Completion>* completions) {
  SlotState& state = slots_[slot];
  state.hang_up_armed = false;
  state.hang_up_told = true;
  if (state.detaching) {
    FinishDetach(slot, state, completions);
  } else if (state.receive_armed) {
    Cancel(UserData(Tag::kReceive, slot));
  }
}

void UringIo::FinishDetach(Slot slot, SlotState& state, std::vector<Completion>* completions) {
  if (!state.detaching) return;
  if (state.receive_armed || state.hang_up_armed || state.send_in_flight) return;
  const bool rearm_listed = state.rearm_listed;
  state = SlotState();
  state.rearm_listed = rearm_listed;
  completions->push_back({.kind = Completion::Kind::kDetached, .slot = slot});
}

}  // namespace

absl::StatusOr<std::unique_ptr<Io>> MakeUringIo(int wake_fd) {
  for (Duration waited{0};; waited += kMemoryRetryPause) {
    auto io = std::make_unique<UringIo>(wake_fd);
    const auto [error, call] = io->Init();
    if (error == 0) return io;
    // A ring that has just been closed gives its locked memory back a little later.
    if (error != -ENOMEM || waited >= kMemoryRetryMax) return absl::ErrnoToStatus(-error, call);
    const timespec pause{.tv_sec = 0, .tv_nsec = kMemoryRetryPause.count()};
    nanosleep(&pause, nullptr);
  }
}

}  // namespace bsockd
