// LineWriter: writes lines to a descriptor that may not take them.
//
// Standard output and error are often pipes or terminals, and whoever reads them may stop. A thread
// that serves connections must not stop with them. So a full pipe is waited for, but only for
// kPatience; then lines are dropped, and counted, until it takes one again.
//
// Thread: any. Lines of at most kLineBytesMax do not mix, not even with other processes' (pipe(7)).
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lib/base/unique_fd.h"

namespace bsockd {

class LineWriter {
 public:
  static constexpr size_t kLineBytesMax = PIPE_BUF;

  // `fd` is borrowed and stays open. It is left as it is: whether it blocks is shared with every
  // process that has it.
  explicit LineWriter(int fd);

  // `line` with its newline. Waits at most kPatience.
  void Write(std::string_view line);

  // Lines that could not be written, so far.
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  enum class Way : uint8_t {
    kWrite,     // A file: never waits.
    kSend,      // A socket: MSG_DONTWAIT.
    kReopened,  // A pipe or terminal: through a description of our own, which does not block.
    kAskFirst,  // Neither: poll(2), and write if it says that there is room.
  };

  static constexpr std::chrono::milliseconds kPatience{100};

  bool HasRoom(std::chrono::milliseconds patience) const;
  ssize_t TryWrite(std::string_view line) const;

  const int fd_;
  UniqueFd reopened_;
  Way way_ = Way::kAskFirst;
  std::atomic<bool> stalled_{false};  // The last line was dropped.
  std::atomic<uint64_t> dropped_{0};
};

}  // namespace bsockd
