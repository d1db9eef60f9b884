// accept_faults: loaded with LD_PRELOAD, makes accept4(2) fail as the test says (accept_faults.h).
//
// ECONNABORTED is as the kernel has it: the connection is gone from the backlog. With the other
// errors, which say that something has run out, it stays there.
#define _GNU_SOURCE
#include "tests/integration/accept_faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

typedef int Accept4(int, struct sockaddr*, socklen_t*, int);

static struct AcceptFaults* faults;
static Accept4* real_accept4;

__attribute__((constructor)) static void Load(void) {
  real_accept4 = (Accept4*)dlsym(RTLD_NEXT, "accept4");
  const char* path = getenv(ACCEPT_FAULTS_VARIABLE);
  if (path == NULL) abort();
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  void* mapped = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) abort();
  close(fd);
  faults = mapped;
}

// Of `count` calls or connections, whether the last is one to fail.
static int Fails(unsigned count) {
  const int every = __atomic_load_n(&faults->every, __ATOMIC_SEQ_CST);
  return every <= 1 || count % (unsigned)every == 0;
}

int accept4(int fd, struct sockaddr* address, socklen_t* size, int flags) {
  const unsigned call = __atomic_add_fetch(&faults->calls, 1, __ATOMIC_SEQ_CST);
  const int error = __atomic_load_n(&faults->error, __ATOMIC_SEQ_CST);
  if (error == ECONNABORTED) {
    static unsigned connections;
    const int connection = real_accept4(fd, address, size, flags);
    if (connection < 0) return connection;
    if (!Fails(__atomic_add_fetch(&connections, 1, __ATOMIC_SEQ_CST))) return connection;
    close(connection);
  } else if (error == 0 || !Fails(call)) {
    return real_accept4(fd, address, size, flags);
  }
  __atomic_add_fetch(&faults->failures, 1, __ATOMIC_SEQ_CST);
  errno = error;
  return -1;
}
