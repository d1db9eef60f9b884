// The clients that people have, each with the requests that people type.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "tests/integration/daemon.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

struct Tool {
  const char* name;
  const char* program;
  const char* package;               // Debian's.
  std::vector<std::string> command;  // HOST, PORT and COUNT (bytes of the replies) are replaced.
  bool half_closes = true;           // Sends the end of its input, and reads on.
};

void PrintTo(const Tool& tool, std::ostream* out) { *out << tool.name; }

const std::vector<Tool>& Tools() {
  static const std::vector<Tool> tools = {
      {"nc_openbsd", "nc.openbsd", "netcat-openbsd", {"nc.openbsd", "-N", "HOST", "PORT"}},
      {"nc_traditional",
       "nc.traditional",
       "netcat-traditional",
       {"nc.traditional", "-q1", "HOST", "PORT"},
       false},
      {"ncat", "ncat", "ncat", {"ncat", "HOST", "PORT"}},
      {"busybox_nc", "busybox", "busybox", {"busybox", "nc", "HOST", "PORT"}},
      {"socat", "socat", "socat", {"socat", "-t20", "-", "TCP:HOST:PORT"}},
      {"bash",
       "bash",
       "bash",
       {"bash", "-c", "exec 3<>/dev/tcp/HOST/PORT && cat >&3 && head -c COUNT <&3"},
       false},
  };
  return tools;
}

bool InPath(std::string_view program) {
  std::istringstream path(getenv("PATH") != nullptr ? getenv("PATH") : "/usr/bin:/bin");
  std::string folder;
  while (std::getline(path, folder, ':')) {
    if (access(fmt::format("{}/{}", folder, program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

void Replace(std::string_view name, std::string_view value, std::string* text) {
  const size_t at = text->find(name);
  if (at != std::string::npos) text->replace(at, name.size(), value);
}

class ClientsTest : public testing::TestWithParam<std::tuple<std::string, Tool>> {
 protected:
  void SetUp() override {
    if (std::get<0>(GetParam()) == "io_uring") {
      if (const std::string why = WhyNoIoUring(); !why.empty()) GTEST_SKIP() << why;
    }
    ASSERT_TRUE(InPath(tool().program))
        << tool().program << " is missing: install the package " << tool().package;
  }

  const Tool& tool() const { return std::get<1>(GetParam()); }

  std::unique_ptr<Daemon> Start(const std::string& config) const {
    return Daemon::Start(std::get<0>(GetParam()), config);
  }

  // The tool sends `requests`, all in one write, and prints `replies`.
  void ExpectReplies(const Daemon& daemon, const std::string& requests,
                     const std::string& replies) const {
    ProcessOptions options;
    options.command = tool().command;
    for (std::string& argument : options.command) {
      Replace("HOST", "127.0.0.1", &argument);
      Replace("PORT", daemon.port(), &argument);
      Replace("COUNT", std::to_string(replies.size()), &argument);
    }
    const Outcome outcome = RunToEnd(options, requests);
    EXPECT_TRUE(outcome.end.has_value()) << tool().name << " did not end";
    EXPECT_EQ(outcome.output, replies) << outcome.errors;
  }
};
INSTANTIATE_TEST_SUITE_P(, ClientsTest,
                         testing::Combine(testing::Values("epoll", "io_uring"),
                                          testing::ValuesIn(Tools())),
                         [](const auto& info) {
                           return fmt::format("{}_{}", std::get<0>(info.param),
                                              std::get<1>(info.param).name);
                         });

TEST_P(ClientsTest, GetsExactlyItsRepliesInOrder) {
  const auto daemon = Start(OneListener("{builtin: upper}"));
  ASSERT_NE(daemon, nullptr);
  ExpectReplies(*daemon, "hello\n", "HELLO\n");
  ExpectReplies(*daemon, "one\ntwo\nthree\n", "ONE\nTWO\nTHREE\n");
  ExpectReplies(*daemon, "typed into telnet\r\n", "TYPED INTO TELNET\r\n");
}

TEST_P(ClientsTest, GetsItsRepliesWithOtherDelimitersToo) {
  const auto daemon =
      Start(OneListener("{builtin: upper}", "{delimiter: [\"@@\", \"\\r\\n\", \"\\n\"]}"));
  ASSERT_NE(daemon, nullptr);
  ExpectReplies(*daemon, "a@@b@@c@@", "A@@B@@C@@");
}

TEST_P(ClientsTest, GetsTheReplyToAnUnterminatedRequest) {
  const auto daemon =
      Start(OneListener("{reply: \"I am the server, and I got your message\"}",
                        "{delimiter: [\"@@\", \"\\r\\n\", \"\\n\"], flush_after: 200ms}"));
  ASSERT_NE(daemon, nullptr);
  ExpectReplies(*daemon, "AWESOMESAUCE", std::string(kGreeting));
}

TEST_P(ClientsTest, GetsEverythingOfALargeReplyAfterItsHalfClose) {
  if (!tool().half_closes) GTEST_SKIP() << tool().name << " does not half-close";
  const auto daemon = Start(OneListener("{builtin: upper}"));
  ASSERT_NE(daemon, nullptr);
  std::string requests;
  std::string replies;
  for (int i = 0; i < 5; ++i) {
    requests += std::string(50'000, static_cast<char>('a' + i)) + "\n";
    replies += std::string(50'000, static_cast<char>('A' + i)) + "\n";
  }
  ExpectReplies(*daemon, requests, replies);
}

class UnixClientsTest : public BackendTest {};
INSTANTIATE_TEST_SUITE_P(, UnixClientsTest, kBackends, BackendName);

TEST_P(UnixClientsTest, GetTheirRepliesOverUnixSockets) {
  const TemporaryFolder folder;
  const std::string path = folder.File("s");
  const auto daemon =
      Start(OneListener("{builtin: upper}", "line", "", fmt::format("unix:{}", path)));
  ASSERT_NE(daemon, nullptr);
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"nc.openbsd", "-N", "-U", path},
                                             {"ncat", "-U", path},
                                             {"socat", "-t20", "-", "UNIX-CONNECT:" + path}}) {
    ProcessOptions options;
    options.command = command;
    EXPECT_EQ(RunToEnd(options, "one\ntwo\n").output, "ONE\nTWO\n") << command[0];
  }
}

TEST_P(UnixClientsTest, GetTheirRepliesOverIPv6) {
  const auto daemon = Start(OneListener("{builtin: upper}", "line", "", "[::1]:0"));
  ASSERT_NE(daemon, nullptr);
  ProcessOptions options;
  options.command = {"nc.openbsd", "-6", "-N", "::1", daemon->port()};
  EXPECT_EQ(RunToEnd(options, "one\ntwo\n").output, "ONE\nTWO\n");
}

}  // namespace
}  // namespace bsockd::integration
