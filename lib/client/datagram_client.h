// DatagramClient: requests and replies as datagrams, over UDP or a Unix socket, for programs.
//
//   absl::StatusOr<Address> address = Address::Parse("udp:localhost:51717");
//   absl::StatusOr<DatagramClient> client = DatagramClient::Open(*address, ClientOptions());
//   absl::StatusOr<std::string> reply = client->Call("AWESOMESAUCE");
//
// One request is one datagram, and so is its reply; either may be empty. A datagram can be lost, so
// a request that is not answered in time is sent again, and a server may see it more than once.
//
// Nothing in a datagram says which request it answers. So a socket on which more may come than the
// replies that were taken, because a request was sent twice, was given up, or because something
// came unasked, is not used for the next request: that one gets a socket of its own, with another
// port, and what is late finds the old one closed. What cannot be told apart: a server that answers
// one request with two datagrams, of which the second comes only after the next request was sent.
//
// Thread: none of its own; one thread at a time may use a client.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/unique_fd.h"
#include "lib/client/options.h"
#include "lib/net/address.h"

namespace bsockd {

class DatagramClient {
 public:
  // Sends nothing; whether anyone is there, Call finds out. Errors: InvalidArgument for an address
  // of streams; the resolver's; the system's words, such as those for a socket file that is not
  // there.
  static absl::StatusOr<DatagramClient> Open(const Address& address, ClientOptions options);

  DatagramClient(DatagramClient&&) = default;
  DatagramClient& operator=(DatagramClient&&) = default;

  // Sends `request` and waits for its reply, at most 1 + `retries` times for `timeout` each. Of
  // several addresses of a name, one that refuses gives way to the next for good.
  //
  // Errors: InvalidArgument for a request that does not fit into a datagram; DeadlineExceeded;
  // Unavailable where nobody is there ("Connection refused"), at once; ResourceExhausted for a
  // reply above reply_bytes_max; else that of send(2) or recv(2). Call may always be called again.
  absl::StatusOr<std::string> Call(std::string_view request);

 private:
  DatagramClient(std::vector<SocketAddress> addresses, ClientOptions options);

  absl::Status OpenSocket();
  bool HasStrayInput() const;
  absl::StatusOr<std::string> Try(std::string_view request);
  absl::Status SendBy(std::string_view request, MonotonicTime deadline);
  absl::StatusOr<std::string> ReceiveBy(MonotonicTime deadline);

  std::vector<SocketAddress> addresses_;  // The first is in use; those that refused are gone.
  ClientOptions options_;
  UniqueFd socket_;  // None where the next request has to have a fresh one.
};

}  // namespace bsockd
