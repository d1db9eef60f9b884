// `bsock ADDRESS`: the lecture's client.
#pragma once

#include "client/session.h"

namespace bsockd {

// Sends the lines of standard input and prints each reply as
//   CLIENT: I received this from the server: "REPLY"
// `session` must be connected. On a terminal each line is prompted for until Ctrl-D, a request that
// fails is reported, and the next one gets a new connection; otherwise lines are sent ahead and the
// first failure ends it. `once`: stop after one line.
void RunInteractive(Session& session, bool once);

}  // namespace bsockd
