// Reads what listeners share with `defaults:`: limits, timeouts, and what errors do.
#pragma once

#include "lib/config/config.h"
#include "lib/config/value_reader.h"

namespace bsockd {

// What a listener has where it says nothing else. Read in steps, each over the last one: the
// built-in values, `server`, `defaults`, the listener itself.
struct ListenerDefaults {
  LimitsConfig limits;  // Until FinishLimits(), with a requests_burst of 0 where none was given.
  TimeoutsConfig timeouts;
  bool reply_errors = true;
  bool output_low_given = false;  // If not, it follows output_high.
};

// The values of `limits:`, `timeouts:` and `errors:`. Errors go to the reader; what is wrong leaves
// *settings as it was.
void ReadLimits(const Value& value, ValueReader* reader, ListenerDefaults* settings);
void ReadTimeouts(const Value& value, ValueReader* reader, ListenerDefaults* settings);
void ReadErrors(const Value& value, ValueReader* reader, ListenerDefaults* settings);

// The limits of a listener, everything that it says having been read.
LimitsConfig FinishLimits(const ListenerDefaults& settings);

}  // namespace bsockd
