// Starting, refusing to start, and stopping.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "tests/integration/daemon.h"
#include "tests/integration/measure.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

using std::chrono::milliseconds;

class LifecycleTest : public BackendTest {
 protected:
  // Starts bsockd where it cannot start, and returns what it came to.
  Outcome StartInVain(const std::string& listen, ProcessOptions options = {},
                      const std::string& program = ProgramFromEnvironment("BSOCKD")) {
    options.command = {
        program, "--config",
        folder_.Write("bsockd.yaml", OneListener("{builtin: echo}", "line", "", listen)), "--io",
        GetParam()};
    return RunToEnd(options);
  }

  static bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

  TemporaryFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(, LifecycleTest, kBackends, BackendName);

TEST_P(LifecycleTest, AnAddressInUseEndsTheStartAndIsNamed) {
  const auto daemon = Start(OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  const Outcome outcome = StartInVain(daemon->address());
  EXPECT_EQ(outcome.end, Exited(kExitCannotBind)) << outcome.errors;
  EXPECT_NE(outcome.errors.find(daemon->address()), std::string::npos) << outcome.errors;
  EXPECT_NE(outcome.errors.find(strerror(EADDRINUSE)), std::string::npos) << outcome.errors;
}

TEST_P(LifecycleTest, AnAddressOfNoInterfaceEndsTheStartAndIsNamed) {
  const Outcome outcome = StartInVain("192.0.2.1:0");  // RFC 5737: for documentation only.
  EXPECT_EQ(outcome.end, Exited(kExitCannotBind)) << outcome.errors;
  EXPECT_NE(outcome.errors.find("192.0.2.1"), std::string::npos) << outcome.errors;
  EXPECT_NE(outcome.errors.find(strerror(EADDRNOTAVAIL)), std::string::npos) << outcome.errors;
}

TEST_P(LifecycleTest, AUnixSocketWhereALiveServerAnswersIsRefused) {
  const std::string path = folder_.File("s");
  const auto daemon = Start(OneListener("{builtin: echo}", "line", "", "unix:" + path));
  ASSERT_NE(daemon, nullptr);
  const Outcome outcome = StartInVain("unix:" + path);
  EXPECT_EQ(outcome.end, Exited(kExitCannotBind)) << outcome.errors;
  EXPECT_NE(outcome.errors.find(path), std::string::npos) << outcome.errors;
  const auto stream = Stream::Connect("unix:" + path);
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Exchange("hello\n"), Closed("hello\n")) << "the first goes on";
}

TEST_P(LifecycleTest, AStaleSocketFileIsReplaced) {
  const std::string path = folder_.File("s");
  {
    auto killed = Start(OneListener("{builtin: echo}", "line", "", "unix:" + path));
    ASSERT_NE(killed, nullptr);
    killed->process().Signal(SIGKILL);
    killed->ExpectEnd(KilledBy(SIGKILL));
  }
  ASSERT_TRUE(Exists(path));
  const auto daemon = Start(OneListener("{builtin: echo}", "line", "", "unix:" + path));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect("unix:" + path);
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->Exchange("hello\n"), Closed("hello\n"));
}

TEST_P(LifecycleTest, AFileThatIsNoSocketIsRefusedAndLeftAlone) {
  const std::string path = folder_.Write("precious", "do not delete");
  const Outcome outcome = StartInVain("unix:" + path);
  EXPECT_EQ(outcome.end, Exited(kExitCannotBind)) << outcome.errors;
  EXPECT_NE(outcome.errors.find(path), std::string::npos) << outcome.errors;
  struct stat status;
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_TRUE(S_ISREG(status.st_mode));
  EXPECT_EQ(status.st_size, 13);
}

TEST_P(LifecycleTest, AUnixSocketInAFolderThatDoesNotExistIsNamed) {
  const Outcome outcome = StartInVain("unix:" + folder_.File("none/s"));
  EXPECT_EQ(outcome.end, Exited(kExitCannotBind)) << outcome.errors;
  EXPECT_NE(outcome.errors.find(folder_.File("none/s")), std::string::npos) << outcome.errors;
  EXPECT_NE(outcome.errors.find(strerror(ENOENT)), std::string::npos) << outcome.errors;
}

TEST_P(LifecycleTest, AUnixSocketWithoutPermissionForItsFolderIsNamed) {
  const std::string closed = folder_.File("closed");
  ASSERT_EQ(mkdir(closed.c_str(), 0500), 0);
  ProcessOptions options;
  std::string program = ProgramFromEnvironment("BSOCKD");
  if (geteuid() == 0) {  // Who may write everywhere.
    if (!CanBecome(kNobody)) GTEST_SKIP() << "root here cannot become another user";
    options.uid = kNobody;
    program = CopyForEveryone(program, folder_);
    ASSERT_EQ(chmod(closed.c_str(), 0755), 0);
  }
  const std::string path = closed + "/s";
  const Outcome outcome = StartInVain("unix:" + path, options, program);
  EXPECT_EQ(outcome.end, Exited(kExitCannotBind)) << outcome.errors;
  EXPECT_NE(outcome.errors.find(path), std::string::npos) << outcome.errors;
  EXPECT_NE(outcome.errors.find(strerror(EACCES)), std::string::npos) << outcome.errors;
  EXPECT_FALSE(Exists(path));
}

TEST_P(LifecycleTest, OfSeveralAddressesOneThatFailsEndsTheStartAndLeavesNoSocketFile) {
  const auto daemon = Start(OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  const std::string path = folder_.File("s");
  const Outcome outcome = StartInVain(fmt::format("unix:{}\", \"{}", path, daemon->address()));
  EXPECT_EQ(outcome.end, Exited(kExitCannotBind)) << outcome.errors;
  EXPECT_FALSE(Exists(path));
}

TEST_P(LifecycleTest, RestartingOnTheSamePortWorksAtOnce) {
  auto daemon = Start(OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  const std::string address = daemon->address();
  // The daemon closes first: its end of the connection is left in TIME-WAIT.
  const auto stream = Stream::Connect(address);
  ASSERT_NE(stream, nullptr);
  ASSERT_EQ(stream->Call("hello\n", "hello\n"), "hello\n");
  daemon->Stop();
  EXPECT_EQ(stream->ReceiveToEnd(), Closed(""));
  daemon.reset();
  const auto again = Start(OneListener("{builtin: echo}", "line", "", address));
  ASSERT_NE(again, nullptr);
}

// io_uring is taken away in different ways; GetParam() is the errno.
class NoIoUringTest : public testing::TestWithParam<int> {
 protected:
  static DaemonOptions Denied(std::string config) {
    DaemonOptions options;
    options.config = std::move(config);
    options.process.io_uring_error = GetParam();
    return options;
  }
};
INSTANTIATE_TEST_SUITE_P(, NoIoUringTest, testing::Values(EPERM, ENOSYS, ENOMEM),
                         [](const auto& info) { return strerrorname_np(info.param); });

TEST_P(NoIoUringTest, AutoFallsBackToEpollWithOneLineThatSaysSo) {
  const auto start = Clock::now();
  const auto daemon =
      Daemon::Start("auto", Denied("server: {workers: 4}\n" + OneListener("{builtin: upper}")));
  const auto took = Since(start);
  ASSERT_NE(daemon, nullptr);
  Tell("until it accepts", took);
  EXPECT_LT(took, milliseconds(Sanitized() ? 10'000 : 500));
  for (int i = 0; i < 8; ++i) {  // More than there are workers: each has to work.
    const auto stream = Stream::Connect(daemon->address());
    ASSERT_NE(stream, nullptr);
    EXPECT_EQ(stream->Exchange("hello\n"), Closed("HELLO\n"));
  }
  daemon->Stop();
  const std::vector<std::string> lines = LinesWith("io_uring", daemon->process().errors());
  ASSERT_EQ(lines.size(), 1u) << daemon->process().errors();
  EXPECT_TRUE(Matches(lines[0], ".* warn .*epoll.*")) << lines[0];
}

TEST_P(NoIoUringTest, ExplicitIoUringEndsTheStartWithAClearError) {
  TemporaryFolder folder;
  ProcessOptions options = Denied("").process;
  options.command = {ProgramFromEnvironment("BSOCKD"), "--io", "io_uring", "--config",
                     folder.Write("bsockd.yaml", OneListener("{builtin: echo}"))};
  const Outcome outcome = RunToEnd(options);
  EXPECT_EQ(outcome.end, Exited(kExitOs)) << outcome.errors;
  EXPECT_NE(outcome.errors.find("io_uring"), std::string::npos) << outcome.errors;
  EXPECT_NE(outcome.errors.find(strerror(GetParam())), std::string::npos) << outcome.errors;
}

TEST_P(NoIoUringTest, ExplicitEpollNeverAsksForIt) {
  const auto daemon = Daemon::Start("epoll", Denied(OneListener("{builtin: upper}")));
  ASSERT_NE(daemon, nullptr);
  daemon->Stop();
  EXPECT_EQ(daemon->process().errors().find("io_uring"), std::string::npos)
      << daemon->process().errors();
}

}  // namespace
}  // namespace bsockd::integration
