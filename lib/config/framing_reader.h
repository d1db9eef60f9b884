// Reads the value of `framing:`. docs/configuration.md has its meaning.
#pragma once

#include "lib/config/config.h"
#include "lib/config/value_reader.h"

namespace bsockd {

// Errors go to the reader; *out is then only partly set.
void ReadFraming(const Value& value, ValueReader* reader, FramingConfig* out);

}  // namespace bsockd
