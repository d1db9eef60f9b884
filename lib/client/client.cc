#include "lib/client/client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "lib/base/text.h"
#include "lib/client/connect.h"
#include "lib/client/encode.h"
#include "lib/client/wait.h"
#include "lib/config/scalars.h"

namespace bsockd {
namespace {

constexpr size_t kReadBytes = 64 * 1024;  // Asked of the kernel at once.

// What a failed send(2) or recv(2) means to whoever waits for a reply.
absl::Status ConnectionError(int error) {
  if (error == ECONNRESET) return absl::UnavailableError("the server reset the connection");
  if (error == EPIPE) return absl::UnavailableError("the server has closed the connection");
  return SocketError(error);
}

}  // namespace

absl::StatusOr<Client> Client::Connect(const Address& address, ClientOptions options) {
  if (address.datagrams) {
    return absl::InvalidArgumentError("an address of datagrams cannot be connected to as a stream");
  }
  const MonotonicTime deadline = DeadlineAfter(options.timeout);
  absl::StatusOr<std::vector<SocketAddress>> found = Resolve(address, ResolveFor::kConnect);
  if (!found.ok()) return found.status();
  if (found->empty()) return absl::NotFoundError("the name has no address");
  absl::StatusOr<UniqueFd> socket = ConnectToAny(*found, deadline);
  if (!socket.ok()) return socket.status();
  return Client(std::move(*socket), std::move(options));
}

absl::StatusOr<Client> Client::FromSocket(UniqueFd socket, ClientOptions options) {
  const int flags = fcntl(socket.get(), F_GETFL);
  if (flags < 0 || fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return SocketError(errno);
  }
  return Client(std::move(socket), std::move(options));
}

Client::Client(UniqueFd socket, ClientOptions options)
    : socket_(std::move(socket)),
      options_(std::move(options)),
      reply_framing_(options_.FramingOfReplies()),
      request_framer_(MakeFramer(options_.framing, std::numeric_limits<size_t>::max())),
      reply_framer_(MakeFramer(reply_framing_, options_.reply_bytes_max)) {}

absl::StatusOr<std::string> Client::Call(std::string_view request) {
  if (unanswered_ > 0) {
    return absl::FailedPreconditionError("an earlier request has not been answered yet");
  }
  const MonotonicTime deadline = DeadlineAfter(options_.timeout);
  const absl::Status sent = SendBy(request, deadline);
  if (sent.ok()) return ReceiveBy(deadline);
  if (absl::IsUnavailable(sent)) {
    absl::StatusOr<std::string> reply = ReceiveBy(deadline);
    if (reply.ok()) return reply;
  }
  return sent;
}

absl::Status Client::Send(std::string_view request) {
  return SendBy(request, DeadlineAfter(options_.timeout));
}

absl::StatusOr<std::string> Client::Receive() { return ReceiveBy(DeadlineAfter(options_.timeout)); }

bool Client::ClosedByServer() const {
  if (has_input()) return false;
  if (input_ended_) return true;
  char byte;
  const ssize_t got = recv(fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

absl::Status Client::SendBy(std::string_view request, MonotonicTime deadline) {
  if (!broken_.ok()) return broken_;
  if (input_ended_) return ConnectionError(EPIPE);
  const absl::StatusOr<std::string> frame =
      EncodeRequest(options_.framing, *request_framer_, request);
  if (!frame.ok()) return frame.status();
  // Part of the request may be on its way after an error, so nothing can follow it.
  broken_ = SendFrame(*frame, deadline);
  if (broken_.ok()) ++unanswered_;
  return broken_;
}

absl::Status Client::SendFrame(std::string_view frame, MonotonicTime deadline) {
  while (!frame.empty()) {
    const ssize_t sent = send(fd(), frame.data(), frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      if (options_.observer) options_.observer(Direction::kSent, frame.substr(0, sent));
      frame.remove_prefix(static_cast<size_t>(sent));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return ConnectionError(errno);
    // The server may be waiting for us to take its replies before it takes more from us.
    const bool room = input().size() < options_.reply_bytes_max;
    const absl::StatusOr<short> ready = WaitFor(fd(), room ? POLLIN | POLLOUT : POLLOUT, deadline);
    if (!ready.ok()) return ready.status();
    if (*ready == 0) {
      return absl::DeadlineExceededError(ToAbsl(fmt::format(
          "the server did not take the request within {}{}", FormatDuration(options_.timeout),
          room ? "" : ", and the replies that were not received fill the client's buffer")));
    }
    if (!room || (*ready & (POLLIN | POLLHUP | POLLERR)) == 0) continue;
    if (absl::Status read = ReadOnce(); !read.ok()) return read;
    if (input_ended_) {
      return absl::UnavailableError(
          "the server closed the connection before it had the whole request");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Client::ReceiveBy(MonotonicTime deadline) {
  bool quiet = false;
  for (;;) {
    const FrameResult result = NextFrame(quiet);
    switch (result.kind) {
      case FrameResult::Kind::kFrame: {
        std::string reply(result.payload);
        Consume(result.consumed);
        if (unanswered_ > 0) --unanswered_;
        return reply;
      }
      case FrameResult::Kind::kDiscard:
        Consume(result.consumed);
        quiet = false;
        continue;
      case FrameResult::Kind::kError:
        return RefuseReply(result);
      case FrameResult::Kind::kNeedMore:
        break;
    }
    if (input_ended_) return NoReply(/*timed_out=*/false);

    MonotonicTime until = deadline;
    const bool flush = reply_framing_.flush_after && has_input();
    if (flush) until = std::min(until, DeadlineAfter(*reply_framing_.flush_after));
    const absl::StatusOr<short> ready = WaitFor(fd(), POLLIN, until);
    if (!ready.ok()) return ready.status();
    quiet = *ready == 0 && flush && until < deadline;
    if (*ready == 0 && !quiet) return NoReply(/*timed_out=*/true);
    if (*ready == 0) continue;
    if (absl::Status read = ReadOnce(); !read.ok()) {
      broken_ = read;
      return read;
    }
  }
}

// `quiet`: flush_after has passed without a byte.
FrameResult Client::NextFrame(bool quiet) {
  const FrameResult result = reply_framer_->Next(input(), input_state_);
  const bool rest = (input_ended_ || quiet) && has_input();
  if (result.kind != FrameResult::Kind::kNeedMore || !rest) return result;
  return reply_framer_->Rest(input(), input_state_, input_ended_);
}

absl::Status Client::RefuseReply(const FrameResult& result) {
  absl::Status refused;
  switch (result.error) {
    case FrameError::kOverlong:
      refused = absl::ResourceExhaustedError(
          ToAbsl(fmt::format("the reply is longer than {} bytes", options_.reply_bytes_max)));
      break;
    case FrameError::kMalformed:
      refused = absl::DataLossError("the reply is not in this framing");
      break;
    case FrameError::kTruncated:
      refused = absl::UnavailableError(
          "the server closed the connection before it had sent the whole reply");
      break;
  }
  if (!result.resumable) return broken_ = refused;
  // The framer drops the rest of that reply as it comes; the next one can still be had.
  Consume(result.consumed);
  if (unanswered_ > 0) --unanswered_;
  return refused;
}

absl::Status Client::NoReply(bool timed_out) const {
  if (!timed_out) {
    return absl::UnavailableError(unanswered_ > 0
                                      ? "the server closed the connection before it replied"
                                      : "the server has closed the connection");
  }
  if (!has_input()) {
    return absl::DeadlineExceededError(
        ToAbsl(fmt::format("no reply within {}", FormatDuration(options_.timeout))));
  }
  return absl::DeadlineExceededError(
      ToAbsl(fmt::format("no whole reply within {} ({} bytes of one came)",
                         FormatDuration(options_.timeout), input().size())));
}

// Reads what is there, if anything, at the end of input_.
absl::Status Client::ReadOnce() {
  char buffer[kReadBytes];
  ssize_t got;
  do {
    got = recv(fd(), buffer, sizeof(buffer), MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return errno == EAGAIN ? absl::OkStatus() : ConnectionError(errno);
  if (got == 0) {
    input_ended_ = true;
    return absl::OkStatus();
  }
  const std::string_view bytes(buffer, static_cast<size_t>(got));
  if (options_.observer) options_.observer(Direction::kReceived, bytes);
  // Moved down only once half of it is done with, so that no byte is moved often.
  if (input_start_ > input_.size() / 2) {
    input_.erase(0, input_start_);
    input_start_ = 0;
  }
  input_.append(bytes);
  return absl::OkStatus();
}

void Client::Consume(size_t bytes) {
  input_start_ += bytes;
  if (input_start_ < input_.size()) return;
  input_.clear();
  input_start_ = 0;
}

}  // namespace bsockd
