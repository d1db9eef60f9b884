// Mutex and MutexLock: std::mutex with the annotations that clang's -Wthread-safety checks.
//
// Why not absl::Mutex: Debian's Abseil is compiled without ThreadSanitizer's annotations, so under
// TSan every use of it would look like a race. std::mutex is pthread's, which TSan knows.
#pragma once

#include <absl/base/thread_annotations.h>

#include <mutex>

namespace bsockd {

class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace bsockd
