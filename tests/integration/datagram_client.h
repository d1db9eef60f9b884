// DatagramClient: the test's end of a conversation in datagrams, UDP or Unix, with a deadline
// (kPatience) on all it does.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/unique_fd.h"
#include "lib/net/address.h"

namespace bsockd::integration {

// The first of what `address` stands for; fails the test where it is none.
SocketAddress FirstOf(const std::string& address, ResolveFor use);

// A plain socket. It is connected, so that it takes nothing but what comes from the address that it
// has asked.
class DatagramClient {
 public:
  enum class Name { kGiven, kNone };

  // `own`: a local IP address, for UDP. A Unix socket gets a name that is free (unix(7),
  // "Autobind"), or none.
  explicit DatagramClient(const std::string& address, const std::string& own = "",
                          Name name = Name::kGiven);

  // Waits where a Unix server's queue is full.
  bool Send(std::string_view bytes) const;
  // Nothing after kPatience, or where the server is gone.
  std::optional<std::string> Receive() const;
  std::optional<std::string> TakeWhatIsThere() const;
  std::optional<std::string> Call(std::string_view request) const;
  // For when the network may lose some: asks again until an answer has come.
  std::optional<std::string> CallPatiently(std::string_view request) const;
  void Close() { fd_.Reset(); }

 private:
  bool WaitFor(short events) const;

  UniqueFd fd_;
};

}  // namespace bsockd::integration
