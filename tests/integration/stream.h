// Stream: the test's end of a connection. A plain socket, with a deadline (kPatience) on all it
// does.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "lib/base/unique_fd.h"

namespace bsockd::integration {

// What came until nothing more could come.
struct Received {
  enum class End { kOpen, kClosed, kReset, kTimeout };

  std::string bytes;
  End end = End::kOpen;

  bool operator==(const Received&) const = default;
};
void PrintTo(const Received& received, std::ostream* out);
// What is expected of most connections: these bytes, then the orderly end.
inline Received Closed(std::string_view bytes) {
  return {std::string(bytes), Received::End::kClosed};
}

class Stream {
 public:
  // `address` as bsockd prints it. Nagle's algorithm is off: each Send() leaves at once.
  // Null, with a test failure, where it cannot be connected.
  static std::unique_ptr<Stream> Connect(const std::string& address);
  // The same without a test failure: the errno, or 0 and `*stream`.
  static int TryConnect(const std::string& address, std::unique_ptr<Stream>* stream);
  // From a local address of one's own, such as 127.0.0.2: another client for all that the daemon
  // sees.
  static std::unique_ptr<Stream> ConnectFrom(const std::string& host, const std::string& address);

  int fd() const { return fd_.get(); }

  // Sends everything. False where the peer has gone or takes nothing more for kPatience.
  bool Send(std::string_view bytes);
  // Sends what the socket takes at once, and returns how much that was; negative: -errno.
  ssize_t SendSome(std::string_view bytes);
  void HalfClose();
  // Closes so that the peer gets a reset (SO_LINGER 0), if it can still get anything.
  void Reset();
  void Close() { fd_.Reset(); }

  // Receives so many bytes, fewer where the stream ends before, or up to and with `end`.
  std::string ReceiveExactly(size_t count);
  std::string ReceiveUntil(std::string_view end);
  Received ReceiveToEnd();
  // Waits for something to receive, an end too: false if nothing comes within `time`.
  bool ReadableWithin(std::chrono::milliseconds time);
  // Waits, without reading, until the peer has reset the connection. False after kPatience.
  bool WaitForReset();
  // Unix sockets only: waits until the peer has read everything that was sent. False after
  // kPatience.
  bool WaitUntilTaken();
  // What is there at once; empty where nothing is. `*end` is set where the stream has ended.
  std::string ReceiveSome(Received::End* end);

  // Sends and receives at the same time, as a client that pipelines must, until everything is sent
  // and the peer has closed. `half_close` after the last byte is sent.
  Received Exchange(std::string_view bytes, bool half_close = true);
  // One request, one reply: sends, then receives as many bytes as `reply` has.
  std::string Call(std::string_view request, std::string_view reply);

 private:
  explicit Stream(UniqueFd fd);

  UniqueFd fd_;
};

}  // namespace bsockd::integration
