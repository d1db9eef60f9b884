#include "lib/net/peer.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/unique_fd.h"
#include "lib/net/listen_socket.h"

namespace bsockd {
namespace {

std::pair<UniqueFd, UniqueFd> SocketPair() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

TEST(Peer, IsTheProcessAtTheOtherEnd) {
  const auto [one, other] = SocketPair();
  const auto credentials = CredentialsOf(one.get());
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  EXPECT_EQ(credentials->uid, geteuid());
  EXPECT_EQ(credentials->gid, getegid());
  std::vector<gid_t> groups(static_cast<size_t>(getgroups(0, nullptr)));
  ASSERT_EQ(getgroups(static_cast<int>(groups.size()), groups.data()),
            static_cast<int>(groups.size()));
  std::vector<gid_t> found = credentials->groups;
  std::sort(found.begin(), found.end());
  std::sort(groups.begin(), groups.end());
  EXPECT_EQ(found, groups);
}

TEST(Peer, HasAllItsGroupsHoweverManyTheyAre) {
  constexpr gid_t kGroups = 500;
  constexpr gid_t kFirst = 70000;
  const Address address = Address::Parse("unix:@bsockd-peer-test").value();
  const auto listening = Listen(address, 0600);
  ASSERT_TRUE(listening.ok()) << listening.status();
  const pid_t child = fork();
  if (child == 0) {
    std::vector<gid_t> groups;
    for (gid_t i = 0; i < kGroups; ++i) groups.push_back(kFirst + i);
    const SocketAddress& where = listening->front().local();
    const UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (setgroups(groups.size(), groups.data()) != 0) _exit(2);
    _exit(connect(client.get(), &where.any, where.size) == 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == 2) GTEST_SKIP() << "not allowed to take on other groups";
  ASSERT_EQ(WEXITSTATUS(status), 0);
  const UniqueFd connection(accept4(listening->front().fd(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(connection);
  const auto credentials = CredentialsOf(connection.get());
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  EXPECT_EQ(credentials->groups.size(), kGroups);
  const auto list = PeerList::Find({}, {std::to_string(kFirst + kGroups - 1)});
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_TRUE(list->Allows(*credentials));
}

TEST(Peer, OnlyAConnectedUnixSocketHasOne) {
  const UniqueFd tcp(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_FALSE(CredentialsOf(tcp.get()).ok());
  const UniqueFd lonely(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_FALSE(CredentialsOf(lonely.get()).ok());
  EXPECT_FALSE(CredentialsOf(-1).ok());
}

TEST(Peer, AUserIsANameOrANumber) {
  EXPECT_EQ(FindUser("root").value_or(1), 0u);
  EXPECT_EQ(FindGroup("root").value_or(1), 0u);
  EXPECT_EQ(FindUser("4000000000").value_or(1), 4000000000u);  // Known here or not.
  EXPECT_EQ(FindGroup("0").value_or(1), 0u);
  for (const std::string nobody : {"bsockd-no-such", "", "-1", "4294967295", "99999999999", "1x"}) {
    EXPECT_EQ(FindUser(nobody).status().message(), "no user is called " + nobody);
    EXPECT_EQ(FindGroup(nobody).status().message(), "no group is called " + nobody);
  }
}

TEST(PeerList, AllowsWhoIsListedAndEveryoneIfNobodyIs) {
  const PeerCredentials peer{.uid = 1000, .gid = 2000, .groups = {3000, 3001}};
  const auto allows = [&](const std::vector<std::string>& users,
                          const std::vector<std::string>& groups) {
    const auto list = PeerList::Find(users, groups);
    EXPECT_TRUE(list.ok()) << list.status();
    return list.ok() && list->Allows(peer);
  };
  EXPECT_TRUE(PeerList().Allows(peer));
  EXPECT_TRUE(allows({}, {}));
  EXPECT_TRUE(allows({"5", "1000", "root"}, {}));
  EXPECT_TRUE(allows({"root"}, {"2000"}));
  EXPECT_TRUE(allows({}, {"9", "3001", "1"}));
  EXPECT_FALSE(allows({"root"}, {}));
  EXPECT_FALSE(allows({"2000", "3000"}, {"1000"}));
  const auto unknown = PeerList::Find({"root", "bsockd-no-such"}, {});
  EXPECT_EQ(unknown.status().message(), "no user is called bsockd-no-such");
}

}  // namespace
}  // namespace bsockd
