// Standard input, output and error, made sure of.
#pragma once

namespace bsockd {

// Opens /dev/null for those of descriptors 0, 1 and 2 that the caller closed. Otherwise a socket
// would get that number, and what is printed would go to a peer. Call it first in main().
void OpenStandardFds();

}  // namespace bsockd
