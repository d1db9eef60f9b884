#include "lib/client/options.h"

namespace bsockd {

FramingConfig ClientOptions::FramingOfReplies() const {
  if (reply_framing) return *reply_framing;
  const bool as_they_are =
      framing.kind == FramingConfig::Kind::kFixed ||
      (framing.kind == FramingConfig::Kind::kLength && !framing.length.in_replies);
  if (!as_they_are) return framing;
  FramingConfig raw;
  raw.kind = FramingConfig::Kind::kRaw;
  return raw;
}

bool TellsApart(const FramingConfig& framing_of_replies) {
  return framing_of_replies.kind != FramingConfig::Kind::kRaw && !framing_of_replies.flush_after;
}

}  // namespace bsockd
