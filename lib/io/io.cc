#include "lib/io/io.h"

#include <sys/ioctl.h>

namespace bsockd {

size_t Io::UnreadBytes(int fd) const {
  int bytes = 0;
  return ioctl(fd, FIONREAD, &bytes) == 0 ? static_cast<size_t>(bytes) : 0;
}

}  // namespace bsockd
