// ScriptedServer: a server inside the test that does exactly what the test says, well or badly.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "lib/base/unique_fd.h"
#include "lib/net/address.h"

namespace bsockd {

// One accepted connection, with blocking calls. Thread: the server's.
class ServedConnection {
 public:
  explicit ServedConnection(int fd) : fd_(fd) {}

  int fd() const { return fd_; }

  // What one recv(2) gives, at most `count` bytes; empty at the end of the stream.
  std::string ReadSome(size_t count);
  // The next `count` bytes, fewer at the end of the stream.
  std::string Read(size_t count);
  // Up to and including `ending`, or what there is at the end of the stream.
  std::string ReadUntil(std::string_view ending);
  // Waits until the client has closed its side.
  void ReadToEnd();
  // False where the client is gone.
  bool Write(std::string_view bytes);
  // The next close() sends a reset instead of an end (SO_LINGER 0).
  void ResetOnClose();

 private:
  const int fd_;
};

class ScriptedServer {
 public:
  // Runs once for each connection, one connection after the other; `index` counts from 0. The
  // connection is closed when it returns.
  using Script = std::function<void(ServedConnection& connection, int index)>;

  // Listens on a free port of 127.0.0.1, or on `path`, from here on.
  explicit ScriptedServer(Script script, const std::string& path = "");
  // Breaks a connection that is still being served.
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  const Address& address() const { return address_; }
  std::string address_text() const { return address_.ToString(); }

  // A TCP address of this machine at which nobody listens, and nobody will while `*hold` is open.
  static SocketAddress RefusingAddress(UniqueFd* hold);

 private:
  void Serve(const Script& script);

  UniqueFd listening_;
  Address address_;
  std::mutex mutex_;
  UniqueFd connection_;    // Guarded by mutex_.
  bool stopping_ = false;  // Guarded by mutex_.
  std::thread thread_;
};

}  // namespace bsockd
