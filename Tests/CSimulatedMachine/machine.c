#define _GNU_SOURCE
#include "CSimulatedMachine.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

static __thread int is_simulated;
static __thread int64_t boot_clock, calendar;
static __thread uint64_t state;

void simulated_machine_enter(void) { is_simulated = 1; }

void simulated_machine_set_clocks(int64_t boot, int64_t now) {
  boot_clock = boot;
  calendar = now;
}

void simulated_machine_seed(uint64_t seed) { state = seed; }

void simulated_machine_keep_to_processor(int number) {
  static cpu_set_t all;
  if (CPU_COUNT(&all) == 0) sched_getaffinity(0, sizeof all, &all);
  if (number < 0) {
    sched_setaffinity(0, sizeof all, &all);
    return;
  }
  int left = number % CPU_COUNT(&all);
  for (int processor = 0; processor < CPU_SETSIZE; processor++) {
    if (!CPU_ISSET(processor, &all) || left-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

// The functions below that are not static stand in front of those of the same name in the shared
// libraries.

int clock_gettime(clockid_t clock, struct timespec *time) {
  if (!is_simulated || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    return real(clock, time);
  }
  int64_t now = clock == CLOCK_REALTIME ? calendar : boot_clock;
  time->tv_sec = now / 1000000000;
  time->tv_nsec = now % 1000000000;
  return 0;
}

// SplitMix64.
static uint64_t next_random(void) {
  uint64_t word = state += 0x9e3779b97f4a7c15;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
  return word ^ (word >> 31);
}

static void fill_with_random(unsigned char *bytes, size_t count) {
  while (count > 0) {
    uint64_t word = next_random();
    size_t part = count < sizeof word ? count : sizeof word;
    memcpy(bytes, &word, part);
    bytes += part;
    count -= part;
  }
}

// What Swift's runtime has its random numbers from.
long syscall(long number, ...) {
  long words[6];
  va_list list;
  va_start(list, number);
  for (int index = 0; index < 6; index++) words[index] = va_arg(list, long);
  va_end(list);
  if (is_simulated && number == SYS_getrandom) {
    fill_with_random((unsigned char *)words[0], (size_t)words[1]);
    return words[1];
  }
  static long (*real)(long, ...);
  if (!real) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  return real(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

// Of libpq: a statement that is cancelled has come too far to be stopped.
int PQcancel(void *cancel, char *reason, int size) {
  (void)cancel;
  if (size > 0) reason[0] = 0;
  return 1;
}
