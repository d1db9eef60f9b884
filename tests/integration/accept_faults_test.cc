// Out of descriptors, of the machine's or of memory when a connection is to be accepted, and
// clients that are gone before they are: the listener stays, and nothing spins.
//
// That the process itself has no descriptor left (EMFILE) is tested for real in limits_test. The
// errors here are the accept_faults library's: it stands in for a machine that the test cannot
// exhaust. Where reliability asks for 60 seconds without descriptors, this measures kMeasured of
// each error: one period of the pause, a tenth of a second, is like the next.
#include "tests/integration/accept_faults.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/daemon.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kMeasured(2000);
constexpr milliseconds kReleaseMax(200);
constexpr int kCpuPercentMax = 5;
constexpr std::array kOutOfResources = {ENFILE, EMFILE, ENOMEM, ENOBUFS};

// The test's end of accept_faults.h.
class Faults {
 public:
  Faults() : path_(folder_.Write("faults", std::string(sizeof(AcceptFaults), '\0'))) {
    const UniqueFd fd(open(path_.c_str(), O_RDWR | O_CLOEXEC));
    void* mapped =
        mmap(nullptr, sizeof(AcceptFaults), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (mapped != MAP_FAILED) shared_ = static_cast<AcceptFaults*>(mapped);
  }
  ~Faults() {
    if (shared_ != nullptr) munmap(shared_, sizeof(AcceptFaults));
  }
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  bool mapped() const { return shared_ != nullptr; }
  // What the daemon's environment must have.
  std::vector<std::string> Environment() const {
    const char* own = std::getenv("ASAN_OPTIONS");
    return {
        "LD_PRELOAD=" + ProgramFromEnvironment("ACCEPT_FAULTS_LIBRARY"),
        fmt::format("{}={}", ACCEPT_FAULTS_VARIABLE, path_),
        // AddressSanitizer wants to come first.
        fmt::format("ASAN_OPTIONS={}:verify_asan_link_order=0", own == nullptr ? "" : own),
    };
  }

  void Begin(int error, int every = 1) {
    __atomic_store_n(&shared_->every, every, __ATOMIC_SEQ_CST);
    __atomic_store_n(&shared_->error, error, __ATOMIC_SEQ_CST);
  }
  void End() { Begin(0); }
  unsigned calls() const { return __atomic_load_n(&shared_->calls, __ATOMIC_SEQ_CST); }
  unsigned failures() const { return __atomic_load_n(&shared_->failures, __ATOMIC_SEQ_CST); }

 private:
  const TemporaryFolder folder_;
  const std::string path_;
  AcceptFaults* shared_ = nullptr;
};

class AcceptFaultsTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_TRUE(faults_.mapped());
    DaemonOptions options;
    options.config = "server: {workers: 1}\n" + OneListener("{builtin: echo}");
    options.process.environment = faults_.Environment();
    daemon_ = StartWith(std::move(options));
    ASSERT_NE(daemon_, nullptr);
    witness_ = Stream::Connect(daemon_->address());
    ASSERT_NE(witness_, nullptr);
    ASSERT_EQ(witness_->Call("before\n", "before\n"), "before\n");
    ASSERT_GT(faults_.calls(), 0u) << "the library is not in the daemon";
  }

  // How long a client waits whose connection stands in the backlog when the failing ends.
  milliseconds AcceptedAfterRelease(int error) {
    faults_.Begin(error);
    const unsigned before = faults_.failures();
    const auto stream = Stream::Connect(daemon_->address());
    if (!stream || !stream->Send("next\n")) return milliseconds::max();
    EXPECT_TRUE(Eventually([&] { return faults_.failures() > before; }));
    faults_.End();
    const auto released = Clock::now();
    EXPECT_EQ(stream->ReceiveExactly(5), "next\n");
    return std::chrono::duration_cast<milliseconds>(Clock::now() - released);
  }

  Faults faults_;
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<Stream> witness_;  // Accepted before anything failed.
};
INSTANTIATE_TEST_SUITE_P(, AcceptFaultsTest, kBackends, BackendName);

TEST_P(AcceptFaultsTest, OutOfResourcesItDoesNotSpinAndSaysSoOnceASecond) {
  for (const int error : kOutOfResources) {
    SCOPED_TRACE(strerrorname_np(error));
    faults_.Begin(error);
    const unsigned failures_before = faults_.failures();
    std::vector<std::unique_ptr<Stream>> waiting;
    for (int i = 0; i < 20; ++i) {
      waiting.push_back(Stream::Connect(daemon_->address()));
      ASSERT_NE(waiting.back(), nullptr) << "the backlog takes it";
    }
    ASSERT_TRUE(Eventually([&] { return faults_.failures() > failures_before; }));

    // Not a wait for something to happen, but the time over which the measurement is taken.
    const std::string said_before = daemon_->process().errors();
    const milliseconds cpu_before = CpuTime(daemon_->pid());
    const unsigned calls_before = faults_.calls();
    std::this_thread::sleep_for(kMeasured);
    const milliseconds cpu = CpuTime(daemon_->pid()) - cpu_before;
    const unsigned calls = faults_.calls() - calls_before;
    const std::string said = daemon_->process().errors().substr(said_before.size());

    EXPECT_LE(cpu.count() * 100, kMeasured.count() * kCpuPercentMax) << "ms of CPU time";
    EXPECT_LE(calls, kMeasured / milliseconds(20)) << "it asks again and again";
    EXPECT_GE(calls, 1u) << "it has given up";
    const auto lines = LinesWith("", said);
    EXPECT_LE(lines.size(), static_cast<size_t>(kMeasured / std::chrono::seconds(1)) + 1) << said;
    EXPECT_GE(LinesWith(strerrordesc_np(error), said).size(), 1u) << said;
    EXPECT_EQ(witness_->Call("during\n", "during\n"), "during\n") << "the accepted are served";

    // All that waited is served when there is room again.
    faults_.End();
    for (const auto& stream : waiting) {
      ASSERT_EQ(stream->Exchange("after\n"), Closed("after\n"));
    }
  }
}

TEST_P(AcceptFaultsTest, AfterReleaseItAcceptsWithin200Milliseconds) {
  constexpr int kRounds = 5;
  for (const int error : kOutOfResources) {
    std::vector<milliseconds> waited;
    for (int i = 0; i < kRounds; ++i) waited.push_back(AcceptedAfterRelease(error));
    // The one in the middle: the machine may be busy with something else for a moment.
    std::nth_element(waited.begin(), waited.begin() + kRounds / 2, waited.end());
    EXPECT_LE(waited[kRounds / 2].count(), kReleaseMax.count()) << strerrorname_np(error);
  }
}

TEST_P(AcceptFaultsTest, WhereEverySecondAcceptFailsEveryoneIsServedAllTheSame) {
  for (const int error : kOutOfResources) {
    SCOPED_TRACE(strerrorname_np(error));
    faults_.Begin(error, 2);
    std::vector<std::unique_ptr<Stream>> streams;
    for (int i = 0; i < 10; ++i) {
      streams.push_back(Stream::Connect(daemon_->address()));
      ASSERT_NE(streams.back(), nullptr);
    }
    for (const auto& stream : streams) ASSERT_EQ(stream->Exchange("hi\n"), Closed("hi\n"));
  }
  EXPECT_GT(faults_.failures(), 0u);
}

TEST_P(AcceptFaultsTest, AbortedConnectionsAreLostAndNoOthers) {
  faults_.Begin(ECONNABORTED, 2);
  constexpr int kClients = 200;
  int served = 0;
  for (int i = 0; i < kClients; ++i) {
    const auto stream = Stream::Connect(daemon_->address());
    ASSERT_NE(stream, nullptr);
    const Received received = stream->Exchange("hi\n");
    if (received == Closed("hi\n")) {
      ++served;
    } else {
      ASSERT_EQ(received.bytes, "");
      ASSERT_NE(received.end, Received::End::kTimeout);
    }
  }
  EXPECT_EQ(served, kClients / 2);
  EXPECT_EQ(faults_.failures(), static_cast<unsigned>(kClients / 2));

  // Every one of a crowd, and the log is not flooded with them.
  faults_.Begin(ECONNABORTED);
  const std::string said_before = daemon_->process().errors();
  const auto begin = Clock::now();
  for (int i = 0; i < kClients; ++i) {
    const auto stream = Stream::Connect(daemon_->address());
    ASSERT_NE(stream, nullptr);
    ASSERT_EQ(stream->ReceiveToEnd().bytes, "");
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin);
  const std::string said = daemon_->process().errors().substr(said_before.size());
  EXPECT_LE(LinesWith("", said).size(), static_cast<size_t>(seconds.count()) + 1) << said;
  faults_.End();
  EXPECT_EQ(witness_->Exchange("after\n"), Closed("after\n"));
  const auto next = Stream::Connect(daemon_->address());
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(next->Exchange("next\n"), Closed("next\n"));
}

TEST_P(AcceptFaultsTest, AnErrorThatStaysDoesNotMakeItSpinWhateverItIs) {
  // EPERM is what a security module says (accept(2)), and it says it again.
  for (const int error : {EPERM, EINVAL}) {
    SCOPED_TRACE(strerrorname_np(error));
    faults_.Begin(error);
    const unsigned failures_before = faults_.failures();
    const auto waiting = Stream::Connect(daemon_->address());
    ASSERT_NE(waiting, nullptr);
    ASSERT_TRUE(Eventually([&] { return faults_.failures() > failures_before; }));
    const milliseconds measured(500);
    const milliseconds cpu_before = CpuTime(daemon_->pid());
    std::this_thread::sleep_for(measured);
    const milliseconds cpu = CpuTime(daemon_->pid()) - cpu_before;
    EXPECT_LE(cpu.count() * 100, measured.count() * kCpuPercentMax) << "ms of CPU time";
    faults_.End();
    EXPECT_EQ(waiting->Exchange("after\n"), Closed("after\n"));
  }
}

TEST_P(AcceptFaultsTest, ItEndsInGoodOrderWhileAcceptingFails) {
  faults_.Begin(ENFILE);
  const auto waiting = Stream::Connect(daemon_->address());
  ASSERT_NE(waiting, nullptr);
  ASSERT_TRUE(Eventually([&] { return faults_.failures() > 0; }));
  daemon_->process().Signal(SIGTERM);
  EXPECT_EQ(witness_->ReceiveToEnd(), Closed(""));
  daemon_->ExpectEnd(Exited(0));
}

}  // namespace
}  // namespace bsockd::integration
