#include "lib/net/ip.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

namespace bsockd {
namespace {

CidrBlock Block(std::string_view text) {
  const absl::StatusOr<CidrBlock> block = CidrBlock::Parse(text);
  EXPECT_TRUE(block.ok()) << text << ": " << block.status();
  return block.ok() ? *block : CidrBlock();
}

// A single address is a block of one.
IpAddress Ip(std::string_view text) { return Block(text).network; }

std::string ErrorOf(std::string_view text) {
  const absl::StatusOr<CidrBlock> block = CidrBlock::Parse(text);
  if (block.ok()) return "no error: " + block->ToString();
  EXPECT_EQ(block.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(block.status().message());
}

SocketAddress Socket(const char* host) {
  SocketAddress socket;
  if (inet_pton(AF_INET, host, &socket.v4.sin_addr) == 1) {
    socket.v4.sin_family = AF_INET;
    socket.size = sizeof(socket.v4);
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, host, &socket.v6.sin6_addr), 1) << host;
    socket.v6.sin6_family = AF_INET6;
    socket.size = sizeof(socket.v6);
  }
  return socket;
}

TEST(CidrBlockTest, ReadsAndWrites) {
  const struct {
    std::string_view text;
    std::string_view written;
    int prefix_bits;
    bool v6;
  } kBlocks[] = {
      {"10.0.0.0/8", "10.0.0.0/8", 8, false},
      {"0.0.0.0/0", "0.0.0.0/0", 0, false},
      {"192.0.2.7", "192.0.2.7", 32, false},
      {"192.0.2.7/32", "192.0.2.7", 32, false},
      {"192.0.2.6/31", "192.0.2.6/31", 31, false},
      {"255.255.255.255", "255.255.255.255", 32, false},
      {"10.0.0.0/08", "10.0.0.0/8", 8, false},
      {"::/0", "::/0", 0, true},
      {"2001:db8::/32", "2001:db8::/32", 32, true},
      {"2001:DB8:0:0::/33", "2001:db8::/33", 33, true},
      {"::1", "::1", 128, true},
      {"::1/128", "::1", 128, true},
      {"fe80::/10", "fe80::/10", 10, true},
      // IPv4 in IPv6's dress is IPv4.
      {"::ffff:192.0.2.7", "192.0.2.7", 32, false},
      {"::ffff:10.0.0.0/104", "10.0.0.0/8", 8, false},
      {"::ffff:0:0/96", "0.0.0.0/0", 0, false},
      {"::ffff:192.0.2.7/128", "192.0.2.7", 32, false},
      // The neighbours of that prefix are not.
      {"::fffe:0:0/95", "::fffe:0:0/95", 95, true},
      {"::192.0.2.7", "::192.0.2.7", 128, true},
  };
  for (const auto& expected : kBlocks) {
    const CidrBlock block = Block(expected.text);
    EXPECT_EQ(block.ToString(), expected.written) << expected.text;
    EXPECT_EQ(block.prefix_bits, expected.prefix_bits) << expected.text;
    EXPECT_EQ(block.network.v6, expected.v6) << expected.text;
    EXPECT_EQ(Block(block.ToString()), block) << expected.text;
  }
}

TEST(CidrBlockTest, SaysWhatIsWrong) {
  constexpr std::string_view kNone =
      "it is an address or a block of them, such as 10.0.0.0/8 or 2001:db8::/32";
  for (const std::string_view text :
       {"", "/8", "localhost", "10", "10.0.0", "10.0.0.0.0/8", "010.0.0.1", "256.0.0.0/8", "[::1]",
        "10.0.0.0 /8", " 10.0.0.0/8", "127.0.0.1:80", "*", "::1::", "fe80::1%eth0", "10.0.0.*"}) {
    EXPECT_EQ(ErrorOf(text), kNone) << text;
  }
  EXPECT_EQ(ErrorOf(std::string_view("10.0.0.1\0", 9)), kNone);
  EXPECT_EQ(ErrorOf(std::string_view("::1\0x", 5)), kNone);
  for (const std::string_view prefix : {"33", "-1", "-0", "+8", "", " 8", "8 ", "8.0", "255.0.0.0",
                                        "8/8", "4294967304", "99999999999999999999"}) {
    EXPECT_EQ(ErrorOf("0.0.0.0/" + std::string(prefix)),
              "the prefix is a whole number from 0 to 32")
        << prefix;
  }
  EXPECT_EQ(ErrorOf("::/129"), "the prefix is a whole number from 0 to 128");
  EXPECT_EQ(ErrorOf("::ffff:0:0/95"), "the prefix is a whole number from 96 to 128");
  EXPECT_EQ(ErrorOf("::ffff:10.0.0.0/8"), "the prefix is a whole number from 96 to 128");
}

// Either the address or the prefix is a mistake, and nobody but the user knows which.
TEST(CidrBlockTest, HasNoBitsBehindThePrefix) {
  EXPECT_EQ(ErrorOf("10.1.0.0/8"),
            "the address has bits behind the prefix; write 10.0.0.0/8 for the block");
  EXPECT_EQ(ErrorOf("192.0.2.7/31"),
            "the address has bits behind the prefix; write 192.0.2.6/31 for the block");
  EXPECT_EQ(ErrorOf("1.2.3.4/0"),
            "the address has bits behind the prefix; write 0.0.0.0/0 for the block");
  EXPECT_EQ(ErrorOf("2001:db8::1/32"),
            "the address has bits behind the prefix; write 2001:db8::/32 for the block");
  EXPECT_EQ(ErrorOf("::ffff:10.1.0.0/104"),
            "the address has bits behind the prefix; write 10.0.0.0/8 for the block");
}

TEST(CidrBlockTest, ContainsItsAddresses) {
  const struct {
    std::string_view block;
    std::string_view address;
    bool inside;
  } kCases[] = {
      {"10.0.0.0/8", "10.0.0.0", true},
      {"10.0.0.0/8", "10.255.255.255", true},
      {"10.0.0.0/8", "11.0.0.0", false},
      {"10.0.0.0/8", "9.255.255.255", false},
      {"192.0.2.128/25", "192.0.2.128", true},
      {"192.0.2.128/25", "192.0.2.127", false},
      {"192.0.2.7", "192.0.2.7", true},
      {"192.0.2.7", "192.0.2.6", false},
      {"0.0.0.0/0", "255.255.255.255", true},
      {"2001:db8::/32", "2001:db8:ffff::1", true},
      {"2001:db8::/32", "2001:db9::", false},
      {"2001:db8::/33", "2001:db8:7fff::", true},
      {"2001:db8::/33", "2001:db8:8000::", false},
      {"::1", "::1", true},
      {"::1", "::2", false},
      {"::/0", "ffff::", true},
      // Each family for itself: who allows ::/0 has not allowed IPv4.
      {"::/0", "192.0.2.7", false},
      {"0.0.0.0/0", "::1", false},
      {"::/0", "::ffff:192.0.2.7", false},
      {"0.0.0.0/0", "::ffff:192.0.2.7", true},
  };
  for (const auto& each : kCases) {
    EXPECT_EQ(Block(each.block).Contains(Ip(each.address)), each.inside)
        << each.block << " " << each.address;
  }
}

TEST(IpAddressTest, OfASocket) {
  EXPECT_EQ(IpAddress::From(Socket("192.0.2.7")), Ip("192.0.2.7"));
  EXPECT_EQ(IpAddress::From(Socket("::ffff:192.0.2.7")), Ip("192.0.2.7"));
  EXPECT_EQ(IpAddress::From(Socket("2001:db8::7")), Ip("2001:db8::7"));
  SocketAddress local;
  local.local.sun_family = AF_UNIX;
  local.size = sizeof(sa_family_t);
  EXPECT_EQ(IpAddress::From(local), std::nullopt);
  EXPECT_EQ(IpAddress::From(SocketAddress()), std::nullopt);
}

TEST(IpAddressTest, Loopback) {
  for (const std::string_view text : {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(Ip(text).is_loopback()) << text;
  }
  for (const std::string_view text :
       {"0.0.0.0", "128.0.0.1", "126.255.255.255", "::", "::2", "1::1", "::7f00:1", "fe80::1"}) {
    EXPECT_FALSE(Ip(text).is_loopback()) << text;
  }
}

TEST(IpAddressTest, ToString) {
  EXPECT_EQ(Ip("192.0.2.7").ToString(), "192.0.2.7");
  EXPECT_EQ(Ip("2001:DB8:0:0::7").ToString(), "2001:db8::7");
  EXPECT_EQ(Ip("::ffff:192.0.2.7").ToString(), "192.0.2.7");
}

}  // namespace
}  // namespace bsockd
