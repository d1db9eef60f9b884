// What the clients of this folder can be told.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "lib/base/clock.h"
#include "lib/config/config.h"

namespace bsockd {

enum class Direction : uint8_t { kSent, kReceived };

struct ClientOptions {
  // How requests are framed, and replies too unless `reply_framing` is set. A datagram needs none.
  FramingConfig framing;
  std::optional<FramingConfig> reply_framing;
  // For each of Connect, Call, Send and Receive as a whole, by the monotonic clock; with datagrams
  // for each try. Asking the resolver for a name may take longer: getaddrinfo(3) takes no deadline.
  Duration timeout = std::chrono::seconds(10);
  // How often a datagram that was not answered in time is sent again.
  int retries = 2;
  // Bytes of one reply; a longer one is an error. A client's memory is bounded by about twice it.
  size_t reply_bytes_max = size_t{64} << 20;
  // Sees every buffer that the kernel took or gave, as it was, during the call that caused it. It
  // must not use the client.
  std::function<void(Direction, std::string_view)> observer;

  // What replies are taken apart by: `reply_framing`, else `framing`; but `raw` where a server
  // answers with its handler's bytes as they are, as to `fixed` and to a length field written out.
  FramingConfig FramingOfReplies() const;
};

// Whether two replies in a row can be told apart, so that requests can be sent ahead of replies.
bool TellsApart(const FramingConfig& framing_of_replies);

}  // namespace bsockd
