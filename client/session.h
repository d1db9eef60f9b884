// Session: one run of bsock. It holds the connection, makes it anew where the server has closed it,
// or the sockets for datagrams; says on standard error what went wrong, and remembers the exit
// status.
//
// Thread: main's.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <string_view>

#include "lib/client/client.h"
#include "lib/client/datagram_client.h"
#include "lib/net/address.h"

namespace bsockd {

class Session {
 public:
  Session(Address address, ClientOptions options);

  // Makes sure that there is a connection that the server has not closed. False, with the error
  // printed, where none can be had. Call it only while no request is unanswered.
  bool Connect();

  // All of this: of the last Connect() that returned true, until Drop().
  absl::StatusOr<std::string> Call(std::string_view request);
  bool datagrams() const { return datagrams_.has_value(); }
  Client& client() { return *client_; }  // Where it is not datagrams.
  const ClientOptions& options() const { return options_; }

  // How many connections there have been.
  int connections() const { return connections_; }

  // Whether every new connection is announced on standard error; else only the first that replaces
  // a closed one.
  void set_announce_all(bool all) { announce_all_ = all; }

  // Prints what was wrong with a request or with the connection. `note` follows the message.
  void Fail(const absl::Status& error, std::string_view note = "");
  // Prints what was wrong on this side: with the input or the output.
  void FailHere(const absl::Status& error);

  // Gives the connection up, because what comes on it can no longer be matched with requests.
  void Drop() {
    client_.reset();
    datagrams_.reset();
  }

  int exit_code() const { return exit_code_; }

 private:
  void Complain(std::string_view what);
  void FailToConnect(const absl::Status& error);

  const Address address_;
  const ClientOptions options_;
  std::optional<Client> client_;
  std::optional<DatagramClient> datagrams_;
  int connections_ = 0;
  bool announce_all_ = false;
  int exit_code_ = 0;
};

// Both for everything that bsock writes there. Errors: that of write(2); there is no one to tell
// that standard error cannot be written.
absl::Status WriteOut(std::string_view bytes);
void WriteError(std::string_view text);

}  // namespace bsockd
