// System calls of Linux that Swift's Glibc module leaves out. No feature macros here: with other ones
// than Swift's own module has, the two disagree about the shape of libc's types.
#pragma once
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

// accept4(2) with SOCK_NONBLOCK | SOCK_CLOEXEC.
int storeplane_accept(int descriptor, struct sockaddr *address, socklen_t *length);

// Names the calling thread, at most 15 characters.
void storeplane_name_thread(const char *name);

// Has the kernel kill this process when the thread that started it ends.
void storeplane_end_with_parent(void);

// pipe2(2) with O_CLOEXEC: no other thread's child inherits the ends.
int storeplane_pipe(int ends[2]);

// pidfd_open(2): a descriptor that is readable once the process has ended.
int storeplane_open_process(int process);

// The started process gets no descriptor from `first` on.
int storeplane_close_from(posix_spawn_file_actions_t *actions, int first);

// prlimit(2): the most descriptors of a process, and no core dumps, which would hold its memory.
int storeplane_limit_process(int process, unsigned long descriptors);
