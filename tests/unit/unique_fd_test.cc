#include "lib/base/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <type_traits>
#include <utility>

namespace bsockd {
namespace {

static_assert(!std::is_copy_constructible_v<UniqueFd>);
static_assert(!std::is_copy_assignable_v<UniqueFd>);
static_assert(std::is_nothrow_move_constructible_v<UniqueFd>);
static_assert(std::is_nothrow_move_assignable_v<UniqueFd>);

int OpenNull() {
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_GE(fd, 0);
  return fd;
}

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0 || errno != EBADF; }

TEST(UniqueFd, StartsEmpty) {
  const UniqueFd fd;
  EXPECT_FALSE(fd);
  EXPECT_EQ(fd.get(), -1);
}

TEST(UniqueFd, ClosesAtTheEnd) {
  const int raw = OpenNull();
  {
    const UniqueFd fd(raw);
    EXPECT_TRUE(fd);
    EXPECT_EQ(fd.get(), raw);
    EXPECT_TRUE(IsOpen(raw));
  }
  EXPECT_FALSE(IsOpen(raw));
}

TEST(UniqueFd, MovingGivesItAway) {
  const int raw = OpenNull();
  UniqueFd first(raw);
  UniqueFd second(std::move(first));
  EXPECT_EQ(first.get(), -1);  // NOLINT(bugprone-use-after-move): that it is empty is the contract.
  EXPECT_EQ(second.get(), raw);
  EXPECT_TRUE(IsOpen(raw));
}

TEST(UniqueFd, AssigningClosesTheOldOne) {
  const int old_raw = OpenNull();
  const int new_raw = OpenNull();
  UniqueFd fd(old_raw);
  fd = UniqueFd(new_raw);
  EXPECT_FALSE(IsOpen(old_raw));
  EXPECT_TRUE(IsOpen(new_raw));
  EXPECT_EQ(fd.get(), new_raw);
}

TEST(UniqueFd, AssigningToItselfKeepsIt) {
  const int raw = OpenNull();
  UniqueFd fd(raw);
  UniqueFd& same = fd;
  fd = std::move(same);
  EXPECT_EQ(fd.get(), raw);
  EXPECT_TRUE(IsOpen(raw));
}

TEST(UniqueFd, ReleaseLeavesItOpen) {
  const int raw = OpenNull();
  {
    UniqueFd fd(raw);
    EXPECT_EQ(fd.Release(), raw);
    EXPECT_FALSE(fd);
  }
  EXPECT_TRUE(IsOpen(raw));
  EXPECT_EQ(close(raw), 0);
}

TEST(UniqueFd, ResetClosesOnce) {
  const int raw = OpenNull();
  UniqueFd fd(raw);
  fd.Reset();
  EXPECT_FALSE(fd);
  EXPECT_FALSE(IsOpen(raw));
  // The number goes to the next file; a second close would hit that one.
  const UniqueFd next(OpenNull());
  EXPECT_EQ(next.get(), raw);
  fd.Reset();
  EXPECT_TRUE(IsOpen(next.get()));
}

}  // namespace
}  // namespace bsockd
