// From YAML to Config and back. Pure but for LoadConfigFile, which reads the file.
//
// The loader is strict and finds every error in one pass. Nothing outside this folder knows YAML.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "lib/config/config.h"
#include "lib/config/error.h"

namespace bsockd {

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
