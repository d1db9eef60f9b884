// The program of docs/client.md: asks a server for the replies to its arguments.
#include <cstdio>
#include <string>

#include "lib/client/client.h"
#include "lib/net/address.h"

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: example ADDRESS [REQUEST...]\n");
    return 64;
  }
  const absl::StatusOr<bsockd::Address> address = bsockd::Address::Parse(argv[1]);
  if (!address.ok()) {
    std::fprintf(stderr, "%s\n", address.status().ToString().c_str());
    return 64;
  }
  bsockd::ClientOptions options;  // Lines, ten seconds.
  absl::StatusOr<bsockd::Client> client = bsockd::Client::Connect(*address, options);
  if (!client.ok()) {
    std::fprintf(stderr, "%s\n", client.status().ToString().c_str());
    return 69;
  }
  for (int i = 2; i < argc; ++i) {
    const absl::StatusOr<std::string> reply = client->Call(argv[i]);
    if (!reply.ok()) {
      std::fprintf(stderr, "%s\n", reply.status().ToString().c_str());
      return 1;
    }
    std::printf("%s\n", reply->c_str());
  }
  return 0;
}
