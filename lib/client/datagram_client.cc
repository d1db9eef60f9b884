#include "lib/client/datagram_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "lib/base/text.h"
#include "lib/client/connect.h"
#include "lib/client/wait.h"
#include "lib/config/scalars.h"

namespace bsockd {

absl::StatusOr<DatagramClient> DatagramClient::Open(const Address& address, ClientOptions options) {
  if (!address.datagrams) {
    return absl::InvalidArgumentError("an address of streams takes no datagrams");
  }
  absl::StatusOr<std::vector<SocketAddress>> found = Resolve(address, ResolveFor::kConnect);
  if (!found.ok()) return found.status();
  if (found->empty()) return absl::NotFoundError("the name has no address");
  DatagramClient client(std::move(*found), std::move(options));
  if (absl::Status opened = client.OpenSocket(); !opened.ok()) return opened;
  return client;
}

DatagramClient::DatagramClient(std::vector<SocketAddress> addresses, ClientOptions options)
    : addresses_(std::move(addresses)), options_(std::move(options)) {}

absl::StatusOr<std::string> DatagramClient::Call(std::string_view request) {
  if (socket_ && HasStrayInput()) socket_.Reset();
  for (int retries = 0;;) {
    if (!socket_) {
      if (absl::Status opened = OpenSocket(); !opened.ok()) return opened;
    }
    absl::StatusOr<std::string> reply = Try(request);
    if (reply.ok()) {
      if (retries > 0) socket_.Reset();
      return reply;
    }
    if (absl::IsDeadlineExceeded(reply.status()) && retries < options_.retries) {
      ++retries;  // On the same socket: a late answer to an earlier try is an answer.
      continue;
    }
    socket_.Reset();
    if (absl::IsUnavailable(reply.status()) && addresses_.size() > 1) {
      addresses_.erase(addresses_.begin());
      continue;
    }
    if (!absl::IsDeadlineExceeded(reply.status()) || retries == 0) return reply;
    return absl::DeadlineExceededError(
        ToAbsl(fmt::format("{} ({} tries)", MessageOf(reply.status()), retries + 1)));
  }
}

// To the first address that there is a way to.
absl::Status DatagramClient::OpenSocket() {
  for (;;) {
    absl::StatusOr<UniqueFd> opened = OpenDatagramSocket(addresses_.front());
    if (opened.ok()) {
      socket_ = std::move(*opened);
      return absl::OkStatus();
    }
    if (addresses_.size() == 1) return opened.status();
    addresses_.erase(addresses_.begin());
  }
}

// Whether something has come, a datagram or an error, since the last reply was taken.
bool DatagramClient::HasStrayInput() const {
  return recv(socket_.get(), nullptr, 0, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

absl::StatusOr<std::string> DatagramClient::Try(std::string_view request) {
  const MonotonicTime deadline = DeadlineAfter(options_.timeout);
  if (absl::Status sent = SendBy(request, deadline); !sent.ok()) return sent;
  return ReceiveBy(deadline);
}

absl::Status DatagramClient::SendBy(std::string_view request, MonotonicTime deadline) {
  while (send(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno == EINTR) continue;
    if (errno == EMSGSIZE) {
      return absl::InvalidArgumentError(ToAbsl(
          fmt::format("a request of {} bytes does not fit into one datagram", request.size())));
    }
    if (errno != EAGAIN) return SocketError(errno);
    const absl::StatusOr<short> ready = WaitFor(socket_.get(), POLLOUT, deadline);
    if (!ready.ok()) return ready.status();
    if (*ready == 0) {
      return absl::DeadlineExceededError(ToAbsl(fmt::format(
          "the server did not take the request within {}", FormatDuration(options_.timeout))));
    }
  }
  if (options_.observer) options_.observer(Direction::kSent, request);
  return absl::OkStatus();
}

absl::StatusOr<std::string> DatagramClient::ReceiveBy(MonotonicTime deadline) {
  for (;;) {
    const absl::StatusOr<short> ready = WaitFor(socket_.get(), POLLIN, deadline);
    if (!ready.ok()) return ready.status();
    if (*ready == 0) {
      return absl::DeadlineExceededError(
          ToAbsl(fmt::format("no reply within {}", FormatDuration(options_.timeout))));
    }
    // MSG_TRUNC: the size of the whole datagram, however much of it is taken (recv(2)).
    const ssize_t waiting = recv(socket_.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    if (waiting < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (waiting < 0) return SocketError(errno);
    if (static_cast<size_t>(waiting) > options_.reply_bytes_max) {
      return absl::ResourceExhaustedError(
          ToAbsl(fmt::format("the reply is longer than {} bytes", options_.reply_bytes_max)));
    }
    std::string reply(static_cast<size_t>(waiting), '\0');
    const ssize_t got = recv(socket_.get(), reply.data(), reply.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got < 0) return SocketError(errno);
    reply.resize(static_cast<size_t>(got));
    if (options_.observer) options_.observer(Direction::kReceived, reply);
    return reply;
  }
}

}  // namespace bsockd
