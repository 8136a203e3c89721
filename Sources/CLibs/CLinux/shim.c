#define _GNU_SOURCE
#include "CLinux.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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

int storeplane_open_process(int process) {
  return pidfd_open(process, 0);
}

int storeplane_limit_process(int process, unsigned long descriptors) {
  struct rlimit files = {descriptors, descriptors};
  struct rlimit core = {0, 0};
  if (prlimit(process, RLIMIT_NOFILE, &files, NULL) != 0) return -1;
  return prlimit(process, RLIMIT_CORE, &core, NULL);
}

int storeplane_close_from(posix_spawn_file_actions_t *actions, int first) {
  return posix_spawn_file_actions_addclosefrom_np(actions, first);
}
