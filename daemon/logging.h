// The log: entries of the journal, lines of text, or JSON objects.
#pragma once

#include <spdlog/logger.h>

#include <memory>
#include <string_view>

#include "lib/config/config.h"
#include "lib/systemd/journal.h"

namespace bsockd {

// Any thread may use the logger, by itself or with LogEvent() (lib/base/log_event.h). It writes at
// once, so that the last line before a crash is there; nothing is logged for a request, so that is
// no cost to anyone. It writes to the journal if `format` is auto and standard error is the journal
// (JOURNAL_STREAM), else to standard error; there, too, what the journal does not take. A line that
// nobody takes is dropped after a moment (lib/base/line_writer.h).
std::unique_ptr<spdlog::logger> MakeLogger(const LogConfig& config,
                                           std::string_view journal_socket = kJournalSocket);

// From now on lines below `level` are not written.
void SetLevel(LogLevel level, spdlog::logger* log);

}  // namespace bsockd
