// Addresses: parsing never crashes, and what it accepts is printed so that it parses to the same.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "lib/net/address.h"

namespace bsockd {
namespace {

[[noreturn]] void Fail(const char* what, const Address& address) {
  std::fprintf(stderr, "%s: %s\n", what, address.ToString().c_str());
  std::abort();
}

void CheckResolved(const Address& address) {
  // A Unix address needs no resolver.
  const auto resolved = Resolve(address, ResolveFor::kConnect);
  if (!resolved.ok() || resolved->size() != 1) Fail("not one socket address", address);
  const SocketAddress& socket = resolved->front();
  if (socket.size > sizeof(sockaddr_un)) Fail("larger than a sockaddr_un", address);
  if (socket.ToString() != address.ToString()) Fail("the socket has another name", address);
}

void Run(std::string_view text) {
  const auto address = Address::Parse(text);
  if (!address.ok()) {
    if (address.status().message().empty()) std::abort();
    return;
  }
  if (!address->path.empty() == !address->host.empty()) Fail("neither host nor path", *address);
  if (address->path.find('\0') != std::string::npos ||
      address->host.find('\0') != std::string::npos) {
    Fail("a NUL in a name", *address);
  }
  const auto again = Address::Parse(address->ToString());
  if (!again.ok() || *again != *address) Fail("printed, it is another address", *address);
  if (address->kind == Address::Kind::kTcp) {
    const auto parts = Address::FromHostAndPort(address->host, std::to_string(address->port));
    if (!parts.ok() || *parts != *address) Fail("in parts, it is another address", *address);
  } else {
    CheckResolved(*address);
  }
}

}  // namespace
}  // namespace bsockd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bsockd::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
