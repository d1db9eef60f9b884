// Mailbox<T>: how one thread gives data to another. The only lock in the server.
//
// Any thread posts; one thread, the owner, takes. The eventfd is written only when the mailbox goes
// from empty to non-empty, so a burst of messages costs one wake-up. Messages are taken in the
// order in which they were posted.
//
// Bound: the number of messages is bounded by what the posters may have outstanding (connections,
// requests in flight), not here; a poster never blocks and never loses a message.
#pragma once

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "lib/base/mutex.h"
#include "lib/base/unique_fd.h"

namespace bsockd {

template <typename T>
class Mailbox {
 public:
  // Errors: that of eventfd(2), when descriptors run out.
  static absl::StatusOr<std::unique_ptr<Mailbox>> Create() {
    // Blocking, because io_uring waits for a blocking file and fails a non-blocking one with
    // EAGAIN. Nobody blocks on it all the same: it is read when it is readable, and by one thread.
    UniqueFd wake(eventfd(0, EFD_CLOEXEC));
    if (!wake) return absl::ErrnoToStatus(errno, "eventfd");
    return std::unique_ptr<Mailbox>(new Mailbox(std::move(wake)));
  }

  // Any thread.
  void Post(T message) {
    bool was_empty;
    {
      MutexLock lock(mutex_);
      was_empty = messages_.empty();
      messages_.push_back(std::move(message));
    }
    if (was_empty) {
      // The counter cannot overflow: it is written once for each time the mailbox is emptied.
      eventfd_write(wake_.get(), 1);
    }
  }

  // Owner's thread. Replaces `*messages` by everything posted so far, perhaps nothing. The storage
  // that `*messages` had is reused. Does not touch wake_fd(): whoever waits on it reads it first
  // and takes afterwards, so that a message posted in between is not missed.
  void Take(std::vector<T>* messages) {
    messages->clear();
    MutexLock lock(mutex_);
    messages_.swap(*messages);
  }

  // Readable when there may be something to take. Lives as long as the mailbox.
  int wake_fd() const { return wake_.get(); }

 private:
  explicit Mailbox(UniqueFd wake) : wake_(std::move(wake)) {}

  const UniqueFd wake_;
  Mutex mutex_;
  std::vector<T> messages_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bsockd
