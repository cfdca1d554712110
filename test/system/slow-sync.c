/*
 * Adds SLOW_SYNC_MS to every fsync and fdatasync of a process, as flash that is busy does (withdrawal.test.ts).
 * gcc -O2 -shared -fPIC -o slow-sync.so slow-sync.c -ldl; LD_PRELOAD it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_first(void) {
  const char *ms = getenv("SLOW_SYNC_MS");
  if (ms) usleep((useconds_t)atoi(ms) * 1000);
}

#define SLOW(symbol)                                      \
  int symbol(int fd) {                                    \
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, #symbol); \
    wait_first();                                         \
    return real(fd);                                      \
  }

SLOW(fsync)
SLOW(fdatasync)
