// The configuration written out for comparing: see plan.cc.
#pragma once

#include <string>

#include "lib/config/config.h"

namespace bsockd {

// As DumpConfig(), and also what that leaves out because it concerns none of a listener's
// addresses. So two configurations have the same keys, but for those that are alternatives. Not
// every such text loads.
std::string DumpEverything(const Config& config);

}  // namespace bsockd
