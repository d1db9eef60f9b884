// What the client makes of each framing: the bytes of a request, requests that do not fit, replies
// that are framed otherwise.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "lib/base/text.h"
#include "lib/base/unique_fd.h"
#include "lib/client/client.h"
#include "tests/support/scripted_server.h"

namespace bsockd {
namespace {

using std::string_literals::operator""s;
using Kind = FramingConfig::Kind;

FramingConfig Of(Kind kind) {
  FramingConfig framing;
  framing.kind = kind;
  return framing;
}

FramingConfig Preset(int width, bool little_endian = false) {
  FramingConfig framing = Of(Kind::kLength);
  framing.length.width = width;
  framing.length.little_endian = little_endian;
  framing.length.strip = static_cast<size_t>(width);
  framing.length.in_replies = true;
  return framing;
}

// A byte of its own, a length that counts the whole frame, and both kept out of the payload.
FramingConfig WrittenOut() {
  FramingConfig framing = Of(Kind::kLength);
  framing.length = {.width = 2, .offset = 1, .adjust = -3, .strip = 3};
  return framing;
}

FramingConfig Fixed(size_t bytes) {
  FramingConfig framing = Of(Kind::kFixed);
  framing.fixed_bytes = bytes;
  return framing;
}

// A client and, in the test's own hands, the server's end of its connection.
struct Pair {
  Client client;
  UniqueFd server_fd;
  ServedConnection server;
};

Pair MakePair(const FramingConfig& framing, std::optional<FramingConfig> replies = std::nullopt,
              size_t reply_bytes_max = 1 << 20) {
  ClientOptions options;
  options.framing = framing;
  options.reply_framing = std::move(replies);
  options.reply_bytes_max = reply_bytes_max;
  options.timeout = std::chrono::seconds(20);
  int fds[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  absl::StatusOr<Client> client = Client::FromSocket(UniqueFd(fds[0]), std::move(options));
  EXPECT_TRUE(client.ok()) << client.status().ToString();
  return {std::move(*client), UniqueFd(fds[1]), ServedConnection(fds[1])};
}

// Whether the server could read something.
bool HasMore(const Pair& pair) {
  char byte;
  return recv(pair.server.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

struct OnTheWire {
  FramingConfig framing;
  std::string request;
  std::string bytes;
};

TEST(ClientFramings, RequestsOnTheWire) {
  const OnTheWire cases[] = {
      {Preset(1), "hello", "\5hello"},
      {Preset(1), "", "\0"s},
      {Preset(2), "hello", "\0\5hello"s},
      {Preset(2, true), "hello", "\5\0hello"s},
      {Preset(3), "hello", "\0\0\5hello"s},
      {Preset(4), "he\0lo"s, "\0\0\0\5he\0lo"s},
      {Preset(4, true), "hello", "\5\0\0\0hello"s},
      {Preset(8), "hello", "\0\0\0\0\0\0\0\5hello"s},
      {Of(Kind::kNetstring), "hello", "5:hello,"},
      {Of(Kind::kNetstring), "", "0:,"},
      {Of(Kind::kNetstring), "1:a,", "4:1:a,,"},
      {Of(Kind::kVarint), "hello", "\5hello"},
      {Of(Kind::kVarint), std::string(300, 'x'), "\xAC\x02" + std::string(300, 'x')},
      {Fixed(5), "hello", "hello"},
      {WrittenOut(), "\7\0\6abc"s, "\7\0\6abc"s},
      {WrittenOut(), "\7\0\3"s, "\7\0\3"s},
  };
  for (const OnTheWire& each : cases) {
    Pair pair = MakePair(each.framing);
    ASSERT_EQ(pair.client.Send(each.request), absl::OkStatus()) << each.bytes;
    shutdown(pair.client.fd(), SHUT_WR);
    EXPECT_EQ(pair.server.Read(each.bytes.size() + 1), each.bytes);
  }
}

TEST(ClientFramings, RepliesInTheSameFraming) {
  for (const auto& [framing, bytes] : std::vector<std::pair<FramingConfig, std::string>>{
           {Preset(1), "\3one\0\3two"s},
           {Preset(2), "\0\3one\0\0\0\3two"s},
           {Preset(3, true), "\3\0\0one\0\0\0\3\0\0two"s},
           {Preset(8), "\0\0\0\0\0\0\0\3one\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\3two"s},
           {Of(Kind::kNetstring), "3:one,0:,3:two,"},
           {Of(Kind::kVarint), "\3one\0\3two"s}}) {
    Pair pair = MakePair(framing);
    pair.server.Write(bytes);
    for (const char* reply : {"one", "", "two"}) {
      EXPECT_EQ(pair.client.Receive().value_or("none"), reply);
    }
    EXPECT_FALSE(pair.client.has_input());
  }
}

struct DoesNotFit {
  FramingConfig framing;
  std::string request;
  std::string why;
};

TEST(ClientFramings, RefusesARequestThatDoesNotFit) {
  const std::string whole = " (with this framing it is the whole frame, header included)";
  const DoesNotFit cases[] = {
      {Preset(1), std::string(256, 'x'),
       "a request has at most 255 bytes with this framing, this one has 256"},
      {Preset(2), std::string(65536, 'x'),
       "a request has at most 65535 bytes with this framing, this one has 65536"},
      {Fixed(128), "hello", "a request has exactly 128 bytes with this framing, this one has 5"},
      {Fixed(4), "hello", "a request has exactly 4 bytes with this framing, this one has 5"},
      {Fixed(4), "", "a request has exactly 4 bytes with this framing, this one has 0"},
      {Fixed(4), "twotwo..", "a request has exactly 4 bytes with this framing, this one has 8"},
      {WrittenOut(), "", "the request has 0 bytes, fewer than its header says" + whole},
      {WrittenOut(), "\7\0\6ab"s, "the request has 5 bytes, fewer than its header says" + whole},
      {WrittenOut(), "\7\0\6abcd"s, "the request has 7 bytes, but its header says 6" + whole},
      {WrittenOut(), "\7\0\1abc"s, "the request's header is none that this framing has" + whole},
      {Of(Kind::kRaw), "", "an empty request has no bytes to send with this framing"},
  };
  for (const DoesNotFit& each : cases) {
    Pair pair = MakePair(each.framing);
    const absl::Status refused = pair.client.Send(each.request);
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << each.why;
    EXPECT_EQ(MessageOf(refused), each.why);
    EXPECT_FALSE(HasMore(pair));
  }
}

TEST(ClientFramings, ARefusedRequestLeavesTheConnectionAsItWas) {
  Pair pair = MakePair(Preset(1));
  EXPECT_FALSE(pair.client.Send(std::string(256, 'x')).ok());
  pair.server.Write("\2ok");
  EXPECT_EQ(pair.client.Call(std::string(255, 'x')).value_or("none"), "ok");
}

TEST(ClientFramings, WhereTheHandlersBytesAreTheReplyItIsWhatOneReadReturned) {
  for (const auto& [framing, request] :
       {std::pair{Fixed(5), "hello"s}, std::pair{WrittenOut(), "\7\0\6abc"s}}) {
    Pair pair = MakePair(framing);
    pair.server.Write("any bytes\n");
    EXPECT_EQ(pair.client.Call(request).value_or("none"), "any bytes\n");
  }
}

TEST(ClientFramings, RepliesCanBeFramedOtherwise) {
  Pair lines = MakePair(Fixed(5), Of(Kind::kLine));
  lines.server.Write("one\ntwo\r\nthr");
  EXPECT_EQ(lines.client.Call("hello").value_or("none"), "one");
  EXPECT_EQ(lines.client.Receive().value_or("none"), "two");
  lines.server.Write("ee\n");
  EXPECT_EQ(lines.client.Receive().value_or("none"), "three");

  Pair fixed = MakePair(Fixed(5), Fixed(3));
  fixed.server.Write("onetwo");
  EXPECT_EQ(fixed.client.Call("hello").value_or("none"), "one");
  EXPECT_EQ(fixed.client.Receive().value_or("none"), "two");

  Pair written_out = MakePair(Of(Kind::kLine), WrittenOut());
  written_out.server.Write("\7\0\6abc\7\0\3"s);
  EXPECT_EQ(written_out.client.Call("x").value_or("none"), "abc");
  EXPECT_EQ(written_out.client.Receive().value_or("none"), "");
}

TEST(ClientFramings, FlushAfterIsThatOfTheReplies) {
  FramingConfig flushed = Of(Kind::kLine);
  flushed.flush_after = std::chrono::milliseconds(30);
  Pair pair = MakePair(Of(Kind::kNetstring), flushed);
  pair.server.Write("no newline");
  EXPECT_EQ(pair.client.Call("x").value_or("none"), "no newline");
}

TEST(ClientFramings, TellsWhetherRepliesAreApart) {
  const auto apart = [](const FramingConfig& framing, std::optional<FramingConfig> replies) {
    ClientOptions options;
    options.framing = framing;
    options.reply_framing = std::move(replies);
    return TellsApart(options.FramingOfReplies());
  };
  for (const FramingConfig& framing :
       {Preset(1), Preset(8), Of(Kind::kNetstring), Of(Kind::kVarint), Of(Kind::kLine)}) {
    EXPECT_TRUE(apart(framing, std::nullopt));
    EXPECT_FALSE(apart(framing, Of(Kind::kRaw)));
  }
  for (const FramingConfig& framing : {Fixed(5), WrittenOut(), Of(Kind::kRaw)}) {
    EXPECT_FALSE(apart(framing, std::nullopt));
    EXPECT_TRUE(apart(framing, Of(Kind::kLine)));
    EXPECT_TRUE(apart(framing, Fixed(5)));
    EXPECT_TRUE(apart(framing, WrittenOut()));
  }
  FramingConfig flushed = Of(Kind::kLine);
  flushed.flush_after = std::chrono::milliseconds(30);
  EXPECT_FALSE(apart(flushed, std::nullopt));
  EXPECT_TRUE(apart(flushed, Of(Kind::kLine)));
}

TEST(ClientFramings, SaysWhatIsWrongWithAReply) {
  Pair malformed = MakePair(Of(Kind::kNetstring));
  malformed.server.Write("ERR busy\n");
  const absl::StatusOr<std::string> no_netstring = malformed.client.Call("x");
  EXPECT_EQ(no_netstring.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(MessageOf(no_netstring.status()), "the reply is not in this framing");

  Pair truncated = MakePair(Preset(4));
  truncated.server.Write("\0\0\0\5hel"s);
  truncated.server_fd.Reset();
  const absl::StatusOr<std::string> half = truncated.client.Receive();
  EXPECT_EQ(half.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(MessageOf(half.status()),
            "the server closed the connection before it had sent the whole reply");

  // Known from the header alone.
  Pair overlong = MakePair(Preset(4), std::nullopt, 5);
  overlong.server.Write("\xff\xff\xff\xff");
  const absl::StatusOr<std::string> large = overlong.client.Receive();
  EXPECT_EQ(large.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(MessageOf(large.status()), "the reply is longer than 5 bytes");
}

TEST(ClientFramings, GoesOnAfterAnOverlongReplyWhereTheFramingSaysSo) {
  for (auto [framing, bytes] : {std::pair{Preset(1),
                                          "\x06"
                                          "123456\2ok\2on"s},
                                std::pair{Of(Kind::kLine), "123456\nok\non\n"s}}) {
    framing.overlong = FramingConfig::Overlong::kSkip;
    Pair pair = MakePair(framing, std::nullopt, 5);
    ASSERT_TRUE(pair.client.Send("a").ok());
    ASSERT_TRUE(pair.client.Send("b").ok());
    pair.server.Write(bytes);
    EXPECT_EQ(pair.client.Receive().status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(pair.client.unanswered(), 1U);
    EXPECT_EQ(pair.client.Receive().value_or("none"), "ok");
    EXPECT_EQ(pair.client.Call("c").value_or("none"), "on");
  }
}

}  // namespace
}  // namespace bsockd
