// `bsock send ADDRESS [MESSAGE...]`: requests and replies for scripts.
#pragma once

#include <string>
#include <vector>

#include "client/session.h"

namespace bsockd {

// Sends `messages`, or the lines of standard input where there are none, and prints each reply as
// it is, followed by a newline; with `hex` those lines and the replies are in hex. `session` must
// be connected. The first failure ends it.
void RunSend(Session& session, std::vector<std::string> messages, bool hex);

}  // namespace bsockd
