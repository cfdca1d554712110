// What the files of this addon share.
#pragma once
#include <node_api.h>
#include <time.h>

#include <cstdint>

namespace tollgate {

inline int64_t nanoseconds(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

void define(napi_env env, napi_value exports, const char *name, napi_callback function);
napi_value fail(napi_env env, const char *what, int error);

// can.cc: open, refilter, resume, close.
void defineCan(napi_env env, napi_value exports);
// link.cc: bitrates.
void defineLink(napi_env env, napi_value exports);

}  // namespace tollgate
