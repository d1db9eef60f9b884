// Reads the whole configuration from its YAML nodes, and checks what concerns several of them:
// handlers that nobody defines, addresses that two listeners want.
#pragma once

#include "lib/config/config.h"
#include "lib/config/value_reader.h"

namespace bsockd {

// `root` is null for a file without content. Errors go to the reader; the result then means
// nothing.
Config ReadConfig(const YamlNode* root, ValueReader* reader);

}  // namespace bsockd
