// Who is at the other end of a Unix socket, and lists of who may be.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace bsockd {

struct PeerCredentials {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // The supplementary ones, where they are known.
};

// Of the process that connected the Unix stream socket `fd`, as it was when it connected (unix(7),
// SO_PEERCRED; the supplementary groups by SO_PEERGROUPS, from Linux 4.13 on). A user of whom this
// user namespace knows nothing is the overflow user, 65534.
//
// Errors: FailedPrecondition where the socket is no connected Unix socket.
absl::StatusOr<PeerCredentials> CredentialsOf(int fd);

// The number of a user or a group that is given as a name or as that number. A number need not be
// known here. May block (names, by nsswitch.conf(5)).
//
// Errors: NotFound ("no user is called X"); Unavailable where it cannot be found out.
absl::StatusOr<uid_t> FindUser(std::string_view name_or_number);
absl::StatusOr<gid_t> FindGroup(std::string_view name_or_number);

// A `peer` list, its names looked up. Immutable, so any thread may ask.
class PeerList {
 public:
  PeerList() = default;  // Empty.

  // Errors: those of FindUser() and FindGroup(). May block.
  static absl::StatusOr<PeerList> Find(const std::vector<std::string>& users,
                                       const std::vector<std::string>& groups);

  bool empty() const { return users_.empty() && groups_.empty(); }
  // Whether the user or one of the groups is listed; an empty list allows everyone.
  bool Allows(const PeerCredentials& peer) const;

 private:
  std::vector<uid_t> users_;  // Both ascending.
  std::vector<gid_t> groups_;
};

}  // namespace bsockd
