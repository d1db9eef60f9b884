// Whoever reads bsockd's standard output or error may stop reading, or may never have been there.
// The service goes on all the same.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>

#include "lib/base/unique_fd.h"
#include "tests/integration/daemon.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

class StalledOutputTest : public BackendTest {
 protected:
  // Starts bsockd by a shell, with its standard streams as `redirections` say; "$FIFO" in them is a
  // pipe that nobody reads.
  void StartRedirected(const std::string& redirections) {
    const std::string fifo = folder_.File("fifo");
    ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
    fifo_ = UniqueFd(open(fifo.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    ASSERT_TRUE(fifo_);
    const std::string config =
        folder_.Write("bsockd.yaml", OneListener("{reply: r, log_requests: true}", "line", "",
                                                 "unix:" + folder_.File("socket")));
    ProcessOptions options;
    options.environment = {"FIFO=" + fifo};
    options.command = {"/bin/bash",
                       "-c",
                       "exec \"$0\" --io \"$1\" --config \"$2\" " + redirections,
                       ProgramFromEnvironment("BSOCKD"),
                       GetParam(),
                       config};
    daemon_ = Process::Start(options);
    ASSERT_NE(daemon_, nullptr);
    ASSERT_TRUE(Eventually(
        [&] { return Stream::TryConnect("unix:" + folder_.File("socket"), &stream_) == 0; }));
  }

  void FillFifo() const {
    const std::string bytes(4096, 'x');
    while (write(fifo_.get(), bytes.data(), bytes.size()) > 0) {
    }
  }

  TemporaryFolder folder_;
  UniqueFd fifo_;
  std::unique_ptr<Process> daemon_;
  std::unique_ptr<Stream> stream_;
};

TEST_P(StalledOutputTest, RequestsAreAnsweredThoughNobodyReadsTheirLog) {
  StartRedirected(">\"$FIFO\"");
  ASSERT_NE(stream_, nullptr);
  constexpr int kRequests = 3000;  // Of 100 bytes: more than any pipe holds by default.
  std::string requests;
  std::string replies;
  for (int i = 0; i < kRequests; ++i) {
    requests += std::string(100, 'q') + "\n";
    replies += "r\n";
  }
  EXPECT_EQ(stream_->Exchange(requests), Closed(replies));
  daemon_->Signal(SIGTERM);
  EXPECT_EQ(daemon_->Wait(), Exited(0));
  EXPECT_TRUE(Matches(LinesWith("not printed", daemon_->errors()).at(0),
                      ".* warn  [0-9]+ requests were not printed: standard output did not take "
                      "them"))
      << daemon_->errors();
}

TEST_P(StalledOutputTest, ItStopsThoughNobodyReadsItsLog) {
  StartRedirected("2>\"$FIFO\"");
  ASSERT_NE(stream_, nullptr);
  FillFifo();
  daemon_->Signal(SIGTERM);
  EXPECT_EQ(daemon_->Wait(), Exited(0));
}

TEST_P(StalledOutputTest, ASecondSignalEndsItThoughNobodyReadsItsLog) {
  StartRedirected("2>\"$FIFO\"");
  ASSERT_NE(stream_, nullptr);
  FillFifo();
  ASSERT_TRUE(stream_->Send("unfinished"));  // The drain waits for the rest.
  daemon_->Signal(SIGTERM);
  ASSERT_TRUE(Eventually([&] { return access(folder_.File("socket").c_str(), F_OK) != 0; }));
  daemon_->Signal(SIGINT);
  EXPECT_EQ(daemon_->Wait(), KilledBy(SIGINT));
}

TEST_P(StalledOutputTest, ClosedStandardStreamsDoNotBecomeSockets) {
  StartRedirected("<&- >&- 2>&-");
  ASSERT_NE(stream_, nullptr);
  for (const char* number : {"0", "1", "2"}) {
    char target[64] = {};
    const std::string link = fmt::format("/proc/{}/fd/{}", daemon_->pid(), number);
    EXPECT_GT(readlink(link.c_str(), target, sizeof(target) - 1), 0) << link;
    EXPECT_STREQ(target, "/dev/null");
  }
  EXPECT_EQ(stream_->Exchange("hello\n"), Closed("r\n"));
  daemon_->Signal(SIGTERM);
  EXPECT_EQ(daemon_->Wait(), Exited(0));
}

INSTANTIATE_TEST_SUITE_P(, StalledOutputTest, kBackends, BackendName);

}  // namespace
}  // namespace bsockd::integration
