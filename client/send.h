// `bsock send ADDRESS [MESSAGE...]`: requests and replies for scripts.
#pragma once

#include <string>
#include <vector>

#include "client/session.h"

namespace bsockd {

// Sends `messages`, or the lines of standard input where there are none, and prints each reply as
// it is, followed by a newline. `session` must be connected. The first failure ends it.
void RunSend(Session& session, std::vector<std::string> messages);

}  // namespace bsockd
