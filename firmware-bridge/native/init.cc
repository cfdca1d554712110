// The addon's entry, and the small things that Node lacks on a unit: a datagram to the service manager, the clock that goes
// on while the unit sleeps, and whether somebody keeps the other one right.
#include <errno.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstring>

#include "can.h"

namespace tollgate {

void define(napi_env env, napi_value exports, const char *name, napi_callback function) {
  napi_value value;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value);
  napi_set_named_property(env, exports, name, value);
}

// Throws an Error as Node's own have it: `errno`, `syscall`, and a message that says both.
napi_value fail(napi_env env, const char *what, int error) {
  napi_value message, thrown, number, call;
  const char *text = strerror(error);
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message);
  napi_create_error(env, nullptr, message, &thrown);
  napi_create_int32(env, error, &number);
  napi_create_string_utf8(env, what, NAPI_AUTO_LENGTH, &call);
  napi_set_named_property(env, thrown, "errno", number);
  napi_set_named_property(env, thrown, "syscall", call);
  napi_throw(env, thrown);
  return nullptr;
}

namespace {

// datagram(path, text): one datagram to a Unix socket; a path with a leading '@' is an abstract one (sd_notify(3)).
napi_value datagram(napi_env env, napi_callback_info info) {
  size_t argc = 2, pathLength = 0, textLength = 0;
  napi_value args[2];
  char text[512];
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  napi_get_cb_info(env, info, &argc, args, nullptr, nullptr);
  napi_get_value_string_utf8(env, args[0], address.sun_path, sizeof address.sun_path, &pathLength);
  napi_get_value_string_utf8(env, args[1], text, sizeof text, &textLength);
  if (pathLength == 0) return fail(env, "sendto", EINVAL);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail(env, "socket", errno);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + pathLength);
  const ssize_t sent = sendto(fd, text, textLength, MSG_NOSIGNAL, reinterpret_cast<sockaddr *>(&address), size);
  const int error = errno;
  close(fd);
  return sent < 0 ? fail(env, "sendto", error) : nullptr;
}

// clocks(out: BigInt64Array(2)): CLOCK_BOOTTIME and CLOCK_REALTIME, ns, read one right after the other.
napi_value clocks(napi_env env, napi_callback_info info) {
  size_t argc = 1, length = 0;
  napi_value array;
  void *data = nullptr;
  napi_get_cb_info(env, info, &argc, &array, nullptr, nullptr);
  napi_get_typedarray_info(env, array, nullptr, &length, &data, nullptr, nullptr);
  if (data == nullptr || length < 2) return fail(env, "clock_gettime", EINVAL);
  int64_t *out = static_cast<int64_t *>(data);
  out[0] = nanoseconds(CLOCK_BOOTTIME);
  out[1] = nanoseconds(CLOCK_REALTIME);
  return nullptr;
}

// timekeeping(out: Float64Array(2)): 1 where the kernel's clock is disciplined by an NTP daemon (adjtimex(2)), else 0, and the
// largest error that the kernel gives it, ns. Reading needs no capability.
napi_value timekeeping(napi_env env, napi_callback_info info) {
  size_t argc = 1, length = 0;
  napi_value array;
  void *data = nullptr;
  napi_get_cb_info(env, info, &argc, &array, nullptr, nullptr);
  napi_get_typedarray_info(env, array, nullptr, &length, &data, nullptr, nullptr);
  timex state{};
  if (data == nullptr || length < 2) return fail(env, "adjtimex", EINVAL);
  const int told = adjtimex(&state);
  if (told < 0) return fail(env, "adjtimex", errno);
  double *out = static_cast<double *>(data);
  out[0] = told != TIME_ERROR && (state.status & STA_UNSYNC) == 0 ? 1 : 0;
  out[1] = static_cast<double>(state.maxerror) * 1000;
  return nullptr;
}

// forget(): lets go of the pages of the program's own file that the start touched; the kernel has them in its cache, and what is
// needed again comes back. Only mappings without a page of our own (smaps: Anonymous 0): relocated data has no copy anywhere.
napi_value forget(napi_env, napi_callback_info) {
  FILE *smaps = fopen("/proc/self/smaps", "re");
  if (smaps == nullptr) return nullptr;
  char program[4096], line[8192], file[4096], rights[8];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  program[length < 0 ? 0 : length] = 0;
  unsigned long from = 0, to = 0, kib = 1;
  bool own = false;
  while (fgets(line, sizeof line, smaps) != nullptr) {
    unsigned long start, end;
    file[0] = 0;
    if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %4095s", &start, &end, rights, file) >= 3) {
      from = start;
      to = end;
      own = rights[1] != 'w' && program[0] != 0 && strcmp(file, program) == 0;
    } else if (own && sscanf(line, "Anonymous: %lu kB", &kib) == 1 && kib == 0) {
      madvise(reinterpret_cast<void *>(from), to - from, MADV_DONTNEED);
    }
  }
  fclose(smaps);
  return nullptr;
}

// trim(): whole pages that malloc keeps free go back to the kernel, also those between blocks in use. Compilers and bursts of rows
// leave such pages behind, and each later burst leaves others: without this the heap grows for hours.
napi_value trim(napi_env, napi_callback_info) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  return nullptr;
}

napi_value init(napi_env env, napi_value exports) {
  define(env, exports, "datagram", datagram);
  define(env, exports, "forget", forget);
  define(env, exports, "trim", trim);
  define(env, exports, "clocks", clocks);
  define(env, exports, "timekeeping", timekeeping);
  defineCan(env, exports);
  defineLink(env, exports);
  return exports;
}

}  // namespace
}  // namespace tollgate

NAPI_MODULE_INIT() { return tollgate::init(env, exports); }
