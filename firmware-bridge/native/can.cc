// Batch receiver for CAN sockets. Frames go from the kernel straight into the caller's slots (contracts/frames.ts): a
// slot from byte 8 on has the form of `struct canfd_frame`, so recvmmsg fills it and only time, channel and flags are
// put right afterwards. One call of JavaScript a batch, no allocation in between.
#include "can.h"

#include <errno.h>
#include <linux/can.h>
#include <linux/can/error.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cstring>
#include <string>
#include <vector>

namespace tollgate {
namespace {

// Datagrams a system call takes at most.
constexpr unsigned kBurst = 64;
// Batches handed over in one turn of the event loop; the rest waits for the next, so that timers and the uplink run too.
constexpr unsigned kBatchesATurn = 8;
// Time stamps are wall clock: one further from now than this belongs to a clock that was stepped in between.
constexpr int64_t kStaleNs = 10'000'000'000;
constexpr uint32_t kHeader = 16;
constexpr uint32_t kFrameAt = 8;
// Offsets within a slot.
constexpr uint32_t kIdAt = 8, kLengthAt = 12, kFlagsAt = 13, kChannelAt = 14, kReservedAt = 15;
constexpr uint8_t kBrs = 1, kEsi = 2, kFdf = 4;

// Counters, in the order of `STATS` in firmware-bridge/can/native.ts.
enum Stat { kReceived, kQueueLost, kOverruns, kErrorFrames, kShed, kSkipped, kBusState, kRestarts, kBatches, kReads, kStats };
enum BusState { kActive, kWarning, kPassive, kBusOff };

// One id, or the ids that a mask leaves together; with how many frames of one id came in the running second.
struct Entry {
  uint32_t id;
  uint32_t second;
  uint32_t used;
  bool taken;
};

// What the plan wants of one mask: entries from `first` on, as many as `last` + 1, an open hash table.
struct Table {
  uint32_t mask;
  uint32_t first, last;
  // Every id of it is one entry, which counts its frames.
  bool whole;
};

// The plan's pairs of id and mask, by mask: a frame is wanted where (id & mask) is in the table of one of them.
struct Filter {
  std::vector<Table> tables;
  std::vector<Entry> entries;
  // No filter at all: every frame is wanted, and has no budget.
  bool none;
};

// Ids that came through a mask are told apart here, for their budgets: room for more than a bus has, and never more.
constexpr uint32_t kLearned = 1024, kProbes = 8;

struct Receiver {
  napi_env env;
  napi_async_context context;
  napi_ref onBatch;
  napi_ref slotsRef;
  napi_ref statsRef;
  napi_async_cleanup_hook_handle hook;
  uv_poll_t poll;
  uv_timer_t timer;
  unsigned handles;
  // The event loop and the handle that JavaScript holds: the memory goes with the last of the two, so that a handle that is
  // used after `close` finds a receiver that is closed.
  unsigned owners;
  int fd;
  uint8_t *slots;
  double *stats;
  uint32_t slotBytes, capacity, count;
  uint8_t channel;
  uint64_t coalesceMs;
  bool timed, paused, closed;
  int64_t lastNs;
  uint32_t lastLost;
  Filter filter;
  std::vector<Entry> learned;
  uint32_t perSecond;
  mmsghdr messages[kBurst];
  iovec parts[kBurst];
  alignas(cmsghdr) uint8_t control[kBurst][CMSG_SPACE(sizeof(timespec)) + CMSG_SPACE(sizeof(uint32_t))];
};

uint32_t hash(uint32_t id) { return id * 0x9e3779b1u; }

// The entry of a masked id, or null.
Entry *find(Filter &filter, const Table &table, uint32_t id) {
  for (uint32_t at = hash(id) & table.last;; at = (at + 1) & table.last) {
    Entry &one = filter.entries[table.first + at];
    if (!one.taken) return nullptr;
    if (one.id == id) return &one;
  }
}

Filter filterOf(const std::vector<uint32_t> &pairs, bool filtered) {
  Filter filter{{}, {}, !filtered};
  for (size_t pair = 0; pair + 1 < pairs.size(); pair += 2) {
    const uint32_t mask = pairs[pair + 1];
    bool known = false;
    for (const Table &table : filter.tables) known |= table.mask == mask;
    if (known) continue;
    uint32_t ids = 0, last = 15;
    for (size_t at = pair; at + 1 < pairs.size(); at += 2) ids += pairs[at + 1] == mask;
    while (last + 1 < ids * 2) last = last * 2 + 1;
    const uint32_t form = CAN_EFF_FLAG | CAN_RTR_FLAG;
    // With the shorter mask all 29 bits of a frame are told: a frame with 11 has no more.
    const bool whole = mask == (form | CAN_EFF_MASK) || mask == (form | CAN_SFF_MASK);
    const Table table{mask, static_cast<uint32_t>(filter.entries.size()), last, whole};
    filter.entries.resize(filter.entries.size() + last + 1);
    for (size_t from = pair; from + 1 < pairs.size(); from += 2) {
      if (pairs[from + 1] != mask) continue;
      const uint32_t id = pairs[from] & mask;
      if (find(filter, table, id) != nullptr) continue;
      uint32_t at = hash(id) & last;
      while (filter.entries[table.first + at].taken) at = (at + 1) & last;
      filter.entries[table.first + at] = {id, 0, 0, true};
    }
    // Whole ids are most of a plan: asked first.
    filter.tables.insert(whole ? filter.tables.begin() : filter.tables.end(), table);
  }
  return filter;
}

// The count of an id that came through a mask. Where all that it could have are other ids' of this second, it shares one.
Entry &learn(Receiver &r, uint32_t id, uint32_t second) {
  uint32_t at = hash(id) & (kLearned - 1);
  Entry *free = nullptr;
  for (uint32_t probe = 0; probe < kProbes; probe++, at = (at + 1) & (kLearned - 1)) {
    Entry &one = r.learned[at];
    if (one.taken && one.id == id) return one;
    if (free == nullptr && (!one.taken || one.second != second)) free = &one;
  }
  if (free == nullptr) return r.learned[hash(id) & (kLearned - 1)];
  *free = {id, second, 0, true};
  return *free;
}

// Whether a frame is wanted and within the budget of its id.
bool within(Receiver &r, uint32_t id, uint32_t second) {
  if (r.filter.none) return true;
  for (const Table &table : r.filter.tables) {
    Entry *found = find(r.filter, table, id & table.mask);
    if (found == nullptr) continue;
    if (r.perSecond == 0) return true;
    Entry &one = table.whole ? *found : learn(r, id, second);
    if (one.second != second) {
      one.second = second;
      one.used = 0;
    }
    if (one.used >= r.perSecond) {
      r.stats[kShed]++;
      return false;
    }
    one.used++;
    return true;
  }
  r.stats[kSkipped]++;
  return false;
}

// Error frames are no data: they become bus state and counters. A storm of them costs no call of JavaScript.
bool takeError(Receiver &r, uint32_t id, const uint8_t *data) {
  r.stats[kErrorFrames]++;
  const double before = r.stats[kBusState];
  if (id & CAN_ERR_CRTL) {
    const uint8_t what = data[1];
    if (what & CAN_ERR_CRTL_RX_OVERFLOW) r.stats[kOverruns]++;
    if (what & (CAN_ERR_CRTL_RX_PASSIVE | CAN_ERR_CRTL_TX_PASSIVE)) r.stats[kBusState] = kPassive;
    else if (what & (CAN_ERR_CRTL_RX_WARNING | CAN_ERR_CRTL_TX_WARNING)) r.stats[kBusState] = kWarning;
    else if (what & CAN_ERR_CRTL_ACTIVE) r.stats[kBusState] = kActive;
  }
  if (id & CAN_ERR_RESTARTED) {
    r.stats[kRestarts]++;
    r.stats[kBusState] = kActive;
  }
  if (id & CAN_ERR_BUSOFF) r.stats[kBusState] = kBusOff;
  return r.stats[kBusState] != before;
}

// Hands `count` frames over; `error` is an errno of the socket, or 0.
void deliver(Receiver &r, int error) {
  const uint32_t count = r.count;
  r.count = 0;
  r.stats[kBatches]++;
  // Until JavaScript takes this back (`resume`), the buffer is its own.
  r.paused = true;
  napi_handle_scope scope;
  napi_open_handle_scope(r.env, &scope);
  napi_value callback, global, args[2], result;
  napi_get_reference_value(r.env, r.onBatch, &callback);
  napi_get_global(r.env, &global);
  napi_create_uint32(r.env, count, &args[0]);
  napi_create_int32(r.env, error, &args[1]);
  if (napi_make_callback(r.env, r.context, global, callback, 2, args, &result) == napi_pending_exception) {
    napi_value thrown;
    napi_get_and_clear_last_exception(r.env, &thrown);
    napi_fatal_exception(r.env, thrown);
  }
  napi_close_handle_scope(r.env, scope);
}

// Puts the newest `read` frames in order. Returns whether the state of the bus changed.
bool settle(Receiver &r, unsigned read) {
  const int64_t now = nanoseconds(CLOCK_BOOTTIME);
  const int64_t toBoot = now - nanoseconds(CLOCK_REALTIME);
  const uint32_t payload = r.slotBytes - kHeader;
  const auto second = static_cast<uint32_t>(now / 1'000'000'000);
  bool changed = false;
  uint32_t kept = r.count;
  for (unsigned i = 0; i < read; i++) {
    mmsghdr &message = r.messages[i];
    uint8_t *slot = r.slots + static_cast<size_t>(r.count + i) * r.slotBytes;
    int64_t time = now;
    for (cmsghdr *c = CMSG_FIRSTHDR(&message.msg_hdr); c != nullptr; c = CMSG_NXTHDR(&message.msg_hdr, c)) {
      if (c->cmsg_level != SOL_SOCKET) continue;
      if (c->cmsg_type == SO_RXQ_OVFL) {
        uint32_t lost;
        memcpy(&lost, CMSG_DATA(c), sizeof lost);
        r.stats[kQueueLost] += static_cast<uint32_t>(lost - r.lastLost);
        r.lastLost = lost;
      } else if (c->cmsg_type == SCM_TIMESTAMPNS) {
        timespec stamp;
        memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
        const int64_t boot = static_cast<int64_t>(stamp.tv_sec) * 1'000'000'000 + stamp.tv_nsec + toBoot;
        if (boot <= now && now - boot < kStaleNs) time = boot;
      }
    }
    uint32_t id;
    memcpy(&id, slot + kIdAt, sizeof id);
    const bool fd = message.msg_len == CANFD_MTU;
    if (!fd && message.msg_len != CAN_MTU) continue;
    if (id & CAN_ERR_FLAG) {
      changed |= takeError(r, id, slot + kHeader);
      continue;
    }
    r.stats[kReceived]++;
    if (!within(r, id, second)) {
      // Of a frame that nobody wants nothing stays, not even until the slot is used again.
      memset(slot, 0, r.slotBytes);
      continue;
    }
    // Stamps of several CPUs may cross by a little; the order of the queue is the order of the bus.
    if (time < r.lastNs) time = r.lastNs;
    r.lastNs = time;
    uint8_t *to = r.slots + static_cast<size_t>(kept) * r.slotBytes;
    if (to != slot) memcpy(to, slot, r.slotBytes);
    const uint32_t most = fd ? payload : CAN_MAX_DLEN;
    const uint32_t length = to[kLengthAt] > most ? most : to[kLengthAt];
    memcpy(to, &time, sizeof time);
    to[kLengthAt] = static_cast<uint8_t>(length);
    to[kFlagsAt] = fd ? static_cast<uint8_t>((to[kFlagsAt] & (kBrs | kEsi)) | kFdf) : 0;
    to[kChannelAt] = r.channel;
    to[kReservedAt] = 0;
    memset(to + kHeader + length, 0, payload - length);
    kept++;
  }
  r.count = kept;
  return changed;
}

// Reads until the queue is empty, the caller is busy, or the turn is over. Returns whether anything came.
bool drain(Receiver &r) {
  bool came = false;
  for (unsigned batches = 0; batches < kBatchesATurn && !r.paused && !r.closed;) {
    const unsigned room = r.capacity - r.count < kBurst ? r.capacity - r.count : kBurst;
    for (unsigned i = 0; i < room; i++) {
      r.parts[i] = {r.slots + static_cast<size_t>(r.count + i) * r.slotBytes + kFrameAt, r.slotBytes - kFrameAt};
      r.messages[i].msg_hdr = {nullptr, 0, &r.parts[i], 1, r.control[i], sizeof r.control[i], 0};
    }
    r.stats[kReads]++;
    const int read = recvmmsg(r.fd, r.messages, room, MSG_DONTWAIT, nullptr);
    if (read < 0) {
      const int error = errno;
      if (error == EINTR) continue;
      const bool empty = error == EAGAIN || error == EWOULDBLOCK;
      if (r.count > 0 || !empty) deliver(r, empty ? 0 : error);
      return came;
    }
    came = true;
    const bool changed = settle(r, static_cast<unsigned>(read));
    const bool drained = static_cast<unsigned>(read) < room;
    if (changed || r.count == r.capacity || (drained && r.count > 0)) {
      deliver(r, 0);
      batches++;
    }
    if (drained) return came;
  }
  return came;
}

void listen(Receiver &r);

// While frames come, one timer a few milliseconds later instead of one wake-up a frame.
void rest(Receiver &r) {
  uv_poll_stop(&r.poll);
  uv_timer_start(
      &r.timer,
      [](uv_timer_t *timer) {
        Receiver &self = *static_cast<Receiver *>(timer->data);
        const bool came = drain(self);
        if (self.paused || self.closed) return;
        if (came) rest(self);
        else listen(self);
      },
      r.coalesceMs, 0);
}

void listen(Receiver &r) {
  uv_poll_start(&r.poll, UV_READABLE, [](uv_poll_t *poll, int, int) {
    Receiver &self = *static_cast<Receiver *>(poll->data);
    drain(self);
    if (self.closed) return;
    if (self.paused) uv_poll_stop(poll);
    else if (self.coalesceMs > 0) rest(self);
  });
}

void release(Receiver *r) {
  if (--r->owners == 0) delete r;
}

void destroy(Receiver *r) {
  napi_delete_reference(r->env, r->onBatch);
  napi_delete_reference(r->env, r->slotsRef);
  napi_delete_reference(r->env, r->statsRef);
  napi_async_destroy(r->env, r->context);
  // After this the environment may end.
  napi_remove_async_cleanup_hook(r->hook);
  release(r);
}

void shut(Receiver *r) {
  if (r->closed) return;
  r->closed = true;
  uv_poll_stop(&r->poll);
  uv_timer_stop(&r->timer);
  const auto gone = [](uv_handle_t *handle) {
    Receiver *self = static_cast<Receiver *>(handle->data);
    if (--self->handles > 0) return;
    close(self->fd);
    destroy(self);
  };
  uv_close(reinterpret_cast<uv_handle_t *>(&r->poll), gone);
  uv_close(reinterpret_cast<uv_handle_t *>(&r->timer), gone);
}

napi_value property(napi_env env, napi_value object, const char *name) {
  napi_value value;
  napi_get_named_property(env, object, name, &value);
  return value;
}

uint32_t number(napi_env env, napi_value object, const char *name) {
  uint32_t value = 0;
  napi_get_value_uint32(env, property(env, object, name), &value);
  return value;
}

bool isTyped(napi_env env, napi_value value) {
  bool typed = false;
  return napi_is_typedarray(env, value, &typed) == napi_ok && typed;
}

std::vector<uint32_t> words(napi_env env, napi_value value) {
  if (!isTyped(env, value)) return {};
  size_t length;
  void *data;
  napi_typedarray_type type;
  napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr);
  if (type != napi_uint32_array || length == 0) return {};
  const uint32_t *first = static_cast<uint32_t *>(data);
  return {first, first + length};
}

// The bytes of a typed array of this type; null where it is none.
void *bytesOf(napi_env env, napi_value value, napi_typedarray_type wanted, size_t *length) {
  bool typed = false;
  napi_typedarray_type type;
  void *data = nullptr;
  if (napi_is_typedarray(env, value, &typed) != napi_ok || !typed) return nullptr;
  napi_get_typedarray_info(env, value, &type, length, &data, nullptr, nullptr);
  return type == wanted ? data : nullptr;
}

int option(int fd, int level, int name, const void *value, socklen_t size) { return setsockopt(fd, level, name, value, size); }

// Pairs of id and mask, as struct can_filter has them. Without a filter everything passes; with none in it, nothing does. The
// kernel registers the new list before it lets go of the old one: what both have is never missed.
bool setFilters(int fd, const std::vector<uint32_t> &filters, bool filtered) {
  constexpr can_filter everything{0, 0};
  return filtered ? option(fd, SOL_CAN_RAW, CAN_RAW_FILTER, filters.data(), static_cast<socklen_t>(filters.size() * 4)) == 0
                  : option(fd, SOL_CAN_RAW, CAN_RAW_FILTER, &everything, sizeof everything) == 0;
}

// A bound, filtered socket, or -1 and errno.
int openSocket(const std::string &name, bool fdFrames, uint32_t buffer, const std::vector<uint32_t> &filters, bool filtered) {
  const int fd = socket(PF_CAN, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, CAN_RAW);
  if (fd < 0) return -1;
  const int on = 1, size = static_cast<int>(buffer);
  const can_err_mask_t errors = CAN_ERR_MASK;
  ifreq request{};
  strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  const bool settled =
      (!filtered || setFilters(fd, filters, true)) &&
      option(fd, SOL_CAN_RAW, CAN_RAW_ERR_FILTER, &errors, sizeof errors) == 0 &&
      (!fdFrames || option(fd, SOL_CAN_RAW, CAN_RAW_FD_FRAMES, &on, sizeof on) == 0) &&
      option(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) == 0 && option(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on) == 0 &&
      // Beyond the administrator's limit only with CAP_NET_ADMIN; within it for anyone.
      (option(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) == 0 || option(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) == 0) &&
      ioctl(fd, SIOCGIFINDEX, &request) == 0;
  if (settled) {
    sockaddr_can address{};
    address.can_family = AF_CAN;
    address.can_ifindex = request.ifr_ifindex;
    if (bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0) return fd;
  }
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

// open({interface, slots, slotBytes, channel, receiveBuffer, stats, filters, pairs, perSecond, coalesceMs}, onBatch)
napi_value open(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value args[2];
  napi_get_cb_info(env, info, &argc, args, nullptr, nullptr);
  char name[IFNAMSIZ];
  size_t length = 0;
  napi_get_value_string_utf8(env, property(env, args[0], "interface"), name, sizeof name, &length);
  const uint32_t slotBytes = number(env, args[0], "slotBytes");
  size_t bytes = 0, counters = 0;
  const napi_value slots = property(env, args[0], "slots"), stats = property(env, args[0], "stats");
  void *slotsAt = bytesOf(env, slots, napi_uint8_array, &bytes), *statsAt = bytesOf(env, stats, napi_float64_array, &counters);
  // A slot of another size would have the kernel write beyond it.
  const bool sized = slotBytes == kHeader + CAN_MAX_DLEN || slotBytes == kHeader + CANFD_MAX_DLEN;
  if (!sized || slotsAt == nullptr || statsAt == nullptr || bytes < slotBytes || counters < kStats || length == 0) {
    return fail(env, "open", EINVAL);
  }
  const napi_value filters = property(env, args[0], "filters"), pairs = property(env, args[0], "pairs");
  const int fd = openSocket({name, length}, slotBytes == kHeader + CANFD_MAX_DLEN, number(env, args[0], "receiveBuffer"),
                            words(env, filters), isTyped(env, filters));
  if (fd < 0) return fail(env, "open", errno);

  auto *r = new Receiver{};
  r->env = env;
  r->fd = fd;
  r->slotBytes = slotBytes;
  r->channel = static_cast<uint8_t>(number(env, args[0], "channel"));
  r->coalesceMs = number(env, args[0], "coalesceMs");
  r->perSecond = number(env, args[0], "perSecond");
  r->filter = filterOf(words(env, pairs), isTyped(env, pairs));
  r->learned.resize(kLearned);
  r->slots = static_cast<uint8_t *>(slotsAt);
  r->capacity = static_cast<uint32_t>(bytes / slotBytes);
  r->stats = static_cast<double *>(statsAt);
  uv_loop_t *loop;
  napi_get_uv_event_loop(env, &loop);
  if (const int error = uv_poll_init(loop, &r->poll, fd); error != 0) {
    close(fd);
    delete r;
    return fail(env, "uv_poll_init", -error);
  }
  uv_timer_init(loop, &r->timer);
  napi_create_reference(env, slots, 1, &r->slotsRef);
  napi_create_reference(env, stats, 1, &r->statsRef);
  napi_create_reference(env, args[1], 1, &r->onBatch);
  napi_value resource, label;
  napi_create_object(env, &resource);
  napi_create_string_utf8(env, "tollgate:can", NAPI_AUTO_LENGTH, &label);
  napi_async_init(env, resource, label, &r->context);
  r->handles = 2;
  r->owners = 2;
  r->poll.data = r->timer.data = r;
  listen(*r);
  napi_value handle;
  napi_create_external(env, r, [](napi_env, void *data, void *) { release(static_cast<Receiver *>(data)); }, nullptr, &handle);
  // A worker thread that ends with its socket open: the loop must not outlive the environment.
  napi_add_async_cleanup_hook(
      env, [](napi_async_cleanup_hook_handle, void *data) { shut(static_cast<Receiver *>(data)); }, r, &r->hook);
  return handle;
}

Receiver *receiverOf(napi_env env, napi_value handle) {
  void *data = nullptr;
  napi_get_value_external(env, handle, &data);
  return static_cast<Receiver *>(data);
}

Receiver *receiverOf(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value handle;
  napi_get_cb_info(env, info, &argc, &handle, nullptr, nullptr);
  return receiverOf(env, handle);
}

// refilter(handle, filters, pairs): the kernel's filter and the table of the open socket. The table always counts; the kernel's
// answer, 0 or an error number, is returned.
napi_value refilter(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value args[3];
  napi_get_cb_info(env, info, &argc, args, nullptr, nullptr);
  Receiver *r = receiverOf(env, args[0]);
  if (r == nullptr || r->closed) return fail(env, "refilter", EBADF);
  r->filter = filterOf(words(env, args[2]), isTyped(env, args[2]));
  napi_value answer;
  napi_create_int32(env, setFilters(r->fd, words(env, args[1]), isTyped(env, args[1])) ? 0 : errno, &answer);
  return answer;
}

// resume(handle): the batch was taken; reading goes on. Within `onBatch` it goes on when that returns.
napi_value resume(napi_env env, napi_callback_info info) {
  Receiver *r = receiverOf(env, info);
  if (r == nullptr || r->closed || !r->paused) return nullptr;
  r->paused = false;
  if (!uv_is_active(reinterpret_cast<uv_handle_t *>(&r->poll)) && !uv_is_active(reinterpret_cast<uv_handle_t *>(&r->timer))) {
    if (r->coalesceMs > 0) rest(*r);
    else listen(*r);
  }
  return nullptr;
}

napi_value shutDown(napi_env env, napi_callback_info info) {
  Receiver *r = receiverOf(env, info);
  if (r != nullptr) shut(r);
  return nullptr;
}

}  // namespace

void defineCan(napi_env env, napi_value exports) {
  define(env, exports, "open", open);
  define(env, exports, "refilter", refilter);
  define(env, exports, "resume", resume);
  define(env, exports, "close", shutDown);
}

}  // namespace tollgate
