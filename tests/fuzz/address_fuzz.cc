// Addresses and blocks of them: parsing never crashes, what it accepts is printed so that it parses
// to the same, and a block contains what its prefix says.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "lib/net/address.h"
#include "lib/net/ip.h"

namespace bsockd {
namespace {

[[noreturn]] void Fail(const char* what, const std::string& text) {
  std::fprintf(stderr, "%s: %s\n", what, text.c_str());
  std::abort();
}

void CheckResolved(const Address& address) {
  // A Unix address needs no resolver.
  const auto resolved = Resolve(address, ResolveFor::kConnect);
  const std::string text = address.ToString();
  if (!resolved.ok() || resolved->size() != 1) Fail("not one socket address", text);
  const SocketAddress& socket = resolved->front();
  if (socket.size > sizeof(sockaddr_un)) Fail("larger than a sockaddr_un", text);
  if (IpAddress::From(socket)) Fail("an IP address for a Unix socket", text);
  // A socket's address says nothing of the socket's type.
  Address stream = address;
  stream.datagrams = false;
  if (socket.ToString() != stream.ToString()) Fail("the socket has another name", text);
}

void CheckSystemd(const Address& address) {
  if (address.path.size() > 255 || address.datagrams) Fail("no name", address.path);
  for (const char c : address.path) {
    if (c < 0x20 || c > 0x7E || c == ':') Fail("no name", address.path);
  }
  if (Resolve(address, ResolveFor::kConnect).ok()) Fail("a name was resolved", address.path);
}

void CheckAddress(std::string_view text) {
  const auto address = Address::Parse(text);
  if (!address.ok()) {
    if (address.status().message().empty()) std::abort();
    return;
  }
  const std::string printed = address->ToString();
  if (!address->path.empty() == !address->host.empty()) Fail("neither host nor path", printed);
  if (address->path.find('\0') != std::string::npos ||
      address->host.find('\0') != std::string::npos) {
    Fail("a NUL in a name", printed);
  }
  const bool datagrams = text.starts_with("udp:") || text.starts_with("unixgram:");
  if (address->datagrams != datagrams) Fail("another type of socket than was asked for", printed);
  const auto again = Address::Parse(printed);
  if (!again.ok() || *again != *address) Fail("printed, it is another address", printed);
  const std::string canonical = address->CanonicalForm();
  const auto same = Address::Parse(canonical);
  if (!same.ok() || same->CanonicalForm() != canonical) Fail("no canonical form", printed);
  if (address->kind == Address::Kind::kSystemd) return CheckSystemd(*address);
  if (address->kind != Address::Kind::kTcp) return CheckResolved(*address);
  auto parts = Address::FromHostAndPort(address->host, std::to_string(address->port));
  if (parts.ok()) parts->datagrams = address->datagrams;
  if (!parts.ok() || *parts != *address) Fail("in parts, it is another address", printed);
}

IpAddress WithBitFlipped(IpAddress address, int bit) {
  address.bytes[bit / 8] ^= static_cast<uint8_t>(0x80 >> bit % 8);
  return address;
}

void CheckBlock(std::string_view text) {
  const auto block = CidrBlock::Parse(text);
  if (!block.ok()) {
    if (block.status().message().empty()) std::abort();
    return;
  }
  const std::string printed = block->ToString();
  const int bits = block->network.v6 ? 128 : 32;
  if (block->prefix_bits < 0 || block->prefix_bits > bits) Fail("no prefix", printed);
  const auto again = CidrBlock::Parse(printed);
  if (!again.ok() || *again != *block) Fail("printed, it is another block", printed);
  if (!block->Contains(block->network)) Fail("it does not contain its network", printed);
  for (int bit = 0; bit < bits; ++bit) {
    const bool inside = bit >= block->prefix_bits;
    const IpAddress other = WithBitFlipped(block->network, bit);
    if (block->Contains(other) != inside) Fail("it contains the wrong addresses", printed);
    if (inside && other.bytes < block->network.bytes) Fail("bits behind the prefix", printed);
  }
  IpAddress other_family = block->network;
  other_family.v6 = !other_family.v6;
  if (block->Contains(other_family)) Fail("it contains the other family", printed);
}

}  // namespace
}  // namespace bsockd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  bsockd::CheckAddress(text);
  bsockd::CheckBlock(text);
  return 0;
}
