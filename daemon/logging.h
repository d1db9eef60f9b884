// The log: lines of text or JSON objects on standard error.
#pragma once

#include <spdlog/logger.h>

#include <memory>

#include "lib/config/config.h"

namespace bsockd {

// Any thread may use the logger. It writes at once, so that the last line before a crash is there;
// nothing is logged for a request, so that is no cost to anyone. A line that
// standard error does not take is dropped after a moment (lib/base/line_writer.h).
std::unique_ptr<spdlog::logger> MakeLogger(const LogConfig& config);

}  // namespace bsockd
