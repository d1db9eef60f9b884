// The messages of a takeover: a line of text and perhaps descriptors, one packet each. takeover.h
// says who sends what.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/unique_fd.h"

namespace bsockd {

inline constexpr size_t kTakeoverTextBytesMax = 1024;
inline constexpr size_t kTakeoverFdsMax = 253;  // Of one message: SCM_MAX_FD of unix(7).

struct TakeoverMessage {
  std::string text;
  std::vector<UniqueFd> fds;  // Close-on-exec.
};

// Sends it to a SOCK_SEQPACKET socket as a whole. `text` is not empty, and both are within the
// bounds above. Errors: that of sendmsg(2); Unavailable on a non-blocking socket that takes nothing
// at the moment.
absl::Status SendMessage(int socket, std::string_view text, std::span<const int> fds = {});

// The next one. Waits on a blocking socket. Errors: Unavailable where there is none yet; Aborted at
// the end; InvalidArgument for one that is longer than the bounds above or has lost descriptors on
// its way; else that of recvmsg(2).
absl::StatusOr<TakeoverMessage> ReceiveMessage(int socket);

// "PREFIX REST": the rest, and whether it is so.
bool TakePrefix(std::string_view prefix, std::string_view* text);

}  // namespace bsockd
