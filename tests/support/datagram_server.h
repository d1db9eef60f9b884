// DatagramServer: a server of datagrams inside the test that does exactly what the test says.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "lib/base/unique_fd.h"
#include "lib/net/address.h"

namespace bsockd {

class DatagramServer {
 public:
  struct Datagram {
    std::string bytes;
    SocketAddress from;
    int index = 0;  // Counts from 0.
  };
  // Runs for each datagram that comes, in the server's thread.
  using Script = std::function<void(DatagramServer& server, const Datagram& datagram)>;

  // Receives at a free port of 127.0.0.1, or at `path`, from here on.
  explicit DatagramServer(Script script, const std::string& path = "");
  ~DatagramServer();
  DatagramServer(const DatagramServer&) = delete;
  DatagramServer& operator=(const DatagramServer&) = delete;

  const Address& address() const { return address_; }
  std::string address_text() const { return address_.ToString(); }

  // From the server's own socket. False where nobody is there, or the kernel refuses.
  bool Send(const SocketAddress& to, std::string_view bytes);

  // The script of a server that answers each datagram with itself and a mark in front.
  static void Echo(DatagramServer& server, const Datagram& datagram);

  // A UDP address of this machine at which nobody receives, and nobody will while `*hold` is open.
  static Address RefusingAddress(UniqueFd* hold);

 private:
  void Serve(const Script& script);

  UniqueFd socket_;
  UniqueFd stop_;  // An eventfd.
  Address address_;
  std::thread thread_;
};

}  // namespace bsockd
