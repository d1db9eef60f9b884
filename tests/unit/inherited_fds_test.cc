#include "lib/systemd/inherited_fds.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/unique_fd.h"

namespace bsockd {
namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START

// What a child finds that is started with pipes at descriptors 3 and on, and with this environment.
struct Start {
  int fds = 0;
  std::string listen_fds;
  std::optional<std::string> names = std::nullopt;
  bool for_the_child = true;  // LISTEN_PID is the child's, or that of its parent.
};

// "NAME=FD" of each in order; "!" after it if it is not close-on-exec, not open, or not the pipe
// that was there.
std::string Describe(const std::vector<InheritedFd>& found, const struct stat& expected) {
  std::string text;
  for (const InheritedFd& each : found) {
    struct stat actual;
    const bool right = fstat(each.fd.get(), &actual) == 0 && actual.st_ino == expected.st_ino &&
                       (fcntl(each.fd.get(), F_GETFD) & FD_CLOEXEC) != 0;
    text += fmt::format("{}={}{} ", each.name, each.fd.get(), right ? "" : "!");
  }
  return text;
}

[[noreturn]] void Child(const Start& start, int results) {
  const int high = fcntl(results, F_DUPFD_CLOEXEC, 100);
  struct stat expected;
  fstat(high, &expected);
  for (int i = 0; i < start.fds; ++i) dup2(high, kFirst + i);
  // No more than these are open.
  for (int fd = kFirst + start.fds; fd < high; ++fd) close(fd);

  setenv("LISTEN_PID", std::to_string(start.for_the_child ? getpid() : getppid()).c_str(), 1);
  setenv("LISTEN_FDS", start.listen_fds.c_str(), 1);
  if (start.names.has_value()) setenv("LISTEN_FDNAMES", start.names->c_str(), 1);
  std::string text = Describe(TakeInheritedFds(), expected);
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
    if (getenv(name) != nullptr) text += fmt::format("{} is still there ", name);
  }
  // They are closed by now, and none is taken twice.
  text += Describe(TakeInheritedFds(), expected);
  const ssize_t size = write(high, text.data(), text.size());
  _exit(size == static_cast<ssize_t>(text.size()) ? 0 : 1);
}

std::string FoundBy(const Start& start) {
  int fds[2];
  EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
  const UniqueFd out(fds[0]);
  UniqueFd in(fds[1]);
  const pid_t child = fork();
  if (child == 0) Child(start, in.get());
  in.Reset();
  std::string text;
  char bytes[1024];
  for (ssize_t size; (size = read(out.get(), bytes, sizeof(bytes))) > 0;) {
    text.append(bytes, static_cast<size_t>(size));
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  return text;
}

TEST(InheritedFdsTest, TheyComeInOrderWithTheirNames) {
  EXPECT_EQ(FoundBy({.fds = 1, .listen_fds = "1", .names = "main"}), "main=3 ");
  EXPECT_EQ(FoundBy({.fds = 3, .listen_fds = "3", .names = "main:other:main"}),
            "main=3 other=4 main=5 ");
}

TEST(InheritedFdsTest, OneWithoutANameIsUnknown) {
  EXPECT_EQ(FoundBy({.fds = 2, .listen_fds = "2"}), "unknown=3 unknown=4 ");
  EXPECT_EQ(FoundBy({.fds = 2, .listen_fds = "2", .names = ""}), "unknown=3 unknown=4 ");
  EXPECT_EQ(FoundBy({.fds = 3, .listen_fds = "3", .names = "a::c"}), "a=3 unknown=4 c=5 ");
}

TEST(InheritedFdsTest, NamesAndDescriptorsNeedNotBeAsMany) {
  EXPECT_EQ(FoundBy({.fds = 2, .listen_fds = "2", .names = "a:b:c"}), "a=3 b=4 ");
  EXPECT_EQ(FoundBy({.fds = 2, .listen_fds = "2", .names = "a"}), "a=3 unknown=4 ");
}

TEST(InheritedFdsTest, ThoseOfAnotherProcessAreLeftAlone) {
  EXPECT_EQ(FoundBy({.fds = 2, .listen_fds = "2", .names = "a:b", .for_the_child = false}), "");
}

TEST(InheritedFdsTest, WhatIsNotSoGivesNothing) {
  EXPECT_EQ(FoundBy({.fds = 2, .listen_fds = "0", .names = "a:b"}), "");
  EXPECT_EQ(FoundBy({.fds = 2, .listen_fds = "two", .names = "a:b"}), "");
  EXPECT_EQ(FoundBy({.fds = 2, .listen_fds = "-1", .names = "a:b"}), "");
  EXPECT_EQ(FoundBy({.fds = 1, .listen_fds = "2", .names = "a:b"}), "") << "the second is closed";
}

TEST(InheritedFdsTest, WithoutTheEnvironmentThereAreNone) {
  EXPECT_TRUE(TakeInheritedFds().empty());
}

}  // namespace
}  // namespace bsockd
