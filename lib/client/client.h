// Client: a connection to a server that answers requests, for programs.
//
//   absl::StatusOr<Address> address = Address::Parse("localhost:51717");
//   absl::StatusOr<Client> client = Client::Connect(*address, ClientOptions());
//   absl::StatusOr<std::string> reply = client->Call("AWESOMESAUCE");
//
// Requests and replies are framed as ClientOptions says, by the framers that the server uses
// (docs/configuration.md). A request is ended by the framing's first ending (LF for `line`); a
// reply may be ended by any of them, or by the end of the stream. With `raw` a reply is what one
// read returned, and with `flush_after` an unterminated reply is handed over after that silence.
// With `fixed`, and with a length field written out, a request is the whole frame.
//
// Thread: none of its own; one thread at a time may use a client.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "lib/base/clock.h"
#include "lib/base/unique_fd.h"
#include "lib/client/options.h"
#include "lib/config/config.h"
#include "lib/framing/framer.h"
#include "lib/net/address.h"

namespace bsockd {

class Client {
 public:
  // Tries every address that `address` stands for, IPv6 and IPv4, in the resolver's order.
  // Errors: InvalidArgument for an address of datagrams (DatagramClient is for those); the
  // resolver's; the system's words for the attempt that says most, such as
  // Unavailable "Connection refused"; DeadlineExceeded.
  static absl::StatusOr<Client> Connect(const Address& address, ClientOptions options);

  // Takes over a connected stream socket and makes it non-blocking. Errors: that of fcntl(2).
  static absl::StatusOr<Client> FromSocket(UniqueFd socket, ClientOptions options);

  Client(Client&&) = default;
  Client& operator=(Client&&) = default;

  // Sends a request and waits for its reply. A server that answers and closes before it has read
  // the whole request (`ERR overlong ...`) has answered.
  //
  // Errors: InvalidArgument where `request` does not fit the framing (nothing was sent);
  // FailedPrecondition where an earlier request has no reply yet, as after DeadlineExceeded;
  // DeadlineExceeded; Unavailable where the server closed or reset the connection before it
  // replied; ResourceExhausted for a reply above reply_bytes_max; DataLoss for bytes that are no
  // reply in this framing.
  absl::StatusOr<std::string> Call(std::string_view request);

  // The halves of Call, for requests sent ahead (pipelining): replies come in the order of the
  // requests. While Send waits for a server that does not take more, it reads up to
  // reply_bytes_max of replies, so that the two cannot wait for each other. After an error of Send
  // other than InvalidArgument nothing more can be sent; replies that came can still be received.
  absl::Status Send(std::string_view request);

  // May also be called with no request unanswered, for a server that speaks unasked. After
  // DeadlineExceeded nothing is lost: call it again to go on waiting.
  absl::StatusOr<std::string> Receive();

  // Requests sent and not yet answered.
  size_t unanswered() const { return unanswered_; }

  // Whether a reply, or the beginning of one, has already been read, so that Receive is worth
  // calling although fd() may not be readable.
  bool has_input() const { return input_start_ < input_.size(); }

  // Whether the server has closed the connection and nothing is left to receive. Looks without
  // waiting and takes nothing.
  bool ClosedByServer() const;

  // To wait for in a poll of one's own. Borrowed.
  int fd() const { return socket_.get(); }

 private:
  Client(UniqueFd socket, ClientOptions options);

  absl::Status SendBy(std::string_view request, MonotonicTime deadline);
  absl::Status SendFrame(std::string_view frame, MonotonicTime deadline);
  absl::StatusOr<std::string> ReceiveBy(MonotonicTime deadline);
  FrameResult NextFrame(bool quiet);
  absl::Status RefuseReply(const FrameResult& result);
  absl::Status NoReply(bool timed_out) const;
  absl::Status ReadOnce();
  void Consume(size_t bytes);
  std::string_view input() const { return std::string_view(input_).substr(input_start_); }

  UniqueFd socket_;
  ClientOptions options_;
  FramingConfig reply_framing_;
  std::unique_ptr<const Framer> request_framer_;  // Without a limit: requests are the caller's.
  std::unique_ptr<const Framer> reply_framer_;
  std::string input_;  // What was read; the bytes before input_start_ are done with.
  size_t input_start_ = 0;
  FramerState input_state_;
  bool input_ended_ = false;
  size_t unanswered_ = 0;
  absl::Status broken_;  // Why nothing more can be sent.
};

}  // namespace bsockd
