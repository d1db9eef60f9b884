// Reads the framings that begin with a length: the values of `length:` and `packet:`.
#pragma once

#include "lib/config/config.h"
#include "lib/config/value_reader.h"

namespace bsockd {

// Errors go to the reader; *out is then only partly set.
void ReadLength(const Value& value, ValueReader* reader, LengthFieldConfig* out);
void ReadPacket(const Value& value, ValueReader* reader, LengthFieldConfig* out);

}  // namespace bsockd
