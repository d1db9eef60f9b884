// The successor's side of a takeover; takeover.h has the protocol.
#pragma once

#include <absl/status/statusor.h>
#include <spdlog/logger.h>

#include <chrono>
#include <memory>
#include <string>

#include "lib/base/clock.h"
#include "lib/base/unique_fd.h"
#include "lib/net/listen_socket.h"

namespace bsockd {

// How long the predecessor may take for its next message.
inline constexpr Duration kTakeoverAnswerTimeout = std::chrono::seconds(10);
inline constexpr size_t kTakeoverSocketsMax = 16384;

// The predecessor's listen sockets, and the word to it that it may go. Without Ready() nothing has
// happened for the predecessor: socket files stay as they are, whoever has the sockets by then.
//
// Thread: control.
class Succession {
 public:
  // Gets the sockets from the daemon that serves `path`; null if nobody does. Waits for it, at most
  // kTakeoverAnswerTimeout for each message. `log` outlives the object.
  // Errors: Unavailable with the path and the reason, fit for the user.
  static absl::StatusOr<std::unique_ptr<Succession>> Begin(const std::string& path,
                                                           spdlog::logger* log);
  // The same on a connection that there is already.
  static absl::StatusOr<std::unique_ptr<Succession>> Receive(const std::string& path,
                                                             UniqueFd connection,
                                                             spdlog::logger* log);
  ~Succession();
  Succession(const Succession&) = delete;
  Succession& operator=(const Succession&) = delete;

  // By what the predecessor knew them by.
  const ListenSockets& sockets() const { return sockets_; }
  // SOCKET's own, for TakeoverService::Adopt().
  UniqueFd TakeServiceSocket() { return std::move(service_socket_); }

  // Every listener accepts: the predecessor drains. Sockets that nobody else has taken are closed,
  // and their files removed.
  void Ready();

 private:
  Succession(const std::string& path, UniqueFd connection, spdlog::logger* log)
      : path_(path), connection_(std::move(connection)), log_(log) {}
  absl::Status ReceiveAll();
  absl::StatusOr<struct TakeoverMessage> Next() const;
  absl::Status AddSockets(std::string_view key, std::vector<UniqueFd> fds);

  const std::string path_;
  UniqueFd connection_;
  spdlog::logger* const log_;
  UniqueFd service_socket_;
  ListenSockets sockets_;
  size_t count_ = 0;  // Of all the sockets.
  bool ready_ = false;
};

}  // namespace bsockd
