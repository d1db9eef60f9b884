// RequestSource: where bsock's requests come from, the lines of a descriptor or a given list.
//
// A line ends with LF or CRLF, neither of which belongs to it; the last one may have no ending.
// Lines may hold any other byte, NUL included, or the bytes of a request as hexadecimal digits.
//
// Thread: the caller's.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/config/config.h"

namespace bsockd {

inline constexpr size_t kLineBytesMax = kMaxFrameMax;  // The largest request any server may take.

class RequestSource {
 public:
  // `fd` is borrowed.
  static RequestSource Lines(int fd, bool hex = false) { return RequestSource(fd, hex, {}); }
  static RequestSource List(std::vector<std::string> requests) {
    return RequestSource(-1, false, std::move(requests));
  }

  // The next request that is at hand; none before Fill() has brought one, or at the end. Errors:
  // InvalidArgument for a line that is no hex, with its number.
  absl::StatusOr<std::optional<std::string>> Take();

  // The next request, waiting for it; none at the end. Errors: those of Take() and Fill().
  absl::StatusOr<std::optional<std::string>> Next();

  // Nothing more will come from fd(). Requests may still be at hand.
  bool ended() const { return ended_; }

  // One read(2) from fd(), which may block. Errors: that of read(2); ResourceExhausted for a line
  // of more than kLineBytesMax bytes.
  absl::Status Fill();

  // To poll before Fill(); -1 where there is none.
  int fd() const { return fd_; }

 private:
  RequestSource(int fd, bool hex, std::vector<std::string> list)
      : fd_(fd), hex_(hex), list_(std::move(list)), ended_(fd < 0) {}

  std::optional<std::string> TakeLine();

  int fd_;
  bool hex_;
  std::vector<std::string> list_;
  size_t list_next_ = 0;
  std::string buffer_;  // What was read; the bytes before start_ have been taken,
  size_t start_ = 0;    // those between start_ and scanned_ hold no LF.
  size_t scanned_ = 0;
  uint64_t lines_taken_ = 0;
  bool ended_;
};

}  // namespace bsockd
