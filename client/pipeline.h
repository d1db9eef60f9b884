// Requests sent ahead of their replies, for input that does not wait for the replies.
#pragma once

#include <absl/status/status.h>

#include <functional>
#include <string_view>

#include "client/request_source.h"
#include "client/session.h"

namespace bsockd {

// Called with each reply, in the order of the requests, as soon as it has come.
using ReplySink = std::function<absl::Status(std::string_view)>;

// Sends everything that `source` has and hands over the replies, until all is answered or an error
// has been reported to `session`, which must be connected.
//
// At most kPipelineMax requests are unanswered at a time; one, where two replies cannot be told
// apart (`raw`, `flush_after`, datagrams). A new connection begins with one, too: so a server that
// closes after each reply is asked one request a connection, and no request is lost on it.
void RunPipeline(Session& session, RequestSource& source, const ReplySink& sink);

inline constexpr int kPipelineMax = 64;  // Requests.

}  // namespace bsockd
