// What only netlink tells of a CAN interface: its bit rates. One question, one answer (rtnetlink(7), linux/can/netlink.h); reading
// needs no capability, and no program beside this one.
#include "can.h"

#include <errno.h>
#include <linux/can/netlink.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstring>

namespace tollgate {
namespace {

// A link's answer has a few kilobytes; one that is longer is cut, and then its attributes end early.
constexpr size_t kAnswer = 32'768;
// The kernel answers at once; whoever stands in its place shall not hold us.
constexpr timeval kWait{1, 0};

struct Attributes {
  const uint8_t *at;
  size_t size;
};

// The attribute of a type, or an empty one; a length that leaves the list ends it.
Attributes attribute(Attributes list, unsigned type) {
  while (list.size >= sizeof(rtattr)) {
    rtattr head;
    memcpy(&head, list.at, sizeof head);
    if (head.rta_len < sizeof head || head.rta_len > list.size) break;
    if ((head.rta_type & NLA_TYPE_MASK) == type) return {list.at + RTA_LENGTH(0), head.rta_len - RTA_LENGTH(0)};
    const size_t step = RTA_ALIGN(head.rta_len);
    if (step >= list.size) break;
    list.at += step;
    list.size -= step;
  }
  return {nullptr, 0};
}

double bitrate(Attributes timing) {
  can_bittiming of;
  if (timing.size < sizeof of) return 0;
  memcpy(&of, timing.at, sizeof of);
  return of.bitrate;
}

// The kernel's answer about a link, after its headers; an empty one and errno where there is none.
Attributes ask(int fd, unsigned index, uint8_t *answer) {
  struct {
    nlmsghdr head;
    ifinfomsg link;
  } question{};
  question.head = {sizeof question, RTM_GETLINK, NLM_F_REQUEST, 1, 0};
  question.link.ifi_family = AF_UNSPEC;
  question.link.ifi_index = static_cast<int>(index);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kWait, sizeof kWait) != 0) return {nullptr, 0};
  if (send(fd, &question, sizeof question, 0) < 0) return {nullptr, 0};
  const ssize_t size = recv(fd, answer, kAnswer, 0);
  if (size < 0) return {nullptr, 0};
  return {answer, static_cast<size_t>(size)};
}

// bitrates(interface, out: Float64Array(2)): bit/s of the arbitration and of the data phase, 0 where a link has none (vcan, or not set).
napi_value bitrates(napi_env env, napi_callback_info info) {
  size_t argc = 2, length = 0, bytes = 0;
  napi_value args[2];
  char name[IF_NAMESIZE];
  void *data = nullptr;
  napi_get_cb_info(env, info, &argc, args, nullptr, nullptr);
  napi_get_value_string_utf8(env, args[0], name, sizeof name, &length);
  napi_typedarray_type type = napi_int8_array;
  napi_get_typedarray_info(env, args[1], &type, &bytes, &data, nullptr, nullptr);
  if (data == nullptr || type != napi_float64_array || bytes < 2) return fail(env, "bitrates", EINVAL);
  const unsigned index = if_nametoindex(name);
  if (index == 0) return fail(env, "if_nametoindex", errno);
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return fail(env, "socket", errno);
  alignas(nlmsghdr) uint8_t answer[kAnswer];
  const Attributes got = ask(fd, index, answer);
  const int error = errno;
  close(fd);
  if (got.at == nullptr) return fail(env, "recv", error);
  nlmsghdr head;
  const size_t before = NLMSG_ALIGN(sizeof head) + NLMSG_ALIGN(sizeof(ifinfomsg));
  if (got.size < sizeof head) return fail(env, "recv", EBADMSG);
  memcpy(&head, got.at, sizeof head);
  if (head.nlmsg_type == NLMSG_ERROR && got.size >= sizeof head + sizeof(int)) {
    int refused;
    memcpy(&refused, got.at + NLMSG_ALIGN(sizeof head), sizeof refused);
    return fail(env, "RTM_GETLINK", -refused);
  }
  if (head.nlmsg_type != RTM_NEWLINK || got.size < before) return fail(env, "recv", EBADMSG);
  const Attributes link = attribute({got.at + before, got.size - before}, IFLA_LINKINFO);
  const Attributes can = attribute(link, IFLA_INFO_DATA);
  double *out = static_cast<double *>(data);
  out[0] = out[1] = 0;
  const Attributes kind = attribute(link, IFLA_INFO_KIND);
  if (kind.size != sizeof "can" || memcmp(kind.at, "can", sizeof "can") != 0) return nullptr;
  out[0] = bitrate(attribute(can, IFLA_CAN_BITTIMING));
  out[1] = bitrate(attribute(can, IFLA_CAN_DATA_BITTIMING));
  return nullptr;
}

}  // namespace

void defineLink(napi_env env, napi_value exports) { define(env, exports, "bitrates", bitrates); }

}  // namespace tollgate
