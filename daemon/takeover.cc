#include "daemon/takeover.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "daemon/takeover_message.h"
#include "daemon/takeover_socket.h"
#include "lib/base/text.h"
#include "lib/base/version.h"

namespace bsockd {
namespace {

// Tells a successor why not. It may be gone; that is all one.
void Refuse(int connection, std::string_view why) {
  (void)SendMessage(connection, fmt::format("refused {}", why));
}

// Adds to an epoll. Errors: that of epoll_ctl(2).
absl::Status AddTo(const UniqueFd& events, int fd, uint32_t what) {
  epoll_event event{};
  event.events = what;
  if (epoll_ctl(events.get(), EPOLL_CTL_ADD, fd, &event) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "epoll_ctl");
}

}  // namespace

TakeoverService::TakeoverService(std::string path, UniqueFd socket, spdlog::logger* log)
    : path_(std::move(path)), socket_(std::move(socket)), log_(log) {}

absl::StatusOr<std::unique_ptr<TakeoverService>> TakeoverService::Listen(const std::string& path,
                                                                         spdlog::logger* log) {
  absl::StatusOr<UniqueFd> socket = ListenTakeover(path);
  if (!socket.ok()) return socket.status();
  return Adopt(path, *std::move(socket), log);
}

absl::StatusOr<std::unique_ptr<TakeoverService>> TakeoverService::Adopt(const std::string& path,
                                                                        UniqueFd socket,
                                                                        spdlog::logger* log) {
  std::unique_ptr<TakeoverService> service(new TakeoverService(path, std::move(socket), log));
  service->RememberFile();
  if (const absl::Status status = service->Watch(); !status.ok()) {
    return TakeoverError(path, MessageOf(status));
  }
  return service;
}

TakeoverService::~TakeoverService() {
  struct stat status;
  const bool ours = owns_file_ && !handing_over() && lstat(path_.c_str(), &status) == 0 &&
                    status.st_dev == file_device_ && status.st_ino == file_inode_;
  if (ours) unlink(path_.c_str());
}

void TakeoverService::RememberFile() {
  struct stat status;
  if (lstat(path_.c_str(), &status) != 0) return;
  owns_file_ = true;
  file_device_ = status.st_dev;
  file_inode_ = status.st_ino;
}

absl::Status TakeoverService::Watch() {
  events_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!events_) return absl::ErrnoToStatus(errno, "epoll_create1");
  fcntl(socket_.get(), F_SETFL, fcntl(socket_.get(), F_GETFL) | O_NONBLOCK);
  // Once for each that comes: one that cannot be accepted for want of descriptors is no spin.
  return AddTo(events_, socket_.get(), EPOLLIN | EPOLLET);
}

TakeoverService::Event TakeoverService::OnReadable(const ListenSockets& sockets) {
  if (stage_ == Stage::kTakenOver) return Event::kNothing;
  // Which of the two it is does not matter: neither call waits.
  epoll_event events[2];
  epoll_wait(events_.get(), events, 2, 0);
  if (stage_ == Stage::kSending) SendQueued();
  if (connection_) Hear(sockets);
  if (stage_ == Stage::kTakenOver) return Event::kTakenOver;
  AcceptAll();
  return Event::kNothing;
}

void TakeoverService::AcceptAll() {
  while (true) {
    UniqueFd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (connection) {
      Admit(std::move(connection));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EAGAIN) log_->warn("takeover at {}: accept: {}", path_, strerrordesc_np(errno));
    return;
  }
}

void TakeoverService::Admit(UniqueFd connection) {
  const absl::StatusOr<TakeoverPeer> peer = TakeoverPeerOf(connection.get());
  if (!peer.ok()) return;
  if (!peer->trusted()) {
    log_->warn("takeover at {}: {} is refused (only the same user and root may)", path_,
               peer->ToString());
    return Refuse(connection.get(), "only the same user and root may");
  }
  if (stage_ != Stage::kNobody) {
    return Refuse(connection.get(), successor_ + " is about to take over");
  }
  if (!AddTo(events_, connection.get(), EPOLLIN | EPOLLOUT | EPOLLET).ok()) return;
  connection_ = std::move(connection);
  successor_ = peer->ToString();
  stage_ = Stage::kHello;
}

void TakeoverService::Hear(const ListenSockets& sockets) {
  while (connection_) {
    const absl::StatusOr<TakeoverMessage> message = ReceiveMessage(connection_.get());
    if (absl::IsUnavailable(message.status())) return;
    if (!message.ok()) return Forget(MessageOf(message.status()));
    if (stage_ == Stage::kHello) {
      Greet(message->text, sockets);
    } else if (stage_ == Stage::kWaiting && message->text == "ready") {
      log_->info("taken over by {}", successor_);
      stage_ = Stage::kTakenOver;
      owns_file_ = false;
      events_.Reset();
      connection_.Reset();
      socket_.Reset();
    } else {
      return Forget("it does not speak as agreed");
    }
  }
}

void TakeoverService::Greet(std::string_view hello, const ListenSockets& sockets) {
  int version = 0;
  std::string_view rest = hello;
  if (TakePrefix("takeover ", &rest)) {
    std::from_chars(rest.data(), rest.data() + rest.size(), version);
  }
  if (version < 1) {
    Refuse(connection_.get(), "it does not ask as a successor does");
    return Forget("it does not ask as a successor does");
  }
  outgoing_.push_back({fmt::format("takeover {} {}", std::min(version, kTakeoverVersion), kVersion),
                       {socket_.get()},
                       {}});
  size_t count = 0;
  for (const auto& [key, of_key] : sockets) {
    Queue(key, of_key);
    count += of_key.size();
  }
  outgoing_.push_back({fmt::format("end {}", count), {}, {}});
  log_->info("giving {} listen sockets to {}", count, successor_);
  stage_ = Stage::kSending;
  SendQueued();
}

void TakeoverService::Queue(const std::string& key,
                            const std::vector<std::shared_ptr<ListenSocket>>& sockets) {
  for (size_t at = 0; at < sockets.size(); at += kTakeoverFdsMax) {
    Outgoing message{"listen " + key, {}, {}};
    for (size_t i = at; i < std::min(sockets.size(), at + kTakeoverFdsMax); ++i) {
      message.fds.push_back(sockets[i]->fd());
      message.sockets.push_back(sockets[i]);  // A reload may close it meanwhile.
    }
    outgoing_.push_back(std::move(message));
  }
}

void TakeoverService::SendQueued() {
  while (!outgoing_.empty()) {
    const Outgoing& next = outgoing_.front();
    const absl::Status sent = SendMessage(connection_.get(), next.text, next.fds);
    if (absl::IsUnavailable(sent)) return;
    if (!sent.ok()) return Forget(MessageOf(sent));
    outgoing_.pop_front();
  }
  stage_ = Stage::kWaiting;
}

void TakeoverService::Forget(std::string_view why) {
  log_->warn("{} has not taken over ({}): going on", successor_, why);
  stage_ = Stage::kNobody;
  connection_.Reset();
  outgoing_.clear();
}

}  // namespace bsockd
