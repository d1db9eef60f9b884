// What a reload changes, for whom, and what it leaves alone.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "tests/integration/daemon.h"
#include "tests/integration/process.h"
#include "tests/integration/stream.h"

namespace bsockd::integration {
namespace {

using std::chrono::milliseconds;

class ReloadTest : public BackendTest {
 protected:
  // As OneListener(), with "reloaded" and "refused" to be waited for.
  void Reload(Daemon& daemon, std::string_view config) {
    daemon.WriteConfig(config);
    daemon.process().Signal(SIGHUP);
    ++reloads_;
    ASSERT_TRUE(Eventually([&] {
      const std::string log = daemon.process().errors();
      return LinesWith("reloaded ", log).size() +
                 LinesWith("the configuration stays", log).size() ==
             reloads_;
    })) << daemon.process().errors();
  }

  TemporaryFolder folder_;
  size_t reloads_ = 0;
};
INSTANTIATE_TEST_SUITE_P(, ReloadTest, kBackends, BackendName);

TEST_P(ReloadTest, ConnectionsKeepTheirFramingAndGetTheNewHandlerOnlyWithIt) {
  const auto daemon = Start(OneListener("{reply: one}", "line"));
  ASSERT_NE(daemon, nullptr);
  const auto old = Stream::Connect(daemon->address());
  ASSERT_EQ(old->Call("a\n", "one\n"), "one\n");
  Reload(*daemon, OneListener("{reply: two}", "line"));
  EXPECT_EQ(old->Call("a\n", "two\n"), "two\n") << "the framing is the same";
  Reload(*daemon, OneListener("{reply: three}", "netstring"));
  EXPECT_EQ(old->Call("a\n", "two\n"), "two\n") << "its framing is gone, it goes on as it was";
  const auto young = Stream::Connect(daemon->address());
  EXPECT_EQ(young->Call("1:a,", "5:three,"), "5:three,");
  const std::string log = daemon->process().errors();
  EXPECT_EQ(LinesWith(".reply: ", log).size(), 2u) << log;
}

TEST_P(ReloadTest, LimitsAndTimeoutsHoldForConnectionsThatThereAre) {
  const auto daemon = Start(OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_EQ(stream->Call("a\n", "a\n"), "a\n");
  ASSERT_EQ(stream->Call("b\n", "b\n"), "b\n");
  // Fewer than it has had already.
  Reload(*daemon, OneListener("{builtin: echo}", "line", "    limits: {max_requests: 1}\n"));
  EXPECT_EQ(stream->Exchange("c\nd\n", /*half_close=*/false), Closed("c\n"));
}

TEST_P(ReloadTest, ALimitForAnAddressCountsTheConnectionsThatThereAre) {
  const auto daemon = Start(OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  const auto stream = Stream::Connect(daemon->address());
  ASSERT_EQ(stream->Call("a\n", "a\n"), "a\n");
  Reload(*daemon, OneListener("{builtin: echo}", "line",
                              "    limits: {max_connections_per_ip: 1, requests_per_second: 1}\n"));
  EXPECT_EQ(stream->Call("b\n", "b\n"), "b\n");
  ASSERT_TRUE(stream->Send("c\n"));
  EXPECT_EQ(stream->ReceiveUntil("\n"), "ERR busy a client may ask 1 times a second here\n");
  EXPECT_EQ(Stream::Connect(daemon->address())->ReceiveToEnd().bytes.substr(0, 8), "ERR full");
  Reload(*daemon, OneListener("{builtin: echo}"));
  EXPECT_EQ(stream->Call("d\ne\n", "d\ne\n"), "d\ne\n");
  EXPECT_EQ(Stream::Connect(daemon->address())->Call("f\n", "f\n"), "f\n");
}

TEST_P(ReloadTest, ASocketFileThatIsGoneIsMadeAnew) {
  const std::string path = folder_.File("socket");
  const std::string config =
      OneListener("{builtin: echo}", "line", "    mode: \"0600\"\n", "unix:" + path);
  const auto daemon = Start(config);
  ASSERT_NE(daemon, nullptr);
  std::filesystem::remove(path);
  const std::string target = folder_.Write("target", "");
  std::filesystem::permissions(target, std::filesystem::perms::owner_read);
  std::filesystem::create_symlink(target, path);
  Reload(*daemon, config);
  EXPECT_TRUE(daemon->process().WaitForErrors("the file there is not a socket, and is left alone"));
  EXPECT_EQ(std::filesystem::status(target).permissions(), std::filesystem::perms::owner_read);
  std::filesystem::remove(path);
  Reload(*daemon, config);
  EXPECT_EQ(Stream::Connect("unix:" + path)->Call("a\n", "a\n"), "a\n");
}

TEST_P(ReloadTest, AListenerThatIsGoneDrains) {
  constexpr std::string_view kStays = "  stays: {listen: 127.0.0.1:0, handler: echo}\n";
  constexpr std::string_view kHead =
      "server: {drain_timeout: 1s}\nhandlers: {echo: {builtin: echo}}\nlisteners:\n";
  DaemonOptions options;
  options.config = fmt::format("{}{}  goes: {{listen: \"unix:{}\", handler: echo}}\n", kHead,
                               kStays, folder_.File("goes"));
  options.address_count = 2;
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  const auto stays = Stream::Connect(daemon->address(0));
  const auto idle = Stream::Connect(daemon->address(1));
  const auto busy = Stream::Connect(daemon->address(1));
  const auto straggler = Stream::Connect(daemon->address(1));
  ASSERT_EQ(stays->Call("a\n", "a\n"), "a\n");
  ASSERT_EQ(idle->Call("a\n", "a\n"), "a\n");
  ASSERT_EQ(busy->Call("a\nbe", "a\n"), "a\n");
  ASSERT_EQ(straggler->Call("a\nne", "a\n"), "a\n");
  const auto begun = Clock::now();
  Reload(*daemon, fmt::format("{}{}", kHead, kStays));
  EXPECT_EQ(idle->ReceiveToEnd(), Closed(""));
  EXPECT_EQ(busy->Exchange("gun\nmore\n", /*half_close=*/false), Closed("begun\n"));
  EXPECT_FALSE(std::filesystem::exists(folder_.File("goes")));
  EXPECT_EQ(straggler->ReceiveToEnd(),
            Closed("ERR draining the server stops, and has not executed this request\n"));
  EXPECT_GE(Clock::now() - begun, milliseconds(1000));
  EXPECT_EQ(stays->Call("b\n", "b\n"), "b\n");
  EXPECT_TRUE(daemon->process().WaitForErrors("listener goes: unix: was cut: a request had not"));
}

TEST_P(ReloadTest, AnAddressMayTakeThePlaceOfOneThatIsPartOfIt) {
  const auto daemon = Start(OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  const auto config = [&](std::string_view host) {
    return OneListener("{builtin: echo}", "line", "    allow: 127.0.0.0/8\n",
                       fmt::format("{}:{}", host, daemon->port()));
  };
  const auto old = Stream::Connect(daemon->address());
  ASSERT_EQ(old->Call("a\n", "a\n"), "a\n");
  const std::string elsewhere = "127.0.0.2:" + daemon->port();
  std::unique_ptr<Stream> other;
  for (int i = 0; i < 2; ++i) {
    Reload(*daemon, config("127.0.0.1"));
    EXPECT_EQ(Stream::TryConnect(elsewhere, &other), ECONNREFUSED);
    Reload(*daemon, config("*"));
    ASSERT_EQ(Stream::TryConnect(elsewhere, &other), 0) << daemon->process().errors();
    EXPECT_EQ(other->Call("b\n", "b\n"), "b\n");
    EXPECT_EQ(Stream::Connect(daemon->address())->Call("c\n", "c\n"), "c\n");
  }
  EXPECT_EQ(old->Call("d\n", "d\n"), "d\n");
}

TEST_P(ReloadTest, WhatCannotBeHadChangesNothing) {
  const auto taken = Start(OneListener("{builtin: echo}"));
  const auto daemon = Start(OneListener("{reply: one}"));
  ASSERT_NE(taken, nullptr);
  ASSERT_NE(daemon, nullptr);
  const auto old = Stream::Connect(daemon->address());
  Reload(*daemon, OneListener("{reply: two}", "line", "", taken->address()));
  EXPECT_EQ(old->Call("a\n", "one\n"), "one\n");
  EXPECT_EQ(Stream::Connect(daemon->address())->Call("a\n", "one\n"), "one\n");
  EXPECT_TRUE(daemon->process().WaitForErrors("reload refused: cannot listen on " +
                                              taken->address() + ": Address already in use"));
}

TEST_P(ReloadTest, WhatTakesARestartSaysSoAndKeepsItsValue) {
  const auto daemon = Start("server: {workers: 1}\n" + OneListener("{builtin: echo}"));
  ASSERT_NE(daemon, nullptr);
  for (int i = 0; i < 2; ++i) {  // The second time, too.
    Reload(*daemon, "server: {workers: 2}\n" + OneListener("{builtin: echo}"));
  }
  EXPECT_EQ(
      LinesWith("server.workers: 1 -> 2 (after a restart)", daemon->process().errors()).size(), 2u)
      << daemon->process().errors();
  EXPECT_EQ(Stream::Connect(daemon->address())->Call("a\n", "a\n"), "a\n");
}

TEST_P(ReloadTest, ASocketFileKeepsItsPlaceAndGetsItsMode) {
  const std::string path = folder_.File("socket");
  const auto config = [&](std::string_view mode) {
    return OneListener("{builtin: echo}", "line", fmt::format("    mode: \"{}\"\n", mode),
                       "unix:" + path);
  };
  const auto daemon = Start(config("0600"));
  ASSERT_NE(daemon, nullptr);
  struct stat before;
  struct stat after;
  ASSERT_EQ(stat(path.c_str(), &before), 0);
  EXPECT_EQ(before.st_mode & 0777u, 0600u);
  Reload(*daemon, config("0660"));
  ASSERT_EQ(stat(path.c_str(), &after), 0);
  EXPECT_EQ(after.st_mode & 0777u, 0660u);
  EXPECT_EQ(after.st_ino, before.st_ino);
  daemon->Stop();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_P(ReloadTest, CountersGoOnAndThoseOfWhatIsGoneGo) {
  const std::string stats = "  stats: {listen: 127.0.0.1:0, framing: raw, handler: stats}\n";
  const auto config = [&](std::string_view name) {
    return fmt::format(
        "handlers: {{echo: {{builtin: echo}}, stats: {{builtin: stats}}}}\n"
        "listeners:\n{}  {}: {{listen: \"unix:{}\", handler: echo}}\n",
        stats, name, folder_.File("socket"));
  };
  DaemonOptions options;
  options.config = config("main");
  options.address_count = 2;
  const auto daemon = StartWith(std::move(options));
  ASSERT_NE(daemon, nullptr);
  const auto text = [&] {
    const auto asked = Stream::Connect(daemon->address(0));
    return asked ? asked->Exchange("x").bytes : "";
  };
  const auto old = Stream::Connect(daemon->address(1));
  ASSERT_EQ(old->Call("a\n", "a\n"), "a\n");
  Reload(*daemon, config("main"));
  ASSERT_EQ(old->Call("a\n", "a\n"), "a\n");
  EXPECT_NE(text().find("bsockd_requests_total{listener=\"main\"} 2\n"), std::string::npos);
  Reload(*daemon, config("other"));
  EXPECT_EQ(old->ReceiveToEnd(), Closed(""));
  old->Close();
  EXPECT_EQ(Stream::Connect(daemon->address(1))->Call("a\n", "a\n"), "a\n");
  EXPECT_TRUE(Eventually([&] {
    const std::string now = text();
    return now.find("\"main\"") == now.npos &&
           now.find("bsockd_requests_total{listener=\"other\"} 1\n") != now.npos;
  }));
}

// A terminal that is closed says SIGHUP to what runs in it.
TEST_P(ReloadTest, WithoutAFileItIsTheEnd) {
  const auto daemon = StartWith(DaemonOptions());
  ASSERT_NE(daemon, nullptr);
  daemon->process().Signal(SIGHUP);
  daemon->ExpectEnd(Exited(0));
}

}  // namespace
}  // namespace bsockd::integration
