// What happens between fork(2) and exec(2): descriptors, limits, user, seccomp filter.
#pragma once

#include <sys/types.h>

#include "tests/integration/process.h"

namespace bsockd::integration {

// Borrowed descriptors that become the child's 0, 1 and 2.
struct ChildDescriptors {
  int input = -1;
  int output = -1;
  int errors = -1;
};

struct SpawnResult {
  pid_t pid = -1;
  int error = 0;                 // An errno, where the child could not be started;
  const char* failed_call = "";  // the call that said so.
};

// Does not return before the child has executed the program or failed to. The child has default
// signal dispositions and no other descriptors than the three and those that it is to inherit.
SpawnResult Spawn(const ProcessOptions& options, const ChildDescriptors& descriptors);

}  // namespace bsockd::integration
