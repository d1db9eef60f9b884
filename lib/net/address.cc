#include "lib/net/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netdb.h>
#include <strings.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>

#include "lib/base/text.h"

namespace bsockd {
namespace {

constexpr size_t kHostBytesMax = 253;  // RFC 1035, section 2.3.4, in its textual form.
constexpr size_t kUnixPathBytesMax = sizeof(sockaddr_un::sun_path) - 1;
constexpr size_t kSystemdNameBytesMax = 255;  // systemd.socket(5), FileDescriptorName=
constexpr std::string_view kSystemd = "systemd:";

absl::Status Invalid(std::string_view what) { return absl::InvalidArgumentError(ToAbsl(what)); }

absl::StatusOr<uint16_t> ParsePort(std::string_view text) {
  uint32_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool digits =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (text.empty() || !digits) {
    return Invalid("the port is missing or not a number (write HOST:PORT, as in 127.0.0.1:51717)");
  }
  if (error != std::errc() || end != text.data() + text.size() || port > 65535) {
    return Invalid("the port is out of range (a port is 0 to 65535)");
  }
  return static_cast<uint16_t>(port);
}

bool IsNameCharacter(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '_' || c == '.';
}

bool IsIpv6(const std::string& host) {
  const size_t percent = host.find('%');  // RFC 4007, section 11: fe80::1%eth0
  if (percent != host.npos) {
    const std::string_view scope = std::string_view(host).substr(percent + 1);
    if (scope.empty() || !std::all_of(scope.begin(), scope.end(), IsNameCharacter)) return false;
  }
  const std::string number = host.substr(0, percent);
  if (number.find('\0') != number.npos) return false;  // inet_pton() would not see what follows.
  in6_addr address;
  return inet_pton(AF_INET6, number.c_str(), &address) == 1;
}

absl::Status CheckHost(const std::string& host, bool bracketed) {
  if (host.empty()) return Invalid("the host is missing (write *:PORT for every address)");
  if (bracketed) {
    if (!IsIpv6(host)) return Invalid("this is not an IPv6 address (write [::1]:51717)");
    return absl::OkStatus();
  }
  if (host == "*") return absl::OkStatus();
  // Before a colon they say what kind of address follows; as hosts, even in capitals, they would
  // have the canonical form of another address.
  const auto is = [&](const char* word) { return strcasecmp(host.c_str(), word) == 0; };
  if (is("udp") || is("unix") || is("unixgram") || is("systemd")) {
    return Invalid("udp, unix, unixgram and systemd are no hosts (udp:HOST:PORT, unix:/PATH)");
  }
  if (host.size() > kHostBytesMax) return Invalid("the host name is longer than 253 characters");
  bool numeric = true;
  for (const char c : host) {
    const bool digit_or_dot = (c >= '0' && c <= '9') || c == '.';
    numeric = numeric && digit_or_dot;
    if (!IsNameCharacter(c)) {
      return Invalid("the host name has a character that no host name has");
    }
  }
  in_addr v4;
  if (numeric && inet_pton(AF_INET, host.c_str(), &v4) != 1) {
    return Invalid("the host is not an IPv4 address (four numbers from 0 to 255)");
  }
  return absl::OkStatus();
}

absl::StatusOr<Address> ParseUnix(std::string_view rest) {
  Address address;
  address.kind = Address::Kind::kUnixPath;
  if (!rest.empty() && rest.front() == '@') {
    address.kind = Address::Kind::kUnixAbstract;
    rest.remove_prefix(1);
  }
  if (rest.empty()) return Invalid("the path is missing (write unix:/run/bsockd/main.sock)");
  if (rest.size() > kUnixPathBytesMax) {
    return Invalid(fmt::format("the path is {} bytes long (a Unix socket's has at most {})",
                               rest.size(), kUnixPathBytesMax));
  }
  if (rest.find('\0') != rest.npos) return Invalid("the path has a NUL byte in it");
  address.path = rest;
  return address;
}

absl::StatusOr<Address> ParseSystemd(std::string_view name) {
  if (name.empty()) {
    return Invalid("the name is missing (write systemd:NAME, the socket's FileDescriptorName)");
  }
  if (name.size() > kSystemdNameBytesMax) {
    return Invalid(fmt::format("the name is {} bytes long (a FileDescriptorName has at most {})",
                               name.size(), kSystemdNameBytesMax));
  }
  if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; })) {
    return Invalid(
        "the name has a character that no FileDescriptorName has (printable ASCII only)");
  }
  if (name.find(':') != name.npos) {
    return Invalid("the name has a colon in it, which no FileDescriptorName has");
  }
  Address address;
  address.kind = Address::Kind::kSystemd;
  address.path = name;
  return address;
}

absl::StatusOr<Address> MakeTcp(std::string host, bool bracketed, std::string_view port_text) {
  Address address;
  if (absl::Status status = CheckHost(host, bracketed); !status.ok()) return status;
  absl::StatusOr<uint16_t> port = ParsePort(port_text);
  if (!port.ok()) return port.status();
  address.host = std::move(host);
  address.port = *port;
  return address;
}

absl::StatusOr<Address> ParseHostAndPort(std::string_view text) {
  if (text.find('/') != text.npos) {
    return Invalid("this is no address (a socket file is written unix:/PATH)");
  }
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == text.npos) return Invalid("the bracket is not closed (write [::1]:51717)");
    if (close + 1 >= text.size() || text[close + 1] != ':') {
      return Invalid("the port is missing after the bracket (write [::1]:51717)");
    }
    return MakeTcp(std::string(text.substr(1, close - 1)), true, text.substr(close + 2));
  }
  const size_t colon = text.rfind(':');
  if (colon == text.npos) {
    return Invalid("the port is missing (write HOST:PORT, as in 127.0.0.1:51717)");
  }
  if (text.find(':') != colon) {
    return Invalid("an IPv6 address goes in brackets (write [::1]:51717)");
  }
  return MakeTcp(std::string(text.substr(0, colon)), false, text.substr(colon + 1));
}

SocketAddress FromSockaddr(const sockaddr* address, socklen_t size) {
  SocketAddress result;
  result.size = std::min<socklen_t>(size, sizeof(result.storage));
  std::memcpy(&result.storage, address, result.size);
  return result;
}

SocketAddress Ipv4(in_addr_t host_order, uint16_t port) {
  SocketAddress result;
  result.v4.sin_family = AF_INET;
  result.v4.sin_addr.s_addr = htonl(host_order);
  result.v4.sin_port = htons(port);
  result.size = sizeof(result.v4);
  return result;
}

SocketAddress Ipv6(const in6_addr& host, uint16_t port) {
  SocketAddress result;
  result.v6.sin6_family = AF_INET6;
  result.v6.sin6_addr = host;
  result.v6.sin6_port = htons(port);
  result.size = sizeof(result.v6);
  return result;
}

SocketAddress Unix(const Address& address) {
  SocketAddress result;
  const size_t abstract = address.kind == Address::Kind::kUnixAbstract ? 1 : 0;
  // An abstract name needs no terminating NUL, so its leading one costs it no room.
  const size_t length = std::min(address.path.size(), kUnixPathBytesMax);
  result.local.sun_family = AF_UNIX;
  std::memcpy(result.local.sun_path + abstract, address.path.data(), length);
  // A pathname counts its terminating NUL, an abstract name its leading one (unix(7)).
  result.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length + 1);
  return result;
}

absl::StatusOr<SocketAddress> EndOf(int fd, int (*get)(int, sockaddr*, socklen_t*),
                                    const char* name) {
  SocketAddress result;
  result.size = sizeof(result.storage);
  if (get(fd, &result.any, &result.size) != 0) return absl::ErrnoToStatus(errno, name);
  return result;
}

}  // namespace

absl::StatusOr<Address> Address::Parse(std::string_view text) {
  constexpr std::string_view kUdp = "udp:";
  constexpr std::string_view kUnixgram = "unixgram:";
  const std::string_view scheme = text.starts_with(kUdp)        ? kUdp
                                  : text.starts_with(kUnixgram) ? kUnixgram
                                                                : std::string_view();
  if (!scheme.empty()) {
    const std::string_view rest = text.substr(scheme.size());
    absl::StatusOr<Address> address = scheme == kUdp ? ParseHostAndPort(rest) : ParseUnix(rest);
    if (address.ok()) address->datagrams = true;
    return address;
  }
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) return ParseUnix(text.substr(kUnix.size()));
  if (text.starts_with(kSystemd)) return ParseSystemd(text.substr(kSystemd.size()));
  return ParseHostAndPort(text);
}

absl::StatusOr<Address> Address::FromHostAndPort(std::string_view host, std::string_view port) {
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const bool v6 = bracketed || host.find(':') != host.npos;
  return MakeTcp(std::string(host), v6, port);
}

std::string Address::ToString() const {
  switch (kind) {
    case Kind::kUnixPath:
      return fmt::format("unix{}:{}", datagrams ? "gram" : "", path);
    case Kind::kUnixAbstract:
      return fmt::format("unix{}:@{}", datagrams ? "gram" : "", path);
    case Kind::kSystemd:
      return fmt::format("{}{}", kSystemd, path);
    case Kind::kTcp:
      break;
  }
  const bool v6 = host.find(':') != host.npos;
  return fmt::format("{}{}{}{}:{}", datagrams ? "udp:" : "", v6 ? "[" : "", host, v6 ? "]" : "",
                     port);
}

std::string Address::CanonicalForm() const {
  Address canonical = *this;
  for (char& c : canonical.host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  in6_addr v6;
  char text[INET6_ADDRSTRLEN];
  if (inet_pton(AF_INET6, canonical.host.c_str(), &v6) == 1 &&
      inet_ntop(AF_INET6, &v6, text, sizeof(text)) != nullptr) {
    canonical.host = text;
  }
  if (canonical.kind == Kind::kUnixPath) canonical.datagrams = false;
  return canonical.ToString();
}

uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(v4.sin_port);
  if (family() == AF_INET6) return ntohs(v6.sin6_port);
  return 0;
}

void SocketAddress::set_port(uint16_t port) {
  if (family() == AF_INET) v4.sin_port = htons(port);
  if (family() == AF_INET6) v6.sin6_port = htons(port);
}

std::string SocketAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = "";
  switch (family()) {
    case AF_INET:
      inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
      return fmt::format("{}:{}", text, port());
    case AF_INET6: {
      // A client of a dual-stack socket that came over IPv4 is shown as what it is.
      if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
        inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof(text));
        return fmt::format("{}:{}", text, port());
      }
      inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
      if (v6.sin6_scope_id != 0) {
        char name[IF_NAMESIZE];
        if (if_indextoname(v6.sin6_scope_id, name) != nullptr) {
          return fmt::format("[{}%{}]:{}", text, name, port());
        }
        return fmt::format("[{}%{}]:{}", text, v6.sin6_scope_id, port());
      }
      return fmt::format("[{}]:{}", text, port());
    }
    case AF_UNIX: {
      const size_t path_offset = offsetof(sockaddr_un, sun_path);
      if (size <= path_offset) return "unix:";
      const size_t length = size - path_offset;
      if (local.sun_path[0] == '\0') {
        return fmt::format("unix:@{}", std::string_view(local.sun_path + 1, length - 1));
      }
      return fmt::format("unix:{}",
                         std::string_view(local.sun_path, strnlen(local.sun_path, length)));
    }
    default:
      return "unknown";
  }
}

absl::StatusOr<std::vector<SocketAddress>> Resolve(const Address& address, ResolveFor use) {
  if (address.kind == Address::Kind::kSystemd) {
    return Invalid("it names sockets that a server is started with, wherever they are");
  }
  if (address.kind != Address::Kind::kTcp) return std::vector{Unix(address)};
  if (address.host == "*" && use == ResolveFor::kListen) {
    return std::vector{Ipv6(in6addr_any, address.port)};
  }
  if (address.host == "*" || address.host == "localhost") {
    SocketAddress v4 = Ipv4(INADDR_LOOPBACK, address.port);
    SocketAddress v6 = Ipv6(in6addr_loopback, address.port);
    // Listening begins with the address that every machine has.
    if (use == ResolveFor::kListen) return std::vector{v4, v6};
    return std::vector{v6, v4};
  }

  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = address.datagrams ? SOCK_DGRAM : SOCK_STREAM;
  // Not AI_ADDRCONFIG: it would hide ::1 on a machine whose only IPv6 address is loopback.
  hints.ai_flags = AI_NUMERICSERV | (use == ResolveFor::kListen ? AI_PASSIVE : 0);
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0) {
    const std::string reason =
        error == EAI_SYSTEM ? std::strerror(errno) : std::string(gai_strerror(error));
    const std::string message = fmt::format("cannot resolve {}: {}", address.host, reason);
    return error == EAI_NONAME ? absl::NotFoundError(message) : absl::UnavailableError(message);
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  std::vector<SocketAddress> result;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    const SocketAddress next = FromSockaddr(entry->ai_addr, entry->ai_addrlen);
    // /etc/hosts may name an address twice; it can be bound only once.
    const bool known = std::any_of(result.begin(), result.end(), [&](const SocketAddress& other) {
      return other.size == next.size && std::memcmp(&other.storage, &next.storage, next.size) == 0;
    });
    if (!known) result.push_back(next);
  }
  return result;
}

absl::StatusOr<SocketAddress> LocalAddress(int fd) { return EndOf(fd, getsockname, "getsockname"); }

absl::StatusOr<SocketAddress> PeerAddress(int fd) { return EndOf(fd, getpeername, "getpeername"); }

}  // namespace bsockd
