// Reads `framing:` and what belongs to it. docs/configuration.md has its meaning.
#pragma once

#include <optional>
#include <span>

#include "lib/config/config.h"
#include "lib/config/value_reader.h"

namespace bsockd {

struct PlacedFraming {
  FramingConfig requests;
  std::optional<FramingConfig> replies;  // `reply_framing`
  Place fixed;                           // Of the number of `fixed`; {0, 0} without one.
};

// The framing of a listener: the value of `framing:`, or null where it says nothing, and those of
// `eof`, `overlong` and `reply_framing` that stand beside it. Errors go to the reader; the result
// is then only partly set.
PlacedFraming ReadListenerFraming(const Value* framing, std::span<const Value> beside,
                                  ValueReader* reader);

// A framing that has no listener. Errors as above.
FramingConfig ReadFraming(const Value& value, ValueReader* reader);

}  // namespace bsockd
