#include "daemon/succession.h"

#include <fmt/format.h>
#include <poll.h>

#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/takeover.h"
#include "daemon/takeover_message.h"
#include "daemon/takeover_socket.h"
#include "lib/base/text.h"
#include "lib/base/version.h"
#include "lib/config/socket_key.h"

namespace bsockd {
namespace {

// What somebody else has said, for a message.
std::string Quoted(std::string_view text) {
  constexpr size_t kShownBytesMax = 100;
  std::string quoted = "\"";
  AppendEscaped(text, kShownBytesMax, &quoted);
  return quoted + '"';
}

std::optional<size_t> ParseNumber(std::string_view text) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Succession>> Succession::Begin(const std::string& path,
                                                              spdlog::logger* log) {
  absl::StatusOr<UniqueFd> connection = ConnectTakeover(path);
  if (!connection.ok()) return connection.status();
  if (!*connection) return nullptr;
  const absl::StatusOr<TakeoverPeer> peer = TakeoverPeerOf(connection->get());
  if (!peer.ok()) return TakeoverError(path, MessageOf(peer.status()));
  if (!peer->trusted()) {
    return TakeoverError(
        path, fmt::format("{} serves it (only the same user and root may)", peer->ToString()));
  }
  return Receive(path, *std::move(connection), log);
}

absl::StatusOr<std::unique_ptr<Succession>> Succession::Receive(const std::string& path,
                                                                UniqueFd connection,
                                                                spdlog::logger* log) {
  std::unique_ptr<Succession> succession(new Succession(path, std::move(connection), log));
  if (const absl::Status status = succession->ReceiveAll(); !status.ok()) {
    return TakeoverError(path, MessageOf(status));
  }
  log->info("took {} listen sockets over at {}", succession->count_, path);
  return succession;
}

Succession::~Succession() {
  if (ready_) return;
  for (const auto& [key, sockets] : sockets_) {
    for (const auto& socket : sockets) socket->LeaveFile();
  }
}

void Succession::Ready() {
  ready_ = true;
  if (const absl::Status sent = SendMessage(connection_.get(), "ready"); !sent.ok()) {
    log_->warn("takeover at {}: the daemon before this one is gone already", path_);
  }
  connection_.Reset();
  sockets_.clear();
}

absl::Status Succession::ReceiveAll() {
  absl::Status sent =
      SendMessage(connection_.get(), fmt::format("takeover {} {}", kTakeoverVersion, kVersion));
  if (!sent.ok() && !absl::IsUnavailable(sent)) return sent;
  absl::StatusOr<TakeoverMessage> hello = Next();
  if (!hello.ok()) return hello.status();
  std::string_view rest = hello->text;
  if (!TakePrefix("takeover ", &rest) || hello->fds.size() != 1) {
    return absl::InvalidArgumentError("what answers there is no daemon that gives its sockets");
  }
  if (ParseNumber(rest.substr(0, rest.find(' '))) != size_t{kTakeoverVersion}) {
    return absl::InvalidArgumentError(
        ToAbsl(fmt::format("the daemon there is another version ({}) and cannot be taken over; "
                           "stop it instead",
                           Quoted(rest))));
  }
  service_socket_ = std::move(hello->fds.front());
  while (true) {
    absl::StatusOr<TakeoverMessage> message = Next();
    if (!message.ok()) return message.status();
    std::string_view text = message->text;
    if (TakePrefix("listen ", &text)) {
      const absl::Status added = AddSockets(text, std::move(message->fds));
      if (!added.ok()) return added;
    } else if (TakePrefix("end ", &text) && message->fds.empty()) {
      if (ParseNumber(text) == count_) return absl::OkStatus();
      return absl::InvalidArgumentError("not all of the sockets have come");
    } else {
      return absl::InvalidArgumentError("the daemon there does not speak as agreed");
    }
  }
}

absl::StatusOr<TakeoverMessage> Succession::Next() const {
  pollfd polled{.fd = connection_.get(), .events = POLLIN, .revents = 0};
  const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(kTakeoverAnswerTimeout);
  int ready = 0;
  do {
    ready = poll(&polled, 1, static_cast<int>(timeout.count()));
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) return absl::DeadlineExceededError("the daemon there does not answer");
  absl::StatusOr<TakeoverMessage> message = ReceiveMessage(connection_.get());
  if (absl::IsAborted(message.status())) {
    return absl::AbortedError("the daemon there has closed the connection (its log may say why)");
  }
  if (message.ok()) {
    std::string_view text = message->text;
    if (TakePrefix("refused ", &text)) {
      return absl::PermissionDeniedError(
          ToAbsl(fmt::format("the daemon there refuses: {}", Quoted(text))));
    }
  }
  return message;
}

absl::Status Succession::AddSockets(std::string_view key, std::vector<UniqueFd> fds) {
  count_ += fds.size();
  if (fds.empty() || count_ > kTakeoverSocketsMax) {
    return absl::InvalidArgumentError(
        ToAbsl(fmt::format("{} sockets for {}", fds.empty() ? "no" : "too many", Quoted(key))));
  }
  // Those of a .socket unit have files that are not ours.
  const bool owns_file = !IsOfSocketUnit(key);
  for (UniqueFd& fd : fds) {
    absl::StatusOr<ListenSocket> socket = ListenSocket::Adopt(std::move(fd), owns_file);
    if (!socket.ok()) {
      return absl::InvalidArgumentError(
          ToAbsl(fmt::format("what came for {}: {}", Quoted(key), MessageOf(socket.status()))));
    }
    sockets_[std::string(key)].push_back(std::make_shared<ListenSocket>(*std::move(socket)));
  }
  return absl::OkStatus();
}

}  // namespace bsockd
