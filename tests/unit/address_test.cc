#include "lib/net/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/unique_fd.h"

namespace bsockd {
namespace {

std::string ErrorOf(std::string_view text) {
  const absl::StatusOr<Address> address = Address::Parse(text);
  if (address.ok()) return "no error: " + address->ToString();
  EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(address.status().message());
}

struct Good {
  std::string text;
  Address::Kind kind;
  std::string host_or_path;
  uint16_t port;
};

void PrintTo(const Good& good, std::ostream* out) { *out << good.text; }

class GoodAddress : public testing::TestWithParam<Good> {};

TEST_P(GoodAddress, IsReadAndWritten) {
  const Good& good = GetParam();
  const absl::StatusOr<Address> address = Address::Parse(good.text);
  ASSERT_TRUE(address.ok()) << address.status();
  EXPECT_EQ(address->kind, good.kind);
  if (good.kind == Address::Kind::kTcp) {
    EXPECT_EQ(address->host, good.host_or_path);
    EXPECT_EQ(address->path, "");
  } else {
    EXPECT_EQ(address->path, good.host_or_path);
    EXPECT_EQ(address->host, "");
  }
  EXPECT_EQ(address->port, good.port);
  EXPECT_EQ(address->ToString(), good.text);
  EXPECT_EQ(*Address::Parse(address->ToString()), *address);
}

constexpr auto kTcp = Address::Kind::kTcp;
constexpr auto kUnixPath = Address::Kind::kUnixPath;
constexpr auto kSystemd = Address::Kind::kSystemd;
constexpr auto kUnixAbstract = Address::Kind::kUnixAbstract;

INSTANTIATE_TEST_SUITE_P(
    Texts, GoodAddress,
    testing::Values(
        Good{"127.0.0.1:51717", kTcp, "127.0.0.1", 51717}, Good{"0.0.0.0:0", kTcp, "0.0.0.0", 0},
        Good{"*:65535", kTcp, "*", 65535}, Good{"localhost:1", kTcp, "localhost", 1},
        Good{"a-b_c.example.org:80", kTcp, "a-b_c.example.org", 80}, Good{"1a:80", kTcp, "1a", 80},
        Good{"[::1]:51717", kTcp, "::1", 51717}, Good{"[::]:0", kTcp, "::", 0},
        Good{"[2001:db8::ff]:443", kTcp, "2001:db8::ff", 443},
        Good{"[fe80::1%eth0]:80", kTcp, "fe80::1%eth0", 80},
        Good{"[::ffff:127.0.0.1]:80", kTcp, "::ffff:127.0.0.1", 80},
        Good{"unix:/run/x.sock", kUnixPath, "/run/x.sock", 0}, Good{"unix:x", kUnixPath, "x", 0},
        Good{"unix:/a b:c", kUnixPath, "/a b:c", 0}, Good{"unix:@name", kUnixAbstract, "name", 0},
        Good{"unix:@@", kUnixAbstract, "@", 0},
        Good{"unix:/" + std::string(106, 'x'), kUnixPath, "/" + std::string(106, 'x'), 0},
        Good{"unix:@" + std::string(107, 'x'), kUnixAbstract, std::string(107, 'x'), 0},
        Good{"systemd:main", kSystemd, "main", 0}, Good{"systemd:51717", kSystemd, "51717", 0},
        Good{"systemd: ~/@[=", kSystemd, " ~/@[=", 0},
        Good{"systemd:" + std::string(255, 'x'), kSystemd, std::string(255, 'x'), 0}));

TEST(AddressParseTest, Datagrams) {
  const struct {
    std::string_view text;
    std::string_view stream;  // The same for streams.
  } kGood[] = {{"udp:127.0.0.1:51717", "127.0.0.1:51717"},
               {"udp:[::1]:0", "[::1]:0"},
               {"udp:*:53", "*:53"},
               {"udp:localhost:1", "localhost:1"},
               {"unixgram:/run/x.sock", "unix:/run/x.sock"},
               {"unixgram:@name", "unix:@name"}};
  for (const auto& good : kGood) {
    const absl::StatusOr<Address> address = Address::Parse(good.text);
    ASSERT_TRUE(address.ok()) << good.text << address.status();
    EXPECT_TRUE(address->datagrams);
    EXPECT_EQ(address->ToString(), good.text);
    Address stream = *Address::Parse(good.stream);
    EXPECT_FALSE(stream.datagrams);
    EXPECT_NE(*address, stream);
    stream.datagrams = true;
    EXPECT_EQ(*address, stream);
  }
}

TEST(AddressParseTest, WritesAPortWithoutItsZeros) {
  EXPECT_EQ(Address::Parse("a:0080")->ToString(), "a:80");
}

TEST(AddressParseTest, SaysWhatIsWrong) {
  const struct {
    std::string text;
    std::string error;
  } kBad[] = {
      {"", "the port is missing"},
      {"127.0.0.1", "the port is missing"},
      {"51717", "the port is missing"},
      {"127.0.0.1:", "the port is missing"},
      {"127.0.0.1:http", "not a number"},
      {"127.0.0.1:+80", "not a number"},
      {"127.0.0.1:-1", "not a number"},
      {"127.0.0.1: 80", "not a number"},
      {"127.0.0.1:65536", "out of range"},
      {"127.0.0.1:70000", "out of range"},
      {"127.0.0.1:99999999999999999999", "out of range"},
      {":80", "the host is missing"},
      {"[]:80", "the host is missing"},
      {"::1:80", "brackets"},
      {"::1", "brackets"},
      {"[::1", "not closed"},
      {"[::1]", "the port is missing after the bracket"},
      {"[::1]80", "the port is missing after the bracket"},
      {"[127.0.0.1]:80", "not an IPv6 address"},
      {"[*]:80", "not an IPv6 address"},
      {"[::1%]:80", "not an IPv6 address"},
      {"[::1%a b]:80", "not an IPv6 address"},
      {"[1:2:3]:80", "not an IPv6 address"},
      {std::string("[::1\0x]:80", 10), "not an IPv6 address"},
      {"256.0.0.1:80", "not an IPv4 address"},
      {"1.2.3:80", "not an IPv4 address"},
      {"1.2.3.4.5:80", "not an IPv4 address"},
      {"12:80", "not an IPv4 address"},
      {"...:80", "not an IPv4 address"},
      {"exa mple:80", "a character that no host name has"},
      {"*.org:80", "a character that no host name has"},
      {std::string("a\0b:80", 6), "a character that no host name has"},
      {"\xC3\xA9:80", "a character that no host name has"},
      {std::string(254, 'a') + ":80", "longer than 253"},
      {"/run/x.sock", "unix:/PATH"},
      {"tcp://127.0.0.1:80", "unix:/PATH"},
      {"unix:", "the path is missing"},
      {"unix:@", "the path is missing"},
      {"unixgram:", "the path is missing"},
      {"udp:127.0.0.1", "the port is missing"},
      {"udp:", "the port is missing"},
      {"udp:53", "the port is missing"},
      {"udp:::1:53", "brackets"},
      {"udp:unix:/x", "unix:/PATH"},
      {"udp:udp:a:1", "brackets"},
      {"UDP:a:1", "brackets"},
      {"unix:/" + std::string(107, 'x'), "108 bytes long"},
      {"unix:@" + std::string(108, 'x'), "108 bytes long"},
      {std::string("unix:/a\0b", 9), "NUL"},
      {"systemd:", "the name is missing (write systemd:NAME"},
      {"systemd:a:b", "a colon"},
      {"systemd:" + std::string(256, 'x'), "256 bytes long"},
      {"systemd:caf\xC3\xA9", "printable ASCII"},
      {"systemd:a\tb", "printable ASCII"},
      {std::string("systemd:a\0b", 11), "printable ASCII"},
      {"systemd:\x7F", "printable ASCII"},
      {"udp:systemd:53", "no hosts"},
      {"Systemd:53", "no hosts"},
      {"UDP:53", "no hosts"},
  };
  for (const auto& bad : kBad) {
    EXPECT_NE(ErrorOf(bad.text).find(bad.error), std::string::npos)
        << bad.text << " -> " << ErrorOf(bad.text);
  }
}

TEST(AddressFromHostAndPortTest, TakesBracketsOrNone) {
  EXPECT_EQ(Address::FromHostAndPort("localhost", "51717")->ToString(), "localhost:51717");
  EXPECT_EQ(Address::FromHostAndPort("::1", "80")->ToString(), "[::1]:80");
  EXPECT_EQ(Address::FromHostAndPort("[::1]", "80")->ToString(), "[::1]:80");
  EXPECT_EQ(Address::FromHostAndPort("*", "0")->ToString(), "*:0");
  for (const char* host :
       {"", "[]", "[localhost]", "[::1", "unix:/x", "a b", "udp", "unix", "systemd"}) {
    EXPECT_FALSE(Address::FromHostAndPort(host, "80").ok()) << host;
  }
  EXPECT_FALSE(Address::FromHostAndPort("localhost", "http").ok());
  EXPECT_FALSE(Address::FromHostAndPort("localhost", "").ok());
}

TEST(AddressCanonicalFormTest, IsTheSameForTheWaysToWriteAnAddress) {
  const struct {
    std::string text;
    std::string canonical;
  } kForms[] = {
      {"127.0.0.1:080", "127.0.0.1:80"},
      {"Example.ORG:1", "example.org:1"},
      {"[0:0::1]:1", "[::1]:1"},
      {"[FE80::A]:1", "[fe80::a]:1"},
      {"[FE80::1%eth0]:1", "[fe80::1%eth0]:1"},
      {"udp:[2001:DB8:0::1]:1", "udp:[2001:db8::1]:1"},
      {"unix:/Run/X", "unix:/Run/X"},
      {"unixgram:/Run/X", "unix:/Run/X"},
      {"unixgram:@X", "unixgram:@X"},
      {"systemd:Main", "systemd:Main"},
  };
  for (const auto& form : kForms) {
    EXPECT_EQ(Address::Parse(form.text)->CanonicalForm(), form.canonical) << form.text;
  }
}

std::vector<std::string> Resolved(std::string_view text, ResolveFor use) {
  const absl::StatusOr<std::vector<SocketAddress>> found = Resolve(*Address::Parse(text), use);
  EXPECT_TRUE(found.ok()) << found.status();
  std::vector<std::string> result;
  if (!found.ok()) return result;
  for (const SocketAddress& address : *found) result.push_back(address.ToString());
  return result;
}

using Texts = std::vector<std::string>;

TEST(ResolveTest, Localhost) {
  EXPECT_EQ(Resolved("localhost:80", ResolveFor::kListen), (Texts{"127.0.0.1:80", "[::1]:80"}));
  EXPECT_EQ(Resolved("localhost:80", ResolveFor::kConnect), (Texts{"[::1]:80", "127.0.0.1:80"}));
}

TEST(ResolveTest, Star) {
  EXPECT_EQ(Resolved("*:80", ResolveFor::kListen), Texts{"[::]:80"});
  EXPECT_EQ(Resolved("*:80", ResolveFor::kConnect), (Texts{"[::1]:80", "127.0.0.1:80"}));
}

TEST(ResolveTest, NumbersAreThemselves) {
  for (const ResolveFor use : {ResolveFor::kListen, ResolveFor::kConnect}) {
    EXPECT_EQ(Resolved("127.0.0.2:0", use), Texts{"127.0.0.2:0"});
    EXPECT_EQ(Resolved("[2001:DB8:0::1]:65535", use), Texts{"[2001:db8::1]:65535"});
    EXPECT_EQ(Resolved("[fe80::1%lo]:80", use), Texts{"[fe80::1%lo]:80"});
  }
}

TEST(ResolveTest, UnixPathCountsItsTerminator) {
  const std::string longest = "/" + std::string(106, 'x');
  for (const std::string& path : {std::string("/run/x"), longest}) {
    const auto found = Resolve(*Address::Parse("unix:" + path), ResolveFor::kListen);
    ASSERT_EQ(found->size(), 1u);
    const SocketAddress& address = found->front();
    EXPECT_EQ(address.family(), AF_UNIX);
    EXPECT_EQ(address.size, offsetof(sockaddr_un, sun_path) + path.size() + 1);
    EXPECT_STREQ(address.local.sun_path, path.c_str());
    EXPECT_EQ(address.ToString(), "unix:" + path);
    EXPECT_EQ(address.port(), 0);
  }
}

TEST(ResolveTest, AbstractNameBeginsWithNul) {
  const std::string longest(107, 'x');
  for (const std::string& name : {std::string("a"), longest}) {
    const auto found = Resolve(*Address::Parse("unix:@" + name), ResolveFor::kConnect);
    ASSERT_EQ(found->size(), 1u);
    const SocketAddress& address = found->front();
    EXPECT_EQ(address.size, offsetof(sockaddr_un, sun_path) + 1 + name.size());
    EXPECT_EQ(address.local.sun_path[0], '\0');
    EXPECT_EQ(address.ToString(), "unix:@" + name);
  }
}

TEST(ResolveTest, SocketsFromSystemdAreSomewhere) {
  for (const ResolveFor use : {ResolveFor::kListen, ResolveFor::kConnect}) {
    const auto found = Resolve(*Address::Parse("systemd:main"), use);
    EXPECT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(ResolveTest, NameThatCannotExist) {
  // RFC 6761, section 6.4. Without a name server the answer is Unavailable instead.
  const auto found = Resolve(*Address::Parse("bsockd.invalid:80"), ResolveFor::kConnect);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.status().message().substr(0, 31), "cannot resolve bsockd.invalid: ");
}

TEST(SocketAddressTest, Port) {
  SocketAddress v4 = Resolve(*Address::Parse("127.0.0.1:1"), ResolveFor::kConnect)->front();
  EXPECT_EQ(v4.port(), 1);
  v4.set_port(51717);
  EXPECT_EQ(v4.ToString(), "127.0.0.1:51717");
  EXPECT_EQ(v4.v4.sin_port, htons(51717));
  SocketAddress v6 = Resolve(*Address::Parse("[::1]:1"), ResolveFor::kConnect)->front();
  v6.set_port(51717);
  EXPECT_EQ(v6.ToString(), "[::1]:51717");
}

TEST(SocketAddressTest, Ipv4OverADualStackSocketIsShownAsIpv4) {
  SocketAddress address;
  address.v6.sin6_family = AF_INET6;
  address.v6.sin6_port = htons(80);
  ASSERT_EQ(inet_pton(AF_INET6, "::ffff:192.0.2.1", &address.v6.sin6_addr), 1);
  address.size = sizeof(address.v6);
  EXPECT_EQ(address.ToString(), "192.0.2.1:80");
}

TEST(LocalAddressTest, IsWhatTheSocketIsBoundTo) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_TRUE(fd);
  const SocketAddress any = Resolve(*Address::Parse("127.0.0.1:0"), ResolveFor::kListen)->front();
  ASSERT_EQ(bind(fd.get(), &any.any, any.size), 0) << std::strerror(errno);
  const absl::StatusOr<SocketAddress> bound = LocalAddress(fd.get());
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_NE(bound->port(), 0);
  EXPECT_EQ(bound->ToString(), "127.0.0.1:" + std::to_string(bound->port()));
}

TEST(LocalAddressTest, OfAnUnnamedUnixSocket) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(LocalAddress(fd.get())->ToString(), "unix:");
  EXPECT_FALSE(LocalAddress(-1).ok());
}

TEST(LocalAddressTest, OfTheLongestAbstractName) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  std::string name = "bsockd-address-test." + std::to_string(getpid()) + ".";
  name.resize(107, 'x');
  const SocketAddress address =
      Resolve(*Address::Parse("unix:@" + name), ResolveFor::kListen)->front();
  ASSERT_EQ(bind(fd.get(), &address.any, address.size), 0) << std::strerror(errno);
  EXPECT_EQ(LocalAddress(fd.get())->ToString(), "unix:@" + name);
}

}  // namespace
}  // namespace bsockd
