#include "daemon/logging.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <string>

#include "lib/base/log_event.h"
#include "lib/base/message_ids.h"
#include "lib/base/unique_fd.h"
#include "tests/support/journal_socket.h"

namespace bsockd {
namespace {

using nlohmann::json;

const LogFields kEverything{.message_id = message_id::kReady,
                            .listener = "main",
                            .peer = "127.0.0.1:1",
                            .reason = "EMFILE"};

// Standard error is a file as long as this is there.
class LoggingTest : public testing::Test {
 protected:
  void SetUp() override {
    unsetenv("JOURNAL_STREAM");
    before_ = UniqueFd(dup(STDERR_FILENO));
    file_ = UniqueFd(memfd_create("standard error", MFD_CLOEXEC));
    dup2(file_.get(), STDERR_FILENO);
  }
  void TearDown() override { dup2(before_.get(), STDERR_FILENO); }

  // What was written to standard error.
  std::string Written() const {
    std::string text(1 << 16, '\0');
    const ssize_t size = pread(file_.get(), text.data(), text.size(), 0);
    text.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return text;
  }
  // Without the time that the line begins with.
  std::string WithoutTime() const {
    return std::regex_replace(Written(), std::regex("(^|\n)[0-9T:.-]{23}Z "), "$1");
  }
  // As systemd says that standard error is the journal.
  void DeclareJournal() const {
    struct stat status;
    fstat(STDERR_FILENO, &status);
    setenv("JOURNAL_STREAM", fmt::format("{}:{}", status.st_dev, status.st_ino).c_str(), 1);
  }

 private:
  UniqueFd before_;
  UniqueFd file_;
};

TEST_F(LoggingTest, TextLeavesTheFieldsOut) {
  for (const LogFormat format : {LogFormat::kText, LogFormat::kAuto}) {
    const auto log = MakeLogger({.format = format});
    LogEvent(*log, spdlog::level::warn, kEverything, "it says {} all");
    log->info("{} more", "one");
  }
  EXPECT_EQ(WithoutTime(),
            "warn  it says {} all\ninfo  one more\nwarn  it says {} all\ninfo  one more\n");
}

TEST_F(LoggingTest, JsonHasThemAsMembers) {
  const auto log = MakeLogger({.format = LogFormat::kJson});
  LogEvent(*log, spdlog::level::err, kEverything, "cannot accept");
  json entry = json::parse(Written());
  EXPECT_EQ(entry["time"].get<std::string>().size(), 24u);
  entry.erase("time");
  EXPECT_EQ(entry, json({{"level", "error"},
                         {"message", "cannot accept"},
                         {"message_id", message_id::kReady},
                         {"listener", "main"},
                         {"peer", "127.0.0.1:1"},
                         {"reason", "EMFILE"}}));
}

TEST_F(LoggingTest, JsonLeavesOutThoseThatAreEmpty) {
  const auto log = MakeLogger({.format = LogFormat::kJson});
  LogEvent(*log, spdlog::level::info, {.listener = "a\"b\xFF"}, "two\nlines");
  json entry = json::parse(Written());
  entry.erase("time");
  EXPECT_EQ(entry,
            json({{"level", "info"}, {"message", "two\nlines"}, {"listener", "a\"b\xEF\xBF\xBD"}}));
}

TEST_F(LoggingTest, TheLevelHidesEventsToo) {
  const auto log = MakeLogger({.level = LogLevel::kError});
  LogEvent(*log, spdlog::level::warn, kEverything, "hidden");
  LogEvent(*log, spdlog::level::err, kEverything, "shown");
  EXPECT_EQ(WithoutTime(), "error shown\n");
}

TEST_F(LoggingTest, TheJournalHasThemAsFields) {
  JournalSocket journal;
  DeclareJournal();
  const auto log = MakeLogger({}, journal.path());
  LogEvent(*log, spdlog::level::err, kEverything, "cannot accept");
  EXPECT_EQ(journal.Next(), fmt::format("MESSAGE=cannot accept\nPRIORITY=3\n"
                                        "SYSLOG_IDENTIFIER=bsockd\nMESSAGE_ID={}\nLISTENER=main\n"
                                        "PEER=127.0.0.1:1\nREASON=EMFILE\n",
                                        message_id::kReady));
  log->info("a line");
  EXPECT_EQ(journal.Next(), "MESSAGE=a line\nPRIORITY=6\nSYSLOG_IDENTIFIER=bsockd\n");
  EXPECT_EQ(Written(), "");
}

TEST_F(LoggingTest, PrioritiesAreThoseOfSyslog) {
  JournalSocket journal;
  DeclareJournal();
  const auto log = MakeLogger({.level = LogLevel::kTrace}, journal.path());
  const std::pair<spdlog::level::level_enum, int> priorities[] = {{spdlog::level::trace, 7},
                                                                  {spdlog::level::debug, 7},
                                                                  {spdlog::level::info, 6},
                                                                  {spdlog::level::warn, 4},
                                                                  {spdlog::level::err, 3}};
  for (const auto& [level, priority] : priorities) {
    LogEvent(*log, level, {}, "x");
    EXPECT_EQ(journal.Next(),
              fmt::format("MESSAGE=x\nPRIORITY={}\nSYSLOG_IDENTIFIER=bsockd\n", priority));
  }
}

TEST_F(LoggingTest, WhatTheJournalDoesNotTakeGoesToStandardError) {
  JournalSocket journal;
  DeclareJournal();
  const auto log = MakeLogger({}, journal.path());
  journal.Close();
  LogEvent(*log, spdlog::level::warn, kEverything, "alone");
  EXPECT_EQ(WithoutTime(), "warn  alone\n");
  journal.Open();
  log->info("again");
  EXPECT_EQ(journal.Next(), "MESSAGE=again\nPRIORITY=6\nSYSLOG_IDENTIFIER=bsockd\n");
  EXPECT_EQ(WithoutTime(), "warn  alone\n");
}

TEST_F(LoggingTest, OnlyAutoIsTheJournal) {
  JournalSocket journal;
  DeclareJournal();
  MakeLogger({.format = LogFormat::kText}, journal.path())->info("a line");
  EXPECT_EQ(WithoutTime(), "info  a line\n");
  setenv("JOURNAL_STREAM", "1:1", 1);
  MakeLogger({}, journal.path())->info("another's");
  EXPECT_EQ(WithoutTime(), "info  a line\ninfo  another's\n");
  EXPECT_EQ(journal.Next(), "");
}

}  // namespace
}  // namespace bsockd
