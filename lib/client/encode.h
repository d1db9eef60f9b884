// A request as it goes over the wire. Pure.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

#include "lib/config/config.h"
#include "lib/framing/framer.h"

namespace bsockd {

// The bytes of `request` in `framing`, whose framer, without a limit, is `framer`. With `fixed` and
// with a length field written out, `request` is the whole frame, header included: what else stands
// in a header, only the caller knows.
//
// Errors: InvalidArgument where a server would not take the bytes for one request, and for this
// one; the framer itself is asked.
absl::StatusOr<std::string> EncodeRequest(const FramingConfig& framing, const Framer& framer,
                                          std::string_view request);

}  // namespace bsockd
