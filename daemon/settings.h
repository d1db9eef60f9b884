// From the command line to the configuration that is served.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "daemon/flags.h"
#include "lib/config/config.h"

namespace bsockd {

struct SettingsError {
  std::vector<std::string> lines;  // Fit for the user: each names its place.
  ExitStatus exit_status;
};

// The file's configuration, or the quick form's, with what the command line overrides.
std::variant<Config, SettingsError> EffectiveConfig(const Flags& flags);

// The file that `flags` name, or the default one.
std::string ConfigFile(const Flags& flags);

}  // namespace bsockd
