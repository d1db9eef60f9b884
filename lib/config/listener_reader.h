// Reads one entry of `listeners:`.
#pragma once

#include <vector>

#include "lib/config/config.h"
#include "lib/config/value_reader.h"

namespace bsockd {

// A listener and where its parts stand, for the checks that concern several of them.
struct PlacedListener {
  ListenerConfig config;
  std::vector<Place> listen;  // Of each address.
  Place handler;              // {0, 0} if it has none.
};

// Errors go to the reader; the result then has what could be read.
PlacedListener ReadListener(const Value& entry, ValueReader* reader);

}  // namespace bsockd
