#include "lib/net/ip.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "lib/base/text.h"

namespace bsockd {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
constexpr int kMappedPrefixBits = 96;

IpAddress FromV4(const void* bytes) {
  IpAddress address;
  std::memcpy(address.bytes.data(), bytes, 4);
  return address;
}

// An IPv4-mapped address as IPv4.
IpAddress FromV6(const void* bytes) {
  IpAddress address;
  address.v6 = true;
  std::memcpy(address.bytes.data(), bytes, 16);
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), address.bytes.begin())) {
    return FromV4(address.bytes.data() + kMappedPrefix.size());
  }
  return address;
}

// Clears the bits behind the first `bits`.
IpAddress Masked(IpAddress address, int bits) {
  for (int i = 0; i < static_cast<int>(address.bytes.size()); ++i) {
    const int kept = std::clamp(bits - i * 8, 0, 8);
    address.bytes[i] &= static_cast<uint8_t>(0xFF00 >> kept);
  }
  return address;
}

absl::Status Bad(std::string_view what) { return absl::InvalidArgumentError(ToAbsl(what)); }

}  // namespace

std::optional<IpAddress> IpAddress::From(const SocketAddress& address) {
  if (address.family() == AF_INET) return FromV4(&address.v4.sin_addr);
  if (address.family() == AF_INET6) return FromV6(&address.v6.sin6_addr);
  return std::nullopt;
}

bool IpAddress::is_loopback() const {
  if (!v6) return bytes[0] == 127;
  return std::all_of(bytes.begin(), bytes.end() - 1, [](uint8_t b) { return b == 0; }) &&
         bytes.back() == 1;
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), text, sizeof(text));
}

absl::StatusOr<CidrBlock> CidrBlock::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  CidrBlock block;
  in_addr v4;
  in6_addr v6;
  int bits_taken = 0;  // Of a prefix that was written, by the mapping.
  if (host.find('\0') == host.npos && inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    block.network = FromV4(&v4);
  } else if (host.find('\0') == host.npos && inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    block.network = FromV6(&v6);
    if (!block.network.v6) bits_taken = kMappedPrefixBits;
  } else {
    return Bad("it is an address or a block of them, such as 10.0.0.0/8 or 2001:db8::/32");
  }
  const int bits_max = block.network.v6 ? 128 : 32;
  block.prefix_bits = bits_max;
  if (slash == text.npos) return block;

  const std::string_view digits = text.substr(slash + 1);
  unsigned number = 0;  // Unsigned, so that no sign is taken.
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  const int bits = whole && number <= 128 ? static_cast<int>(number) : -1;
  if (bits < bits_taken || bits > bits_max + bits_taken) {
    return Bad(fmt::format("the prefix is a whole number from {} to {}", bits_taken,
                           bits_max + bits_taken));
  }
  block.prefix_bits = bits - bits_taken;
  const IpAddress masked = Masked(block.network, block.prefix_bits);
  if (masked != block.network) {
    return Bad(fmt::format("the address has bits behind the prefix; write {}/{} for the block",
                           masked.ToString(), block.prefix_bits));
  }
  return block;
}

std::string CidrBlock::ToString() const {
  if (prefix_bits == (network.v6 ? 128 : 32)) return network.ToString();
  return fmt::format("{}/{}", network.ToString(), prefix_bits);
}

bool CidrBlock::Contains(const IpAddress& address) const {
  return address.v6 == network.v6 && Masked(address, prefix_bits) == network;
}

}  // namespace bsockd
