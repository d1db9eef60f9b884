// From YAML to Config and back. Pure but for LoadConfigFile, which reads the file.
//
// The loader is strict and finds every error in one pass. load.cc and dump.cc are the only files
// that know YAML.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "lib/config/config.h"

namespace bsockd {

// One thing wrong in a configuration.
struct ConfigError {
  int line = 0;    // From 1; 0 where the error has no place, such as a file that cannot be read.
  int column = 0;  // From 1, in characters.
  std::string message;  // What is wrong, and in parentheses what would be right.
};

struct LoadedConfig {
  Config config;                    // Meaningful only when `errors` is empty.
  std::vector<ConfigError> errors;  // In the order of their places.

  bool ok() const { return errors.empty(); }
};

LoadedConfig LoadConfig(std::string_view yaml);
LoadedConfig LoadConfigFile(const std::string& path);

// Each error as a line `FILE:LINE:COLUMN: error: MESSAGE`, ended by a newline.
std::string FormatErrors(std::string_view file, const std::vector<ConfigError>& errors);

// One framing as it stands after `framing:`, for command lines: `line`, `raw`,
// `{delimiter: "@@", flush_after: 200ms}`. Errors: InvalidArgument with every error, in one line.
absl::StatusOr<FramingConfig> ParseFraming(std::string_view yaml);

// The whole configuration, defaults included, as YAML that loads to the same configuration.
std::string DumpConfig(const Config& config);

}  // namespace bsockd
