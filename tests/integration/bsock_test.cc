// The real bsock against servers inside the test: what a person types and sees, what a script gets.
#include "tests/integration/bsock.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/integration/process.h"
#include "tests/support/datagram_server.h"
#include "tests/support/scripted_server.h"

namespace bsockd::integration {
namespace {

using std::string_literals::operator""s;

constexpr std::string_view kPrompt =
    "CLIENT: Enter text to send to the server, and then hit enter: ";
constexpr std::string_view kGreeting = "I am the server, and I got your message";

// A terminal turns each newline into CR LF.
std::string WithoutCr(std::string text) {
  std::erase(text, '\r');
  return text;
}

// The lecture's server: one request, one reply without a terminator, and the end.
void AnswerAndClose(ServedConnection& connection, int) {
  connection.ReadUntil("\n");
  connection.Write(kGreeting);
}

TEST(BsockOnATerminal, GivesTheLecturesTranscript) {
  ScriptedServer server([](ServedConnection& connection, int) {
    EXPECT_EQ(connection.ReadUntil("\n"), "AWESOMESAUCE\n");
    connection.Write(std::string(kGreeting) + "\n");
    connection.ReadToEnd();
  });
  const auto bsock = StartBsock({"localhost", std::to_string(server.address().port)}, true);
  ASSERT_NE(bsock, nullptr);
  ASSERT_TRUE(bsock->WaitForOutput(kPrompt));
  ASSERT_TRUE(bsock->WriteInput("AWESOMESAUCE\n"));
  ASSERT_TRUE(bsock->WaitForOutput(kGreeting));
  ASSERT_TRUE(bsock->WriteInput("\x04"));  // Ctrl-D
  EXPECT_EQ(bsock->Wait(), Exited(0));
  EXPECT_EQ(WithoutCr(bsock->output()),
            fmt::format("{}{}{}\n", kPrompt, Transcript(kGreeting), kPrompt));
  EXPECT_EQ(bsock->errors(), "");
}

TEST(BsockOnATerminal, OnceStopsAfterOneLine) {
  ScriptedServer server(EchoLines);
  const auto bsock = StartBsock({server.address_text(), "--once"}, true);
  ASSERT_NE(bsock, nullptr);
  ASSERT_TRUE(bsock->WriteInput("only\nnot this\n"));
  EXPECT_EQ(bsock->Wait(), Exited(0));
  EXPECT_EQ(WithoutCr(bsock->output()), std::string(kPrompt) + Transcript("re: only"));
}

TEST(BsockOnATerminal, SendsALineThatCtrlDEnds) {
  ScriptedServer server(EchoLines);
  const auto bsock = StartBsock({server.address_text()}, true);
  ASSERT_NE(bsock, nullptr);
  ASSERT_TRUE(bsock->WaitForOutput(kPrompt));
  ASSERT_TRUE(bsock->WriteInput("tail\x04\x04"));
  EXPECT_EQ(bsock->Wait(), Exited(0));
  EXPECT_EQ(WithoutCr(bsock->output()), std::string(kPrompt) + "\n" + Transcript("re: tail"));
}

TEST(BsockOnATerminal, ShowsControlBytesHarmlessly) {
  ScriptedServer server([](ServedConnection& connection, int) {
    connection.ReadUntil("\n");
    connection.Write("\x1b[31m\0\"\n"s);
    connection.ReadToEnd();
  });
  const auto bsock = StartBsock({server.address_text(), "--once"}, true);
  ASSERT_NE(bsock, nullptr);
  ASSERT_TRUE(bsock->WriteInput("x\n"));
  EXPECT_EQ(bsock->Wait(), Exited(0));
  EXPECT_EQ(WithoutCr(bsock->output()), std::string(kPrompt) + Transcript(R"(\x1b[31m\x00\")"));
}

TEST(BsockOnATerminal, ConnectsAgainWhereTheServerClosesAfterEachReply) {
  ScriptedServer server(AnswerAndClose);
  const auto bsock = StartBsock({server.address_text()}, true);
  ASSERT_NE(bsock, nullptr);
  ASSERT_TRUE(bsock->WriteInput("one\ntwo\nthree\n\x04"));
  EXPECT_EQ(bsock->Wait(), Exited(0));
  const std::string each = std::string(kPrompt) + Transcript(kGreeting);
  EXPECT_EQ(WithoutCr(bsock->output()), each + each + each + std::string(kPrompt) + "\n");
  const std::string notice = "CLIENT: The server closed the connection; connecting again.\n";
  EXPECT_EQ(bsock->errors(), notice + notice);
}

TEST(BsockOnATerminal, ReportsAFailureAndGoesOn) {
  ScriptedServer server([](ServedConnection& connection, int index) {
    if (index == 0) {
      connection.ReadUntil("\n");
    } else {
      EchoLines(connection, index);
    }
  });
  const auto bsock = StartBsock({server.address_text()}, true);
  ASSERT_NE(bsock, nullptr);
  ASSERT_TRUE(bsock->WriteInput("lost\nfound\n\x04"));
  EXPECT_EQ(bsock->Wait(), Exited(1));
  EXPECT_NE(bsock->output().find("re: found"), std::string::npos);
  EXPECT_EQ(bsock->output().find("re: lost"), std::string::npos);
  EXPECT_EQ(bsock->errors(),
            fmt::format("CLIENT: ERROR talking to {}: the server closed the connection before it "
                        "replied\n",
                        server.address_text()));
}

TEST(Bsock, ReadsLinesFromAPipeWithoutPrompting) {
  ScriptedServer server(EchoLines);
  const Outcome outcome = RunBsock({server.address_text()}, "one\n\ncrlf\r\nN\0L \x1b\nno end"s);
  EXPECT_EQ(outcome.end, Exited(0));
  EXPECT_EQ(outcome.output, Transcript("re: one") + Transcript("re: ") + Transcript("re: crlf") +
                                Transcript("re: N\0L \x1b"s) + Transcript("re: no end"));
  EXPECT_EQ(outcome.errors, "");
}

TEST(Bsock, OnceTakesOneLineOfAPipe) {
  ScriptedServer server(EchoLines);
  EXPECT_EQ(RunBsock({"--once", server.address_text()}, "one\ntwo\n").output,
            Transcript("re: one"));
}

TEST(Bsock, HasNothingToSayAboutNoInput) {
  ScriptedServer server(EchoLines);
  const Outcome outcome = RunBsock({server.address_text()});
  EXPECT_EQ(outcome.end, Exited(0));
  EXPECT_EQ(outcome.output, "");
}

TEST(Bsock, TalksOverAUnixSocket) {
  const TemporaryFolder folder;
  ScriptedServer server(EchoLines, folder.File("s"));
  EXPECT_EQ(RunBsock({"unix:" + folder.File("s")}, "x\n").output, Transcript("re: x"));
}

TEST(BsockSend, PrintsBareRepliesToItsArguments) {
  ScriptedServer server(EchoLines);
  const Outcome outcome = RunBsock({"send", server.address_text(), "one", "", "[1,2]", "send", "++",
                                    "--timeout", "20s", "a b", "--", "-1", "--", "--dump"});
  EXPECT_EQ(outcome.end, Exited(0));
  EXPECT_EQ(outcome.output,
            "re: one\nre: \nre: [1,2]\nre: send\nre: ++\nre: a b\nre: -1\nre: --\nre: --dump\n");
  EXPECT_EQ(outcome.errors, "");
}

TEST(BsockSend, ReadsLinesWhereThereAreNoArguments) {
  ScriptedServer server(EchoLines);
  std::string input;
  std::string expected;
  for (int i = 0; i < 5000; ++i) {
    input += fmt::format("{}\n", i);
    expected += fmt::format("re: {}\n", i);
  }
  const Outcome outcome = RunBsock({"send", server.address_text()}, input);
  EXPECT_EQ(outcome.end, Exited(0));
  EXPECT_EQ(outcome.output, expected);
}

TEST(BsockSend, WritesEachReplyAsSoonAsItComes) {
  ScriptedServer server(EchoLines);
  const auto bsock = StartBsock({"send", server.address_text()}, false);
  ASSERT_NE(bsock, nullptr);
  for (const char* line : {"one", "two", "three"}) {
    ASSERT_TRUE(bsock->WriteInput(fmt::format("{}\n", line)));
    ASSERT_EQ(bsock->ReadLine(), fmt::format("re: {}", line));
  }
  bsock->CloseInput();
  EXPECT_EQ(bsock->Wait(), Exited(0));
}

TEST(BsockSend, TakesLongLinesThroughAServerThatAppliesBackPressure) {
  ScriptedServer server([](ServedConnection& connection, int) {
    for (;;) {
      const std::string bytes = connection.ReadSome(1000);
      if (bytes.empty() || !connection.Write(bytes)) return;
    }
  });
  const std::string line(2'000'000, 'l');
  const Outcome outcome = RunBsock({"send", server.address_text()}, line + "\n" + line + "\nend");
  EXPECT_EQ(outcome.end, Exited(0));
  EXPECT_TRUE(outcome.output == line + "\n" + line + "\nend\n") << outcome.output.size();
}

TEST(BsockSend, AsksAServerThatClosesAfterEachReplyOnceAConnection) {
  ScriptedServer server(AnswerAndClose);
  const Outcome outcome = RunBsock({"send", server.address_text(), "one", "two", "three"});
  EXPECT_EQ(outcome.end, Exited(0));
  EXPECT_EQ(outcome.output, fmt::format("{0}\n{0}\n{0}\n", kGreeting));
  EXPECT_EQ(outcome.errors, "CLIENT: The server closed the connection; connecting again.\n");
}

TEST(BsockSend, SaysHowManyRequestsWentUnanswered) {
  ScriptedServer server([](ServedConnection& connection, int) {
    connection.Write(connection.ReadUntil("\n"));
    for (int i = 0; i < 2; ++i) connection.ReadUntil("\n");
    connection.Write("last\n");
  });
  const Outcome outcome = RunBsock({"send", server.address_text(), "1", "2", "3"});
  EXPECT_EQ(outcome.end, Exited(1));
  EXPECT_EQ(outcome.output, "1\nlast\n");
  EXPECT_EQ(outcome.errors,
            fmt::format("CLIENT: ERROR talking to {}: the server closed the connection before it "
                        "replied (1 request unanswered)\n",
                        server.address_text()));
}

TEST(BsockSend, GivesUpAfterItsTimeout) {
  ScriptedServer server([](ServedConnection& connection, int) { connection.ReadToEnd(); });
  const std::string error =
      fmt::format("CLIENT: ERROR talking to {}: no reply within 50ms (1 request unanswered)\n",
                  server.address_text());
  const Outcome outcome = RunBsock({"send", server.address_text(), "--timeout", "50ms", "x"});
  EXPECT_EQ(outcome.end, Exited(1));
  EXPECT_EQ(outcome.errors, error);
  // Also while more input could come.
  const auto bsock = StartBsock({"send", "--timeout=50ms", server.address_text()}, false);
  ASSERT_NE(bsock, nullptr);
  ASSERT_TRUE(bsock->WriteInput("x\n"));
  EXPECT_EQ(bsock->Wait(), Exited(1));
  EXPECT_EQ(bsock->errors(), error);
}

TEST(BsockSend, RefusesARequestThatTheFramingWouldCut) {
  ScriptedServer server(EchoLines);
  const Outcome outcome = RunBsock({"send", server.address_text(), "fine", "a\nb"});
  EXPECT_EQ(outcome.end, Exited(1));
  EXPECT_EQ(outcome.output, "re: fine\n");
  EXPECT_EQ(outcome.errors,
            "CLIENT: ERROR: the request contains a delimiter of the framing, so it would arrive as "
            "several requests\n");
}

TEST(BsockSend, SpeaksOtherFramings) {
  ScriptedServer server([](ServedConnection& connection, int) {
    EXPECT_EQ(connection.ReadUntil("@@"), "a\nb@@");
    connection.Write("x@y@@");
    connection.ReadToEnd();
  });
  EXPECT_EQ(
      RunBsock({"send", "--framing", "{delimiter: \"@@\"}", server.address_text(), "a\nb"}).output,
      "x@y\n");

  ScriptedServer raw([](ServedConnection& connection, int) {
    EXPECT_EQ(connection.Read(3), "raw");
    connection.Write("as it is\n\n");
    connection.ReadToEnd();
  });
  EXPECT_EQ(RunBsock({"send", raw.address_text(), "--framing=raw", "raw"}).output,
            "as it is\n\n\n");
}

TEST(BsockDump, ShowsEveryBufferOnStandardError) {
  ScriptedServer server(EchoLines);
  const Outcome table = RunBsock({"send", "--dump", server.address_text(), "Hi"});
  EXPECT_EQ(table.output, "re: Hi\n");
  EXPECT_EQ(table.errors,
            "CLIENT: sent 3 bytes\n"
            "  AT    0    1    2\n"
            "CHAR    H    i   \\n\n"
            " INT   72  105   10\n"
            "CLIENT: received 7 bytes\n"
            "  AT    0    1    2    3    4    5    6\n"
            "CHAR    r    e    :  ' '    H    i   \\n\n"
            " INT  114  101   58   32   72  105   10\n");
  EXPECT_EQ(RunBsock({"send", "--hexdump", server.address_text(), "Hi"}).errors,
            "CLIENT: sent 3 bytes\n"
            "00000000  48 69 0a                                          |Hi.|\n"
            "00000003\n"
            "CLIENT: received 7 bytes\n"
            "00000000  72 65 3a 20 48 69 0a                              |re: Hi.|\n"
            "00000007\n");
  DatagramServer datagrams(DatagramServer::Echo);
  EXPECT_EQ(RunBsock({"send", "--hexdump", datagrams.address_text(), "Hi"}).errors,
            "CLIENT: sent 2 bytes\n"
            "00000000  48 69                                             |Hi|\n"
            "00000002\n"
            "CLIENT: received 6 bytes\n"
            "00000000  72 65 3a 20 48 69                                 |re: Hi|\n"
            "00000006\n");
}

TEST(BsockErrors, NameTheAddressThatCouldNotBeReached) {
  UniqueFd hold;
  const SocketAddress refusing = ScriptedServer::RefusingAddress(&hold);
  for (const char* host : {"127.0.0.1", "localhost"}) {
    const Outcome outcome = RunBsock({host, std::to_string(refusing.port())});
    EXPECT_EQ(outcome.end, Exited(69));
    EXPECT_EQ(outcome.output, "");
    EXPECT_EQ(outcome.errors, fmt::format("CLIENT: ERROR connecting to {}:{}: Connection refused\n",
                                          host, refusing.port()));
  }
}

TEST(BsockErrors, SayWhenTheOutputCannotBeWritten) {
  ScriptedServer server(EchoLines);
  ProcessOptions options;
  options.command = {"/bin/sh", "-c", "exec \"$0\" send \"$1\" x > /dev/full",
                     ProgramFromEnvironment("BSOCK"), server.address_text()};
  const Outcome outcome = RunToEnd(options);
  EXPECT_EQ(outcome.end, Exited(1));
  EXPECT_EQ(outcome.errors,
            "CLIENT: ERROR: cannot write to standard output: No space left on device\n");
}

struct WrongUse {
  std::vector<std::string> arguments;
  std::string says;
};

TEST(BsockUsage, ErrorsSayWhatWouldBeRight) {
  const WrongUse wrong[] = {
      {{}, "bsock: ADDRESS is required\n"},
      {{"localhost"}, "bsock: localhost: the port is missing (write HOST:PORT, as in"},
      {{"localhost", "70000"}, "bsock: localhost 70000: the port is out of range"},
      {{"localhost:1", "--fast"}, "--fast"},
      {{"localhost:1", "2", "3"}, "3"},
      {{"localhost:1", "--timeout", "10"}, "a duration needs a unit"},
      {{"localhost:1", "--timeout", "0s"}, "bsock: --timeout 0s: "},
      {{"localhost:1", "--framing", "lines"}, "bsock: --framing: "},
      {{"localhost:1", "--reply-framing", ""}, "bsock: --reply-framing: "},
      {{"localhost:1", "--framing", ""}, "bsock: --framing: "},
      {{"localhost:1", "--framing", "{line: lf, reply_framing: raw}"}, "bsock: --framing: "},
      {{"localhost:1", "--dump", "--hexdump"}, "excludes"},
      {{"localhost:1", "--hex"}, "--hex"},
      {{"send", "localhost:1", "--hex", "00", "0g"}, "bsock: message 2, character 2: \"g\" is no"},
      {{"localhost:1", "--retries", "1"}, "bsock: --retries is for datagrams (udp: and unixgram:"},
      {{"udp:localhost:1", "--retries", "x"}, "bsock: --retries x: "},
      {{"udp:localhost:1", "--retries", "-1"}, "bsock: --retries -1: "},
      {{"udp:localhost:1", "--framing", "raw"}, "bsock: --framing has no meaning with datagrams"},
      {{"udp:localhost"}, "bsock: udp:localhost: the port is missing"},
      {{"systemd:main"}, "bsock: systemd:main: that names sockets which systemd hands to a server"},
      {{"send", "systemd:", "x"}, "bsock: systemd:: the name is missing"},
      {{"systemd", "80"}, "bsock: systemd 80: udp, unix, unixgram and systemd are no hosts"},
      {{"send"}, "bsock: ADDRESS is required\n"},
      {{"send", "localhost:1", "-1"}, "bsock: there is no option -1 (put -- before messages"},
      {{"--dump", "send", "localhost:1"}, "bsock: `send` comes before the options\n"},
  };
  for (const WrongUse& use : wrong) {
    const Outcome outcome = RunBsock(use.arguments);
    SCOPED_TRACE(outcome.errors);
    EXPECT_EQ(outcome.end, Exited(64));
    EXPECT_EQ(outcome.output, "");
    EXPECT_NE(outcome.errors.find(use.says), std::string::npos) << use.says;
    EXPECT_TRUE(outcome.errors.ends_with("\nTry 'bsock --help'.\n"));
  }
}

TEST(BsockUsage, HelpAndVersionGoToStandardOutput) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--help"}, {"-h"}, {"send", "--help"}}) {
    const Outcome help = RunBsock(arguments);
    EXPECT_EQ(help.end, Exited(0));
    EXPECT_EQ(help.errors, "");
    for (const char* option : {"--once", "--framing", "--reply-framing", "--hex ", "--timeout",
                               "--retries", "--dump", "--hexdump", "udp:HOST:PORT"}) {
      EXPECT_NE(help.output.find(option), std::string::npos) << option;
    }
  }
  const Outcome version = RunBsock({"--version"});
  EXPECT_EQ(version.end, Exited(0));
  EXPECT_EQ(version.output, "bsock 0.1.0\n");
}

}  // namespace
}  // namespace bsockd::integration
