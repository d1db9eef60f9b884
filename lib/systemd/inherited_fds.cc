#include "lib/systemd/inherited_fds.h"

#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <string_view>

namespace bsockd {

std::vector<InheritedFd> TakeInheritedFds() {
  // Not sd_listen_fds_with_names(), which gives nothing where there are more or fewer names than
  // descriptors, and leaves these open.
  const char* variable = std::getenv("LISTEN_FDNAMES");
  const std::string names = variable != nullptr ? variable : "";
  const int count = sd_listen_fds(/*unset_environment=*/1);

  std::vector<InheritedFd> fds;
  std::string_view rest = names;
  for (int i = 0; i < count; ++i) {
    const size_t end = rest.find(':');
    const std::string_view name = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    fds.push_back({.name = std::string(name.empty() ? "unknown" : name),
                   .fd = UniqueFd(SD_LISTEN_FDS_START + i)});
  }
  return fds;
}

}  // namespace bsockd
