// Addresses as people write them, and as sockets need them.
//
//   127.0.0.1:51717   example.org:51717   [::1]:51717   *:51717   unix:/run/x.sock   unix:@abstract
//   udp:127.0.0.1:51717   unixgram:/run/x.sock   unixgram:@abstract   systemd:NAME
//
// Parsing and printing are pure; Resolve() may ask the resolver and so may block.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bsockd {

// What was written. A value; compare and copy freely.
struct Address {
  enum class Kind : uint8_t {
    kTcp,           // `host` and `port`; UDP, where `datagrams` is set
    kUnixPath,      // `path`: a file of the socket kind, unix(7) "pathname"
    kUnixAbstract,  // `path`: a name without a file, unix(7) "abstract", without its leading NUL
    kSystemd,  // `path`: the name of sockets that the process is started with, sd_listen_fds(3)
  };

  Kind kind = Kind::kTcp;
  std::string host;   // A name, an IPv4 or an IPv6 address without brackets, or "*" for all.
  uint16_t port = 0;  // 0 = any free port, for listening.
  std::string path;
  bool datagrams = false;  // udp: and unixgram: instead of TCP and unix:. kSystemd does not say.

  // Errors: InvalidArgument, saying what is wrong and what would be right; never the text itself,
  // which the caller knows the place of.
  static absl::StatusOr<Address> Parse(std::string_view text);
  static absl::StatusOr<Address> FromHostAndPort(std::string_view host, std::string_view port);

  // Parse(ToString()) gives the same address.
  std::string ToString() const;
  // The same text for the ways to write one address: FE80::1 and fe80:0::1. A socket file is one
  // address, whatever its type; abstract names have types (unix(7)).
  std::string CanonicalForm() const;

  bool operator==(const Address&) const = default;
};

// A socket address of any of the families above, ready for bind(2) or connect(2).
struct SocketAddress {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un local;
    sockaddr_storage storage;
  };
  socklen_t size = 0;

  SocketAddress() : storage{} {}

  int family() const { return any.sa_family; }
  // The TCP or UDP port, in host order; 0 for a Unix socket.
  uint16_t port() const;
  void set_port(uint16_t port);
  // In the same form that Address::Parse reads, always numeric. An unnamed Unix socket, as clients'
  // ends are, is "unix:". Whether it is for streams or datagrams, it does not know.
  std::string ToString() const;
};

enum class ResolveFor { kListen, kConnect };

// Every socket address that `address` stands for, in the order in which to try them. A host name
// gives all that getaddrinfo(3) finds; `localhost` is ::1 and 127.0.0.1 without asking anyone
// (RFC 6761, section 6.3); `*` is [::] for listening (the listener makes it dual-stack) and, for
// connecting, the loopback addresses.
//
// Errors: NotFound or Unavailable, with the resolver's own words; InvalidArgument for kSystemd, of
// which only the sockets themselves know where they are.
absl::StatusOr<std::vector<SocketAddress>> Resolve(const Address& address, ResolveFor use);

// The local or the remote end of a socket. Errors: that of getsockname(2) or getpeername(2).
absl::StatusOr<SocketAddress> LocalAddress(int fd);
absl::StatusOr<SocketAddress> PeerAddress(int fd);

}  // namespace bsockd
