#include "lib/base/standard_fds.h"

#include <fcntl.h>
#include <unistd.h>

namespace bsockd {

void OpenStandardFds() {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR);  // The lowest number that is free.
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

}  // namespace bsockd
