// IP addresses and blocks of them, for lists of who may connect. Pure.
#pragma once

#include <absl/status/statusor.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lib/net/address.h"

namespace bsockd {

// An address without a port. An IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) is IPv4: that
// is how a dual-stack socket shows IPv4 clients.
struct IpAddress {
  bool v6 = false;
  std::array<uint8_t, 16> bytes{};  // In network order; the first 4 for IPv4, the rest zero.

  // Nothing for a Unix socket's address.
  static std::optional<IpAddress> From(const SocketAddress& address);

  bool is_loopback() const;  // 127.0.0.0/8 and ::1
  std::string ToString() const;

  bool operator==(const IpAddress&) const = default;
};

// `10.0.0.0/8`, `2001:db8::/32`, or a single address (RFC 4632, RFC 4291 section 2.3).
struct CidrBlock {
  IpAddress network;     // Its bits behind the prefix are zero.
  int prefix_bits = 32;  // 0 to 32, or to 128 for IPv6.

  // Errors: InvalidArgument, saying what is wrong and what would be right. Bits behind the prefix
  // are an error (`10.1.0.0/8`: write 10.0.0.0/8), because one of the two is a mistake.
  static absl::StatusOr<CidrBlock> Parse(std::string_view text);
  // Parse(ToString()) gives the same block; a single address is written without its prefix.
  std::string ToString() const;

  bool Contains(const IpAddress& address) const;

  bool operator==(const CidrBlock&) const = default;
};

}  // namespace bsockd
