// What concerns a listener and something else of the file: another listener, `server`.
#pragma once

#include <vector>

#include "lib/config/config.h"
#include "lib/config/error.h"
#include "lib/config/listener_reader.h"

namespace bsockd {

// Addresses that are there twice.
void CheckAddresses(const std::vector<PlacedListener>& listeners, ErrorList* errors);

// With `server.protected: strict`, addresses that the network can reach without a list of who may
// connect. What a host name stands for is known only when it is bound.
void CheckProtection(const std::vector<PlacedListener>& listeners, Protected protection,
                     ErrorList* errors);

}  // namespace bsockd
