#define _GNU_SOURCE
#include "CLinux.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

int storeplane_accept(int descriptor, struct sockaddr *address, socklen_t *length) {
  return accept4(descriptor, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

void storeplane_name_thread(const char *name) {
  pthread_setname_np(pthread_self(), name);
}

void storeplane_end_with_parent(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int storeplane_pipe(int ends[2]) {
  return pipe2(ends, O_CLOEXEC);
}
