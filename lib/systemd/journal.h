// JournalWriter: gives entries with fields to systemd-journald, in its native protocol
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/).
//
// Not sd_journal_sendv(3): it waits for ever where the journal does not read, which must not stop a
// thread that serves connections, and says that all is well where there is no journal.
//
// Thread: any.
#pragma once

#include <sys/un.h>

#include <atomic>
#include <span>
#include <string>
#include <string_view>

#include "lib/base/unique_fd.h"

namespace bsockd {

inline constexpr std::string_view kJournalSocket = "/run/systemd/journal/socket";

struct JournalField {
  std::string_view name;   // Upper case, digits and '_'.
  std::string_view value;  // Any bytes.
};

class JournalWriter {
 public:
  explicit JournalWriter(std::string_view socket_path = kJournalSocket);

  // Whether the journal has taken the entry. A journal that does not read is waited for 100 ms, and
  // then not at all until it has taken an entry again.
  bool Write(std::span<const JournalField> fields);

 private:
  UniqueFd socket_;
  sockaddr_un journal_{};
  std::atomic<bool> stalled_{false};  // The last entry was not taken.
};

// Whether `fd` is the journal, `journal_stream` being what JOURNAL_STREAM says (systemd.exec(5)):
// the device and inode that the descriptor had which the manager made. nullptr: nothing.
bool IsJournal(int fd, const char* journal_stream);

}  // namespace bsockd
