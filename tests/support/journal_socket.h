// A socket as the journal has it, for tests: what is sent to it waits until it is asked for.
#pragma once

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "lib/base/unique_fd.h"

namespace bsockd {

// Thread: one.
class JournalSocket {
 public:
  JournalSocket() {
    char folder[] = "/tmp/bsockd.XXXXXX";
    if (mkdtemp(folder) != nullptr) folder_ = folder;
    Open();
  }
  ~JournalSocket() { std::filesystem::remove_all(folder_); }
  JournalSocket(const JournalSocket&) = delete;
  JournalSocket& operator=(const JournalSocket&) = delete;

  std::string path() const { return folder_ + "/socket"; }

  void Open() {
    socket_ = UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path().data(), path().size());
    bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  }
  // As when the journal has ended.
  void Close() {
    socket_.Reset();
    std::filesystem::remove(path());
  }

  // The entry that has waited longest, byte by byte; empty if there is none.
  std::string Next() {
    std::string entry(1 << 18, '\0');
    const ssize_t size = recv(socket_.get(), entry.data(), entry.size(), MSG_DONTWAIT);
    entry.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return entry;
  }

 private:
  std::string folder_;
  UniqueFd socket_;
};

}  // namespace bsockd
