#include "lib/systemd/journal.h"

#include <endian.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace bsockd {
namespace {

constexpr timeval kPatience{.tv_sec = 0, .tv_usec = 100'000};

void AppendField(const JournalField& field, std::string* out) {
  out->append(field.name);
  if (field.value.find('\n') == field.value.npos) {
    out->append("=").append(field.value).append("\n");
    return;
  }
  // A value of several lines says how long it is.
  const uint64_t size = htole64(field.value.size());
  out->append("\n").append(reinterpret_cast<const char*>(&size), sizeof(size));
  out->append(field.value).append("\n");
}

}  // namespace

JournalWriter::JournalWriter(std::string_view socket_path)
    : socket_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  journal_.sun_family = AF_UNIX;
  std::memcpy(journal_.sun_path, socket_path.data(),
              std::min(socket_path.size(), sizeof(journal_.sun_path) - 1));
  setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience));
}

bool JournalWriter::Write(std::span<const JournalField> fields) {
  std::string entry;
  for (const JournalField& field : fields) AppendField(field, &entry);
  // By name each time: a journal that was started anew is another socket of the same name.
  const int wait = stalled_.load(std::memory_order_relaxed) ? MSG_DONTWAIT : 0;
  ssize_t sent;
  do {
    sent = sendto(socket_.get(), entry.data(), entry.size(), MSG_NOSIGNAL | wait,
                  reinterpret_cast<const sockaddr*>(&journal_), sizeof(journal_));
  } while (sent < 0 && errno == EINTR);
  stalled_.store(sent < 0, std::memory_order_relaxed);
  return sent >= 0;
}

bool IsJournal(int fd, const char* journal_stream) {
  struct stat status;
  if (journal_stream == nullptr || fstat(fd, &status) != 0) return false;
  return journal_stream == fmt::format("{}:{}", status.st_dev, status.st_ino);
}

}  // namespace bsockd
