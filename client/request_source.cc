#include "client/request_source.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "client/hex.h"
#include "lib/base/text.h"

namespace bsockd {
namespace {

constexpr size_t kReadBytes = 64 * 1024;

}  // namespace

absl::StatusOr<std::optional<std::string>> RequestSource::Take() {
  if (fd_ < 0) {
    if (list_next_ == list_.size()) return std::nullopt;
    return std::move(list_[list_next_++]);
  }
  std::optional<std::string> line = TakeLine();
  if (!line || !hex_) return line;
  absl::StatusOr<std::string> bytes = FromHex(*line);
  if (bytes.ok()) return std::move(*bytes);
  return absl::InvalidArgumentError(
      ToAbsl(fmt::format("line {}, {}", lines_taken_, MessageOf(bytes.status()))));
}

absl::StatusOr<std::optional<std::string>> RequestSource::Next() {
  for (;;) {
    absl::StatusOr<std::optional<std::string>> request = Take();
    if (!request.ok() || request->has_value() || ended_) return request;
    if (const absl::Status filled = Fill(); !filled.ok()) return filled;
  }
}

std::optional<std::string> RequestSource::TakeLine() {
  const size_t lf = buffer_.find('\n', scanned_);
  if (lf == buffer_.npos && (!ended_ || start_ == buffer_.size())) {
    scanned_ = buffer_.size();
    return std::nullopt;
  }
  const size_t end = lf == buffer_.npos ? buffer_.size() : lf;
  const bool crlf = lf != buffer_.npos && lf > start_ && buffer_[lf - 1] == '\r';
  std::string line = buffer_.substr(start_, end - start_ - (crlf ? 1 : 0));
  start_ = scanned_ = lf == buffer_.npos ? end : lf + 1;
  ++lines_taken_;
  return line;
}

absl::Status RequestSource::Fill() {
  if (ended_) return absl::OkStatus();
  if (buffer_.size() - start_ > kLineBytesMax) {
    return absl::ResourceExhaustedError(
        ToAbsl(fmt::format("an input line is longer than {} bytes", kLineBytesMax)));
  }
  char bytes[kReadBytes];
  ssize_t got;
  do {
    got = read(fd_, bytes, sizeof(bytes));
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    return {
        absl::ErrnoToStatusCode(errno),
        ToAbsl(fmt::format("cannot read the input: {}", std::generic_category().message(errno)))};
  }
  if (got == 0) ended_ = true;
  // Asked only when no whole line is at hand, so what is moved is at most the start of one.
  buffer_.erase(0, start_);
  scanned_ -= start_;
  start_ = 0;
  buffer_.append(bytes, static_cast<size_t>(got));
  return absl::OkStatus();
}

}  // namespace bsockd
