// The descriptors that the process was started with: by systemd, from a .socket unit or from the
// store of the service's own, or by whoever speaks the same protocol, sd_listen_fds(3).
#pragma once

#include <string>
#include <vector>

#include "lib/base/unique_fd.h"

namespace bsockd {

struct InheritedFd {
  std::string name;  // FileDescriptorName= of the unit, or FDNAME= of the store; else "unknown".
  UniqueFd fd;       // Of any kind; close-on-exec is set.
};

// Takes them, in their order, and LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES out of the environment,
// so that a second call finds nothing and children do not take them for theirs. Nothing if they are
// meant for another process, or if what the environment says of them is not so.
//
// Call it before any thread starts, and before anything is opened but standard streams.
std::vector<InheritedFd> TakeInheritedFds();

}  // namespace bsockd
