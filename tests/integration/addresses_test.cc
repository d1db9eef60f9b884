// Every kind of address that a listener takes.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "tests/integration/daemon.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

class AddressesTest : public BackendTest {
 protected:
  std::unique_ptr<Daemon> Listen(const std::string& address, size_t address_count = 1) {
    DaemonOptions options;
    options.config = OneListener("{builtin: upper}", "line", "", address);
    options.address_count = address_count;
    return StartWith(std::move(options));
  }

  // What a client gets there.
  static Received Ask(const std::string& address) {
    const auto stream = Stream::Connect(address);
    if (!stream) return {};
    return stream->Exchange("hello\n");
  }
};
INSTANTIATE_TEST_SUITE_P(, AddressesTest, kBackends, BackendName);

TEST_P(AddressesTest, AnIPv4AddressWithAnyFreePort) {
  const auto daemon = Listen("127.0.0.1:0");
  ASSERT_NE(daemon, nullptr);
  EXPECT_TRUE(daemon->address().starts_with("127.0.0.1:")) << daemon->address();
  EXPECT_NE(daemon->port(), "0") << "the real port is printed";
  EXPECT_EQ(Ask(daemon->address()), Closed("HELLO\n"));
  EXPECT_TRUE(daemon->process().WaitForErrors(daemon->address())) << "and logged";
}

TEST_P(AddressesTest, AnIPv6AddressInBrackets) {
  const auto daemon = Listen("[::1]:0");
  ASSERT_NE(daemon, nullptr);
  EXPECT_TRUE(daemon->address().starts_with("[::1]:")) << daemon->address();
  EXPECT_EQ(Ask(daemon->address()), Closed("HELLO\n"));
}

TEST_P(AddressesTest, AStarTakesBothFamiliesOnOnePort) {
  const auto daemon = Listen("*:0");
  ASSERT_NE(daemon, nullptr);
  EXPECT_EQ(Ask("127.0.0.1:" + daemon->port()), Closed("HELLO\n"));
  EXPECT_EQ(Ask("[::1]:" + daemon->port()), Closed("HELLO\n"));
}

TEST_P(AddressesTest, LocalhostIsBothLoopbackAddresses) {
  const auto daemon = Listen("localhost:0", 2);
  ASSERT_NE(daemon, nullptr);
  EXPECT_NE(daemon->address(0), daemon->address(1));
  EXPECT_EQ(Ask(daemon->address(0)), Closed("HELLO\n"));
  EXPECT_EQ(Ask(daemon->address(1)), Closed("HELLO\n"));
}

TEST_P(AddressesTest, AUnixSocketWithTheModeOfTheConfiguration) {
  const TemporaryFolder folder;
  const std::string path = folder.File("s.sock");
  DaemonOptions options;
  options.config = OneListener("{builtin: upper}", "line", "    mode: 0666", "unix:" + path);
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  EXPECT_EQ(daemon->address(), "unix:" + path);
  EXPECT_EQ(Ask(daemon->address()), Closed("HELLO\n"));
  struct stat status;
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0666u) << fmt::format("{:o}", status.st_mode);
  daemon->Stop();
  EXPECT_NE(access(path.c_str(), F_OK), 0) << "the socket file stayed behind";
}

TEST_P(AddressesTest, AnAbstractUnixSocket) {
  const TemporaryFolder folder;  // For a name that no one else has.
  const std::string address = "unix:@bsockd-test" + folder.path();
  const auto daemon = Listen(address);
  ASSERT_NE(daemon, nullptr);
  EXPECT_EQ(daemon->address(), address);
  EXPECT_EQ(Ask(address), Closed("HELLO\n"));
}

TEST_P(AddressesTest, SeveralListenersWithDifferentFramingsAndHandlersAtOnce) {
  const TemporaryFolder folder;
  DaemonOptions options;
  options.address_count = 4;
  options.config = fmt::format(
      "handlers:\n"
      "  shout: {{builtin: upper}}\n"
      "  same: {{builtin: echo}}\n"
      "listeners:\n"
      "  first:\n"
      "    listen: [\"127.0.0.1:0\", \"[::1]:0\", \"unix:{}\"]\n"
      "    framing: line\n"
      "    handler: shout\n"
      "  second: {{listen: [\"127.0.0.1:0\"], framing: raw, handler: same}}\n",
      folder.File("s"));
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(Ask(daemon->address(i)), Closed("HELLO\n")) << i;
  EXPECT_EQ(Ask(daemon->address(3)), Closed("hello\n"));
  EXPECT_TRUE(daemon->process().output().starts_with("first 127.0.0.1:"))
      << daemon->process().output();
  EXPECT_NE(daemon->process().output().find("\nsecond 127.0.0.1:"), std::string::npos)
      << daemon->process().output();
}

}  // namespace
}  // namespace bsockd::integration
