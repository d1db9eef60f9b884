// Io: the seam between the connections and the operating system.
//
// It is shaped as completions: a connection says what it wants in plain Op structs, and Run() tells
// what came of it. io_uring works that way by itself, epoll can imitate it, and a test's simulated
// network is the third implementation. There is one virtual call a turn, not one an operation.
//
// Thread: an Io belongs to one worker and is made, run and destroyed on the worker's thread
// (io_uring's IORING_SETUP_SINGLE_ISSUER demands it).
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "lib/base/clock.h"

namespace bsockd {

// A slot names one connection, and with it everything that is in flight for it. Slots are small
// numbers, dense from 0. After kDetached, and not before, a slot may stand for another connection.
using Slot = uint32_t;

struct Op {
  enum class Kind : uint8_t {
    kReceive,        // Receive until told to pause; brings kReceived again and again.
    kPause,          // Receive no more. What is under way may still bring a few kReceived.
    kSend,           // Send `data`, which stays as it is until kSent. One at a time for a slot.
    kShutdownWrite,  // Send the end of the stream. No completion. Not while a send is in flight.
    kDetach,         // Cancel everything; brings kDetached, after which `fd` may be closed.
    kAbort,          // As kDetach, and closing will reset the connection and drop what is unsent.
    kWatch,          // Bring kReadable in every Run() in which `fd` is readable. `slot` is the
                     // caller's number for it, of a kind of its own.
    kUnwatch,        // No more of that. `fd` may be closed after the next Run().
  };

  Kind kind;
  Slot slot;
  int fd;  // Borrowed: the connection owns it and closes it after kDetached.
  std::string_view data = {};
};

struct Completion {
  enum class Kind : uint8_t {
    kReceived,  // result > 0: `data`; 0: the end of input; < 0: -errno. After the end or an error
                // nothing more is received.
    kSent,      // result > 0: so many bytes, perhaps not all; < 0: -errno.
    kDetached,  // Nothing is in flight for the slot any more, and nothing else follows for it.
    kReadable,  // A watched descriptor, `slot`, is readable.
    kWake,      // The wake descriptor was signalled, and has been reset.
  };

  Kind kind;
  Slot slot = 0;
  int result = 0;
  std::string_view data = {};  // kReceived: lent until the next Run().
};

class Io {
 public:
  virtual ~Io() = default;

  // Carries out `ops` in their order, then waits for something to happen, at the latest until
  // `deadline`, and replaces `*completions` by what did. Returns the time after the wait: the `now`
  // of the turn. Does not wait when operations completed at once.
  //
  // Errors of a connection are in its completions. That the waiting itself fails cannot happen
  // short of a defect, and ends the process.
  virtual MonotonicTime Run(const std::vector<Op>& ops, std::optional<MonotonicTime> deadline,
                            std::vector<Completion>* completions) = 0;

  // Bytes that have come for a socket and that no kReceived has brought yet. For draining, which
  // must answer what had come; not for the hot path (a system call).
  virtual size_t UnreadBytes(int fd) const;
  // Bytes that were given to a socket and that its peer has not taken yet. Also a system call.
  virtual size_t UnsentBytes(int fd) const;

  // "io_uring" or "epoll".
  virtual std::string_view name() const = 0;
};

// Called on the worker's thread. `wake_fd` is an eventfd, borrowed, that outlives the Io.
using IoFactory = std::function<absl::StatusOr<std::unique_ptr<Io>>(int wake_fd)>;

// Errors: the errno of what the kernel refused, with the call's name.
absl::StatusOr<std::unique_ptr<Io>> MakeEpollIo(int wake_fd);
// PermissionDenied or Unimplemented where io_uring is denied or too old, ResourceExhausted where
// locked memory stays short although it was retried (it is released late after a restart).
absl::StatusOr<std::unique_ptr<Io>> MakeUringIo(int wake_fd);

}  // namespace bsockd
