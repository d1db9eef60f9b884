// From the command line to the configuration that is served.
#pragma once

#include <string>
#include <variant>

#include "daemon/flags.h"
#include "lib/config/config.h"

namespace bsockd {

// The file's configuration, or the quick form's, with what the command line overrides. On an error
// the user has been told on standard error.
std::variant<Config, ExitStatus> EffectiveConfig(const Flags& flags);

// The file that `flags` name, or the default one.
std::string ConfigFile(const Flags& flags);

}  // namespace bsockd
