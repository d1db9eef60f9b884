#include "lib/net/peer.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include "lib/base/text.h"

namespace bsockd {
namespace {

constexpr size_t kEntryBytesMin = 1024;
constexpr size_t kEntryBytesMax = 1 << 20;       // Of a group with very many members.
constexpr socklen_t kGroupsMax = 65536;          // NGROUPS_MAX of Linux.
constexpr uint32_t kNobodyAtAll = ~uint32_t{0};  // (uid_t)-1 is no user (chown(2), setresuid(2)).

// Nothing where `text` is a name.
std::optional<uint32_t> ParseId(std::string_view text) {
  uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id == kNobodyAtAll) {
    return std::nullopt;
  }
  return id;
}

// `kind` is "user" or "group", `find` one of getpwnam_r(3) and getgrnam_r(3), `id` the member of
// its entry that is asked for.
template <typename Entry, typename Find>
absl::StatusOr<uint32_t> FindId(std::string_view kind, std::string_view text, Find find,
                                uint32_t Entry::*id) {
  if (const std::optional<uint32_t> number = ParseId(text)) return *number;
  const std::string name(text);
  std::vector<char> buffer(kEntryBytesMin);
  Entry entry;
  Entry* found = nullptr;
  int error = find(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  while (error == ERANGE && buffer.size() < kEntryBytesMax) {
    buffer.resize(buffer.size() * 2);
    error = find(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  }
  if (found != nullptr) return entry.*id;
  // "The given name was not found" has many numbers (getpwnam(3), "ERRORS").
  const bool not_found =
      error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
  if (not_found) return absl::NotFoundError(ToAbsl(fmt::format("no {} is called {}", kind, text)));
  return absl::UnavailableError(
      ToAbsl(fmt::format("cannot look up the {} {}: {}", kind, text, strerrordesc_np(error))));
}

std::vector<gid_t> GroupsOf(int fd) {
  std::vector<gid_t> groups(32);
  socklen_t bytes = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  int result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes);
  if (result != 0 && errno == ERANGE && bytes <= kGroupsMax * sizeof(gid_t)) {
    groups.resize(bytes / sizeof(gid_t));  // It has told how many there are.
    result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes);
  }
  groups.resize(result == 0 ? bytes / sizeof(gid_t) : 0);
  return groups;
}

template <typename Id>
bool Has(const std::vector<Id>& sorted, Id id) {
  return std::binary_search(sorted.begin(), sorted.end(), id);
}

}  // namespace

absl::StatusOr<PeerCredentials> CredentialsOf(int fd) {
  ucred credentials;
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return absl::FailedPreconditionError(std::string("SO_PEERCRED: ") + strerrordesc_np(errno));
  }
  if (credentials.uid == kNobodyAtAll) {  // What every socket says that has no such peer.
    return absl::FailedPreconditionError("SO_PEERCRED: not a connected Unix socket");
  }
  return PeerCredentials{credentials.uid, credentials.gid, GroupsOf(fd)};
}

absl::StatusOr<uid_t> FindUser(std::string_view name_or_number) {
  return FindId("user", name_or_number, getpwnam_r, &passwd::pw_uid);
}

absl::StatusOr<gid_t> FindGroup(std::string_view name_or_number) {
  return FindId("group", name_or_number, getgrnam_r, &group::gr_gid);
}

absl::StatusOr<PeerList> PeerList::Find(const std::vector<std::string>& users,
                                        const std::vector<std::string>& groups) {
  PeerList list;
  for (const std::string& user : users) {
    const absl::StatusOr<uid_t> uid = FindUser(user);
    if (!uid.ok()) return uid.status();
    list.users_.push_back(*uid);
  }
  for (const std::string& group : groups) {
    const absl::StatusOr<gid_t> gid = FindGroup(group);
    if (!gid.ok()) return gid.status();
    list.groups_.push_back(*gid);
  }
  std::sort(list.users_.begin(), list.users_.end());
  std::sort(list.groups_.begin(), list.groups_.end());
  return list;
}

bool PeerList::Allows(const PeerCredentials& peer) const {
  if (empty() || Has(users_, peer.uid) || Has(groups_, peer.gid)) return true;
  return std::any_of(peer.groups.begin(), peer.groups.end(),
                     [&](gid_t group) { return Has(groups_, group); });
}

}  // namespace bsockd
