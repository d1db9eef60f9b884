// Reads one entry of `listeners:`.
#pragma once

#include <vector>

#include "lib/config/config.h"
#include "lib/config/limits_reader.h"
#include "lib/config/value_reader.h"

namespace bsockd {

// A listener and where its parts stand, for the checks that concern more than itself.
struct PlacedListener {
  ListenerConfig config;
  std::vector<Place> listen;  // Of each address.
  Place handler;              // {0, 0} if it has none.
  bool allow_known = true;    // Not if there was something wrong with `allow`.
};

// `defaults` is what it has where it says nothing else. Errors go to the reader; the result then
// has what could be read.
PlacedListener ReadListener(const Value& entry, const ListenerDefaults& defaults,
                            ValueReader* reader);

}  // namespace bsockd
