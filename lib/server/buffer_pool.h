// BufferPool: byte buffers that a worker's connections take while they have something unfinished
// and give back when they have not, so that an idle connection holds none.
//
// Thread: its worker's.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace bsockd {

class BufferPool {
 public:
  // An empty buffer, with the capacity of an earlier use where there is one.
  std::string Take() {
    if (free_.empty()) return {};
    std::string buffer = std::move(free_.back());
    free_.pop_back();
    return buffer;
  }

  // Empties `*buffer` and keeps its storage for another, unless it is large or there are plenty.
  void Give(std::string* buffer) {
    std::string emptied;
    emptied.swap(*buffer);
    if (emptied.capacity() < kBufferBytesMin || emptied.capacity() > kBufferBytesMax ||
        free_.size() >= kBuffersMax) {
      return;
    }
    emptied.clear();
    free_.push_back(std::move(emptied));
  }

 private:
  static constexpr size_t kBufferBytesMin = 16;  // Below, the string holds its bytes within itself.
  static constexpr size_t kBufferBytesMax = 64 * 1024;
  static constexpr size_t kBuffersMax = 64;

  std::vector<std::string> free_;
};

}  // namespace bsockd
