// Reads who may connect: `allow:`, `deny:` and `peer:` of a listener.
#pragma once

#include <vector>

#include "lib/config/config.h"
#include "lib/config/value_reader.h"
#include "lib/net/ip.h"

namespace bsockd {

// `allow:` or `deny:`. False after errors, which go to the reader; *out is then left alone.
bool ReadBlocks(const Value& value, ValueReader* reader, Limit<std::vector<CidrBlock>>* out);

// `peer:`. Errors as above.
bool ReadPeer(const Value& value, ValueReader* reader, Limit<PeerConfig>* out);

}  // namespace bsockd
