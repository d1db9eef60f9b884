// What the real bsock makes of messages: every framing, bytes as hex, datagrams.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lib/base/unique_fd.h"
#include "tests/integration/bsock.h"
#include "tests/integration/process.h"
#include "tests/support/datagram_server.h"
#include "tests/support/scripted_server.h"

namespace bsockd::integration {
namespace {

using std::string_literals::operator""s;

struct Spoken {
  std::string framing;
  std::string message;
  std::string request;  // On the wire, and so the reply.
  std::string reply;
  std::string output;
};

TEST(BsockSend, SpeaksEveryFraming) {
  const std::string written_out = "{length: {width: 2, offset: 1, adjust: -3, strip: 3}}";
  const Spoken cases[] = {
      {"{length: u8}", "hello", "\5hello", "\2hi", "hi\n"},
      {"{length: u16le}", "hello", "\5\0hello"s, "\2\0hi"s, "hi\n"},
      {"{length: u64be}", "", "\0\0\0\0\0\0\0\0"s, "\0\0\0\0\0\0\0\0"s, "\n"},
      {"{packet: 4}", "hello", "\0\0\0\5hello"s, "\0\0\0\2hi"s, "hi\n"},
      {"netstring", "hello", "5:hello,", "2:hi,", "hi\n"},
      {"varint", "hello", "\5hello", "\2hi", "hi\n"},
      {"{fixed: 5}", "hello", "hello", "hi", "hi\n"},
      {"{length: {width: 1}}", "\5hello", "\5hello", "hi", "hi\n"},
  };
  for (const Spoken& spoken : cases) {
    SCOPED_TRACE(spoken.framing);
    ScriptedServer server([&spoken](ServedConnection& connection, int) {
      EXPECT_EQ(connection.Read(spoken.request.size()), spoken.request);
      connection.Write(spoken.reply);
      EXPECT_EQ(connection.ReadSome(1), "");
    });
    const Outcome outcome =
        RunBsock({"send", "--framing", spoken.framing, server.address_text(), spoken.message});
    EXPECT_EQ(outcome.end, Exited(0));
    EXPECT_EQ(outcome.output, spoken.output);
    EXPECT_EQ(outcome.errors, "");
  }
}

TEST(BsockSend, SendsAheadOnlyWhereRepliesCanBeToldApart) {
  // Wants the second and the third request before it answers the second.
  const auto patient = [](ServedConnection& connection, int) {
    connection.Write(connection.Read(2));
    connection.Write(connection.Read(4));
    connection.ReadToEnd();
  };
  ScriptedServer ahead(patient);
  EXPECT_EQ(RunBsock({"send", "--framing", "{fixed: 2}", "--reply-framing", "{fixed: 2}",
                      ahead.address_text(), "11", "22", "33"})
                .output,
            "11\n22\n33\n");
  ScriptedServer one_by_one(patient);
  const Outcome outcome = RunBsock({"send", "--framing", "{fixed: 2}", "--timeout=500ms",
                                    one_by_one.address_text(), "11", "22", "33"});
  EXPECT_EQ(outcome.output, "11\n");
  EXPECT_NE(outcome.errors.find("no reply within 500ms (1 request unanswered)"), std::string::npos);
}

TEST(BsockSend, RefusesARequestThatDoesNotFitItsFraming) {
  ScriptedServer server([](ServedConnection& connection, int) { connection.ReadToEnd(); });
  const Outcome fixed =
      RunBsock({"send", "--framing", "{fixed: 128}", server.address_text(), "hello"});
  EXPECT_EQ(fixed.end, Exited(1));
  EXPECT_EQ(fixed.errors,
            "CLIENT: ERROR: a request has exactly 128 bytes with this framing, this one has 5\n");
  EXPECT_EQ(
      RunBsock({"send", "--framing", "{length: u8}", server.address_text()}, std::string(256, 'x'))
          .errors,
      "CLIENT: ERROR: a request has at most 255 bytes with this framing, this one has 256\n");
}

TEST(BsockHex, TakesAndPrintsBytesAsHex) {
  ScriptedServer server(EchoLines);
  const Outcome given =
      RunBsock({"send", server.address_text(), "--hex", "00 ff", "AB:cd", "", "--", "0d07"});
  EXPECT_EQ(given.end, Exited(0));
  EXPECT_EQ(given.output, "72653a2000ff\n72653a20abcd\n72653a20\n72653a200d07\n");
  EXPECT_EQ(given.errors, "");
  const Outcome read = RunBsock({"send", "--hex", server.address_text()}, "00 ff\n\r\nAB:cd\r\n41");
  EXPECT_EQ(read.end, Exited(0));
  EXPECT_EQ(read.output, "72653a2000ff\n72653a20\n72653a20abcd\n72653a2041\n");
}

TEST(BsockHex, SpeaksRawBytesBothWays) {
  ScriptedServer server([](ServedConnection& connection, int) {
    EXPECT_EQ(connection.Read(3), "a\nb");
    connection.Write("\0\n"s);
    connection.ReadToEnd();
  });
  EXPECT_EQ(RunBsock({"send", "--hex", "--framing=raw", server.address_text(), "610a62"}).output,
            "000a\n");
}

TEST(BsockHex, AWrongLineEndsItOnceTheOthersAreAnswered) {
  ScriptedServer server(EchoLines);
  const Outcome outcome = RunBsock({"send", "--hex", server.address_text()}, "31\n32\n3x\n33\n");
  EXPECT_EQ(outcome.end, Exited(1));
  EXPECT_EQ(outcome.output, "72653a2031\n72653a2032\n");
  EXPECT_EQ(outcome.errors,
            "CLIENT: ERROR: line 3, character 2: \"x\" is no hex digit (hex is pairs of digits, as "
            "in 0a ff or 0A:FF)\n");
}

TEST(BsockDatagrams, SendsEachMessageAsOne) {
  DatagramServer server(DatagramServer::Echo);
  const Outcome given = RunBsock({"send", server.address_text(), "one", "", "a\nb"});
  EXPECT_EQ(given.end, Exited(0));
  EXPECT_EQ(given.output, "re: one\nre: \nre: a\nb\n");
  EXPECT_EQ(given.errors, "");
  EXPECT_EQ(RunBsock({"send", server.address_text()}, "one\n\ntwo").output,
            "re: one\nre: \nre: two\n");
  EXPECT_EQ(RunBsock({"send", "--hex", server.address_text(), "0aff"}).output, "72653a200aff\n");
  EXPECT_EQ(RunBsock({server.address_text()}, "one\ntwo\n").output,
            Transcript("re: one") + Transcript("re: two"));
}

TEST(BsockDatagrams, ReachesAUnixSocket) {
  const TemporaryFolder folder;
  DatagramServer server(DatagramServer::Echo, folder.File("s"));
  const Outcome outcome = RunBsock({"send", "unixgram:" + folder.File("s"), "x"});
  EXPECT_EQ(outcome.output, "re: x\n");
  const std::string nobody = "unixgram:" + folder.File("nobody");
  const Outcome missing = RunBsock({"send", nobody, "x"});
  EXPECT_EQ(missing.end, Exited(69));
  EXPECT_EQ(missing.errors,
            fmt::format("CLIENT: ERROR connecting to {}: No such file or directory\n", nobody));
}

TEST(BsockDatagrams, AsksAgainAndGivesUpInTheEnd) {
  DatagramServer deaf([](DatagramServer&, const DatagramServer::Datagram&) {});
  const Outcome outcome = RunBsock({"send", deaf.address_text(), "--timeout=20ms", "x", "y"});
  EXPECT_EQ(outcome.end, Exited(1));
  EXPECT_EQ(outcome.errors,
            fmt::format("CLIENT: ERROR talking to {}: no reply within 20ms (3 tries)\n",
                        deaf.address_text()));
  EXPECT_NE(RunBsock({"send", deaf.address_text(), "--timeout=20ms", "--retries=0", "x"})
                .errors.find("no reply within 20ms\n"),
            std::string::npos);
  DatagramServer lossy([](DatagramServer& self, const DatagramServer::Datagram& datagram) {
    if (datagram.index >= 2) DatagramServer::Echo(self, datagram);
  });
  const Outcome found =
      RunBsock({"send", lossy.address_text(), "--timeout=20ms", "--retries", "900", "x"});
  EXPECT_EQ(found.end, Exited(0));
  EXPECT_EQ(found.output, "re: x\n");
}

TEST(BsockDatagrams, SaysThatNobodyIsThere) {
  UniqueFd hold;
  const std::string address = DatagramServer::RefusingAddress(&hold).ToString();
  const Outcome outcome = RunBsock({"send", address, "x"});
  EXPECT_EQ(outcome.end, Exited(69));
  EXPECT_EQ(outcome.errors,
            fmt::format("CLIENT: ERROR connecting to {}: Connection refused\n", address));
}

TEST(BsockDatagrams, OnATerminalAnErrorIsNotTheEnd) {
  DatagramServer server([](DatagramServer& self, const DatagramServer::Datagram& datagram) {
    if (datagram.bytes != "lost") DatagramServer::Echo(self, datagram);
  });
  const auto bsock = StartBsock({server.address_text(), "--timeout=50ms", "--retries=9"}, true);
  ASSERT_NE(bsock, nullptr);
  ASSERT_TRUE(bsock->WriteInput("lost\nfound\n\x04"));
  EXPECT_EQ(bsock->Wait(), Exited(1));
  EXPECT_NE(bsock->output().find("re: found"), std::string::npos);
  EXPECT_NE(bsock->errors().find("no reply within 50ms (10 tries)\n"), std::string::npos);
}

TEST(BsockDatagrams, SaysThatAMessageIsTooLarge) {
  DatagramServer server(DatagramServer::Echo);
  const Outcome outcome = RunBsock({"send", server.address_text()}, std::string(65508, 'x'));
  EXPECT_EQ(outcome.end, Exited(1));
  EXPECT_EQ(outcome.errors,
            "CLIENT: ERROR: a request of 65508 bytes does not fit into one datagram\n");
}

}  // namespace
}  // namespace bsockd::integration
