// What a reload would do.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "lib/config/plan.h"
#include "tests/unit/config_expect.h"

namespace bsockd {
namespace {

std::string Plan(std::string_view before, std::string_view after) {
  return FormatPlan(PlanReload(MustLoad(before), MustLoad(after)));
}

// The listeners of a file with one handler.
std::string PlanListeners(std::string_view before, std::string_view after) {
  const std::string handlers = "handlers: {echo: {builtin: echo}}\nlisteners:\n";
  return Plan(handlers + std::string(before), handlers + std::string(after));
}

TEST(ConfigPlanTest, SocketsAreOpenedClosedAndKept) {
  EXPECT_EQ(PlanListeners(R"(
  a: {listen: ["127.0.0.1:1", "127.0.0.1:2"], handler: echo}
  b: {listen: "unix:/b", handler: echo}
)",
                          R"(
  a: {listen: ["127.0.0.1:3", "127.0.0.1:1"], handler: echo}
  c: {listen: "udp:127.0.0.1:2", handler: echo}
)"),
            R"(open    127.0.0.1:3      listener a
keep    127.0.0.1:1      listener a
open    udp:127.0.0.1:2  listener c
close   127.0.0.1:2      listener a
close   unix:/b          listener b
keep    listener a
add     listener c
remove  listener b       its connections drain
)");
}

TEST(ConfigPlanTest, ASocketMayMoveToAnotherListener) {
  EXPECT_EQ(PlanListeners(R"(
  a: {listen: "[FE80:0::1]:1", handler: echo}
  b: {listen: "127.0.0.1:2", handler: echo}
)",
                          R"(
  b: {listen: ["127.0.0.1:2", "[fe80::1]:1"], handler: echo}
)"),
            R"(keep    127.0.0.1:2  listener b
keep    [fe80::1]:1  listener b, until now of a
keep    listener b
remove  listener a   its connections drain
)");
}

TEST(ConfigPlanTest, AnotherWayToWriteAnAddressIsNoChange) {
  EXPECT_EQ(PlanListeners("  a: {listen: ['[FE80:0::1]:1', LocalHost:2], handler: echo}\n",
                          "  a: {listen: [localhost:2, '[fe80::1]:1'], handler: echo}\n"),
            "nothing would change\n");
}

TEST(ConfigPlanTest, AFileOfAnotherTypeIsAnotherSocket) {
  EXPECT_EQ(PlanListeners("  a: {listen: 'unix:/a', handler: echo}\n",
                          "  a: {listen: 'unixgram:/a', handler: echo}\n"),
            "open    unixgram:/a  listener a\n"
            "close   unix:/a      listener a\n"
            "keep    listener a\n");
}

// It is another port for each of these.
TEST(ConfigPlanTest, AnyFreePortIsKeptWhereItIsAskedFor) {
  EXPECT_EQ(PlanListeners(R"(
  a: {listen: ["127.0.0.1:0", "127.0.0.1:0"], handler: echo}
  b: {listen: "127.0.0.1:0", handler: echo}
)",
                          R"(
  b: {listen: ["127.0.0.1:0", "127.0.0.1:0"], handler: echo}
  c: {listen: "127.0.0.1:0", handler: echo}
)"),
            R"(keep    127.0.0.1:0  listener b
open    127.0.0.1:0  listener b
open    127.0.0.1:0  listener c
close   127.0.0.1:0  listener a
close   127.0.0.1:0  listener a
keep    listener b
add     listener c
remove  listener a   its connections drain
)");
}

TEST(ConfigPlanTest, TheOrderIsNoChange) {
  const std::string_view before = R"(
handlers: {a: {builtin: echo}, b: {builtin: upper}}
listeners: {x: {listen: "127.0.0.1:1", handler: a}, y: {listen: "127.0.0.1:2", handler: b}}
)";
  const std::string_view after = R"(
listeners: {y: {handler: b, listen: "127.0.0.1:2"}, x: {listen: "127.0.0.1:1", handler: a}}
handlers: {b: {builtin: upper}, a: {builtin: echo}}
)";
  EXPECT_EQ(Plan(before, after), "nothing would change\n");
}

TEST(ConfigPlanTest, AChangeSaysWhatItWasWhatItIsAndFromWhenOn) {
  EXPECT_EQ(Plan(R"(
handlers: {"1.5": {reply: "a: {\r\n"}, old: {builtin: echo}}
listeners: {"no": {listen: ["127.0.0.1:1", "unix:/a"], handler: "1.5"}}
)",
                 R"(
server: {workers: 4, drain_timeout: 5s}
handlers: {"1.5": {builtin: stats}, new: {builtin: echo}}
listeners:
  "no":
    listen: ["127.0.0.1:1", "unix:/a"]
    mode: 0600
    handler: "1.5"
    limits: {max_pipeline: {value: 7, enforce: false}}
    allow: [10.0.0.0/8, "::1"]
    deny: {value: 192.0.2.1, enforce: false}
    peer: {uid: root}
)"),
            R"(keep    127.0.0.1:1                       listener no
keep    unix:/a                           listener no
keep    listener no
add     handler new
remove  handler old
change  server.workers                    after a restart  auto -> 4
change  server.drain_timeout              at once          30s -> 5s
change  handlers.1.5.builtin              at once          (none) -> stats
change  handlers.1.5.reply                at once          "a: {\r\n" -> (none)
change  listeners.no.mode                 at once          0660 -> 0600
change  listeners.no.limits.max_pipeline  at once          128 -> {value: 7, enforce: false}
change  listeners.no.allow                new connections  [] -> ["10.0.0.0/8", "::1"]
change  listeners.no.deny                 new connections  [] -> {value: ["192.0.2.1"], enforce: false}
change  listeners.no.peer.uid             new connections  [] -> ["root"]
)");
}

// Connections cannot go over to another framing, so they keep all of the old listener.
TEST(ConfigPlanTest, WithTheFramingEverythingIsForNewConnections) {
  const auto listener = [](std::string_view framing, std::string_view rest) {
    return "  a: {listen: 127.0.0.1:1, handler: echo, framing: " + std::string(framing) + ", " +
           std::string(rest) + "}\n";
  };
  EXPECT_EQ(PlanListeners(listener("line", "timeouts: {idle: 1s}"),
                          listener("{line: lf, flush_after: 1s}", "timeouts: {idle: 2s}")),
            R"(keep    127.0.0.1:1                listener a
keep    listener a
change  listeners.a.framing        new connections  {line: any, flush_after: off, eof: deliver, overlong: close} -> {delimiter: ["\n"], flush_after: 1s, eof: deliver, overlong: close}
change  listeners.a.timeouts.idle  new connections  1s -> 2s
)");
  EXPECT_EQ(
      PlanListeners(listener("line", "errors: close"), listener("line", "limits: {max_frame: 9}")),
      R"(keep    127.0.0.1:1                   listener a
keep    listener a
change  listeners.a.limits.max_frame  new connections  1MiB -> 9
change  listeners.a.errors            new connections  close -> reply
)");
}

// They keep the handler, too; those of other listeners do not.
TEST(ConfigPlanTest, AHandlerChangesForWhoeverKeepsHisFraming) {
  const auto config = [](std::string_view reply, std::string_view a, std::string_view b) {
    return "handlers: {greet: {reply: " + std::string(reply) + "}}\nlisteners:\n" +
           "  a: {listen: 127.0.0.1:1, handler: greet, framing: " + std::string(a) + "}\n" +
           "  b: {listen: 127.0.0.1:2, handler: greet, framing: " + std::string(b) + "}\n" +
           "  c: {listen: 'udp:127.0.0.1:3', handler: greet}\n";
  };
  const auto effect = [&](const std::string& before, const std::string& after) {
    const ReloadPlan plan = PlanReload(MustLoad(before), MustLoad(after));
    EXPECT_FALSE(plan.changes.empty());
    return plan.changes.empty() ? "" : FormatEffect(plan.changes[0]);
  };
  EXPECT_EQ(effect(config("x", "line", "line"), config("y", "line", "line")), "at once");
  EXPECT_EQ(effect(config("x", "line", "line"), config("y", "raw", "line")),
            "at once (of a: new connections)");
  EXPECT_EQ(effect(config("x", "line", "line"), config("y", "raw", "raw")), "new connections");
}

TEST(ConfigPlanTest, WithoutConnectionsEverythingIsAtOnce) {
  EXPECT_EQ(PlanListeners("  a: {listen: 'udp:127.0.0.1:1', handler: echo}\n",
                          "  a: {listen: 'udp:127.0.0.1:1', handler: echo, deny: 10.0.0.1,"
                          " limits: {max_frame: 9}}\n"),
            R"(keep    udp:127.0.0.1:1               listener a
keep    listener a
change  listeners.a.limits.max_frame  at once  1MiB -> 9
change  listeners.a.deny              at once  [] -> ["10.0.0.1"]
)");
}

TEST(ConfigPlanTest, OneChangeInALine) {
  const ReloadPlan plan =
      PlanReload(MustLoad("handlers: {e: {builtin: echo}}\n"
                          "listeners: {a: {listen: '127.0.0.1:1', handler: e}}\n"),
                 MustLoad("log: {level: debug}\nhandlers: {e: {builtin: echo}}\n"
                          "listeners: {a: {listen: '127.0.0.1:1', handler: e}}\n"));
  ASSERT_EQ(plan.changes.size(), 1u);
  EXPECT_EQ(FormatChange(plan.changes[0]), "log.level: info -> debug");
  EXPECT_EQ(FormatEffect(plan.changes[0]), "at once");
}

}  // namespace
}  // namespace bsockd
