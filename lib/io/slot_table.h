// SlotTable<T>: what an Io remembers of each slot, by its number. Grows as slots are used.
// Thread: its Io's.
#pragma once

#include <vector>

#include "lib/io/io.h"

namespace bsockd {

// For kAbort: close(2) of the socket will send RST (socket(7), SO_LINGER).
void ResetOnClose(int fd);

template <typename T>
class SlotTable {
 public:
  T& operator[](Slot slot) {
    if (slot >= entries_.size()) entries_.resize(slot + 1);
    return entries_[slot];
  }

 private:
  std::vector<T> entries_;
};

}  // namespace bsockd
