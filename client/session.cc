#include "client/session.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "client/exit_code.h"
#include "lib/base/text.h"

namespace bsockd {

Session::Session(Address address, ClientOptions options)
    : address_(std::move(address)), options_(std::move(options)) {}

bool Session::Connect() {
  if (address_.datagrams) {
    if (datagrams_) return true;
    absl::StatusOr<DatagramClient> opened = DatagramClient::Open(address_, options_);
    if (opened.ok()) {
      datagrams_.emplace(std::move(*opened));
    } else {
      FailToConnect(opened.status());
    }
    return opened.ok();
  }
  if (client_ && !client_->ClosedByServer()) return true;
  if (client_ && (announce_all_ || connections_ == 1)) {
    WriteError("CLIENT: The server closed the connection; connecting again.\n");
  }
  client_.reset();
  absl::StatusOr<Client> client = Client::Connect(address_, options_);
  if (!client.ok()) {
    FailToConnect(client.status());
    return false;
  }
  client_.emplace(std::move(*client));
  ++connections_;
  return true;
}

absl::StatusOr<std::string> Session::Call(std::string_view request) {
  return datagrams_ ? datagrams_->Call(request) : client_->Call(request);
}

void Session::FailToConnect(const absl::Status& error) {
  WriteError(
      fmt::format("CLIENT: ERROR connecting to {}: {}\n", address_.ToString(), MessageOf(error)));
  exit_code_ = kExitUnavailable;
}

void Session::Fail(const absl::Status& error, std::string_view note) {
  // That nobody is there, only the first datagram finds out.
  if (address_.datagrams && absl::IsUnavailable(error)) return FailToConnect(error);
  // What is wrong with the request itself has nothing to do with the server.
  const std::string where =
      absl::IsInvalidArgument(error) ? "" : fmt::format(" talking to {}", address_.ToString());
  Complain(fmt::format("{}: {}{}", where, std::string(error.message()), note));
}

void Session::FailHere(const absl::Status& error) {
  Complain(fmt::format(": {}", std::string(error.message())));
}

void Session::Complain(std::string_view what) {
  WriteError(fmt::format("CLIENT: ERROR{}\n", what));
  if (exit_code_ == kExitOk) exit_code_ = kExitUnanswered;
}

absl::Status WriteOut(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size() &&
      std::fflush(stdout) == 0) {
    return absl::OkStatus();
  }
  const int error = errno;
  return {absl::ErrnoToStatusCode(error),
          ToAbsl(fmt::format("cannot write to standard output: {}",
                             std::generic_category().message(error)))};
}

void WriteError(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

}  // namespace bsockd
