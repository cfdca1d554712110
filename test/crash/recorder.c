/*
 * Records every write and sync that a process makes in one folder, for the power-cut rig (README.md).
 * gcc -O2 -shared -fPIC -o recorder.so recorder.c -ldl; LD_PRELOAD it with PC_DIR (the folder) and PC_LOG (the record).
 * One mutex lies around act and entry, so the record is one order of events. A sync is entered when it begins and when it
 * ended: it covers only what was written before it began. A file is its inode.
 * Entry: op u32, length u32, inode u64, offset u64, then `length` bytes; little-endian.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE = 1, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, UNLINK, RENAME, DIR_BEGIN, DIR_END };
#define FDS 65536
static uint64_t inode_of[FDS]; /* 0: not ours */
static char is_folder[FDS];
static char folder[PATH_MAX];
static size_t folder_length;
static int log_fd = -1;
static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define LOCK pthread_mutex_lock(&mutex)
#define UNLOCK pthread_mutex_unlock(&mutex)

__attribute__((constructor)) static void begin(void) {
  const char *dir = getenv("PC_DIR"), *log = getenv("PC_LOG");
  if (!dir || !log || !realpath(dir, folder)) return;
  folder_length = strlen(folder);
  int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
  log_fd = real(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void enter(uint32_t op, uint64_t inode, uint64_t offset, const void *bytes, uint32_t length) {
  struct { uint32_t op, length; uint64_t inode, offset; } head = {op, length, inode, offset};
  struct iovec parts[2] = {{&head, sizeof head}, {(void *)bytes, length}};
  ssize_t (*real)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "writev");
  if (real(log_fd, parts, 2) != (ssize_t)(sizeof head + length)) abort();
}

/* The name inside the folder, "" for the folder itself, NULL for what is not ours. */
static const char *inside(const char *path) {
  if (log_fd < 0 || strncmp(path, folder, folder_length) != 0) return NULL;
  const char *rest = path + folder_length;
  if (*rest == 0) return "";
  if (*rest != '/') return NULL;
  size_t n = strlen(rest);
  if (n > 4 && strcmp(rest + n - 4, "-shm") == 0) return NULL; /* rebuilt by recovery */
  if (n > 5 && strcmp(rest + n - 5, "-lock") == 0) return NULL;
  return rest + 1;
}

static int opened(int fd, const char *path, int existed) {
  const char *name = inside(path);
  struct stat s;
  if (fd < 0 || fd >= FDS || !name || fstat(fd, &s) != 0) return fd;
  inode_of[fd] = s.st_ino;
  is_folder[fd] = *name == 0;
  if (*name && !existed) enter(CREATE, s.st_ino, 0, name, strlen(name));
  return fd;
}

#define OPEN(symbol)                                                        \
  int symbol(const char *path, int flags, ...) {                            \
    REAL(symbol);                                                           \
    va_list list;                                                           \
    va_start(list, flags);                                                  \
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0; \
    va_end(list);                                                           \
    LOCK;                                                                   \
    int existed = access(path, F_OK) == 0;                                  \
    int fd = opened(real(path, flags, mode), path, existed);                \
    if (fd >= 0 && fd < FDS && inode_of[fd] && existed && (flags & O_TRUNC)) enter(TRUNCATE, inode_of[fd], 0, "", 0); \
    UNLOCK;                                                                 \
    return fd;                                                              \
  }
OPEN(open)
OPEN(open64)

int close(int fd) {
  REAL(close);
  LOCK;
  if (fd >= 0 && fd < FDS) inode_of[fd] = 0;
  int result = real(fd);
  UNLOCK;
  return result;
}

static int ours(int fd) { return fd >= 0 && fd < FDS && inode_of[fd] != 0; }

ssize_t write(int fd, const void *bytes, size_t length) {
  REAL(write);
  if (!ours(fd)) return real(fd, bytes, length);
  LOCK;
  ssize_t n = real(fd, bytes, length);
  if (n > 0) enter(WRITE, inode_of[fd], lseek(fd, 0, SEEK_CUR) - n, bytes, n);
  UNLOCK;
  return n;
}

#define PWRITE(symbol)                                                         \
  ssize_t symbol(int fd, const void *bytes, size_t length, off_t offset) {     \
    REAL(symbol);                                                              \
    if (!ours(fd)) return real(fd, bytes, length, offset);                     \
    LOCK;                                                                      \
    ssize_t n = real(fd, bytes, length, offset);                               \
    if (n > 0) enter(WRITE, inode_of[fd], offset, bytes, n);                   \
    UNLOCK;                                                                    \
    return n;                                                                  \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

#define TRUNCATES(symbol)                                       \
  int symbol(int fd, off_t size) {                              \
    REAL(symbol);                                               \
    LOCK;                                                       \
    int result = real(fd, size);                                \
    if (result == 0 && ours(fd)) enter(TRUNCATE, inode_of[fd], size, "", 0); \
    UNLOCK;                                                     \
    return result;                                              \
  }
TRUNCATES(ftruncate)
TRUNCATES(ftruncate64)

#define SYNCS(symbol)                                                               \
  int symbol(int fd) {                                                              \
    REAL(symbol);                                                                   \
    if (!ours(fd)) return real(fd);                                                 \
    uint64_t inode = inode_of[fd];                                                  \
    int dir = is_folder[fd];                                                        \
    LOCK, enter(dir ? DIR_BEGIN : SYNC_BEGIN, inode, 0, "", 0), UNLOCK;             \
    int result = real(fd);                                                          \
    if (result == 0) LOCK, enter(dir ? DIR_END : SYNC_END, inode, 0, "", 0), UNLOCK; \
    return result;                                                                  \
  }
SYNCS(fsync)
SYNCS(fdatasync)

int unlink(const char *path) {
  REAL(unlink);
  LOCK;
  const char *name = inside(path);
  int result = real(path);
  if (result == 0 && name) enter(UNLINK, 0, 0, name, strlen(name));
  UNLOCK;
  return result;
}

int rename(const char *from, const char *to) {
  REAL(rename);
  LOCK;
  const char *a = inside(from), *b = inside(to);
  int result = real(from, to);
  if (result == 0 && (a || b)) {
    char both[2 * NAME_MAX + 2];
    int n = snprintf(both, sizeof both, "%s/%s", a ? a : "", b ? b : "");
    enter(RENAME, 0, 0, both, n);
  }
  UNLOCK;
  return result;
}
