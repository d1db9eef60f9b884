// ConnectionTable: a worker's connections, by slot.
//
// A slot is used again only after Remove(), which a worker calls when nothing is in flight for it;
// its generation has changed then, so that an old ConnectionId finds nothing.
//
// Thread: its worker's.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "lib/server/connection.h"

namespace bsockd {

class ConnectionTable {
 public:
  // The new connection, in a slot of its own; it stays where it is until Remove().
  Connection& Add(UniqueFd fd, std::shared_ptr<const Listener> listener,
                  std::shared_ptr<Peer> peer) {
    if (free_.empty()) {
      free_.push_back(static_cast<Slot>(entries_.size()));
      entries_.emplace_back();
    }
    const Slot slot = free_.back();
    free_.pop_back();
    Entry& entry = entries_[slot];
    entry.connection = std::make_unique<Connection>(
        ConnectionId{slot, entry.generation}, std::move(fd), std::move(listener), std::move(peer));
    ++size_;
    return *entry.connection;
  }

  // Destroys the connection, and with it closes its socket.
  void Remove(Slot slot) {
    Entry& entry = entries_[slot];
    entry.connection.reset();
    ++entry.generation;
    free_.push_back(slot);
    --size_;
  }

  // The connection in a slot that is known to be in use.
  Connection& At(Slot slot) { return *entries_[slot].connection; }

  // Null if that connection is gone.
  Connection* Find(ConnectionId id) {
    if (id.slot >= entries_.size() || entries_[id.slot].generation != id.generation) return nullptr;
    return entries_[id.slot].connection.get();
  }

  // Calls `visit(Connection&)` for each connection; it must neither add nor remove any.
  template <typename Visit>
  void ForEach(Visit visit) {
    for (Entry& entry : entries_) {
      if (entry.connection) visit(*entry.connection);
    }
  }

  size_t size() const { return size_; }

 private:
  struct Entry {
    std::unique_ptr<Connection> connection;
    uint32_t generation = 0;
  };

  std::vector<Entry> entries_;
  std::vector<Slot> free_;
  size_t size_ = 0;
};

}  // namespace bsockd
