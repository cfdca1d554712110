/* Gives a program CAN sockets where the kernel has none (LD_PRELOAD): a CAN socket is a UDP socket on loopback, the port
 * STAND_IN_PORT plus the interface's number. Everything else is the kernel's own: the receive queue, its size, time stamps, and
 * SO_RXQ_OVFL, so that a receiver can really lose frames and really know how many. Only interfaces can0 to can9 exist.
 * Filters of CAN_RAW are swallowed: nothing here filters. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/can.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define MOST_FDS 1024
static unsigned char can[MOST_FDS];

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define IS_CAN(fd) ((fd) >= 0 && (fd) < MOST_FDS && can[fd])

int socket(int domain, int type, int protocol) {
  if (domain != PF_CAN) return NEXT(socket)(domain, type, protocol);
  const int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC);
  const int fd = NEXT(socket)(AF_INET, SOCK_DGRAM | flags, 0);
  if (fd >= 0 && fd < MOST_FDS) can[fd] = 1;
  return fd;
}

int bind(int fd, const struct sockaddr *address, socklen_t size) {
  if (!IS_CAN(fd) || address->sa_family != AF_CAN) return NEXT(bind)(fd, address, size);
  const int number = ((const struct sockaddr_can *)address)->can_ifindex;
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("STAND_IN_PORT")) + number - 1)};
  local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return NEXT(bind)(fd, (struct sockaddr *)&local, sizeof local);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size) {
  if (IS_CAN(fd) && level == SOL_CAN_RAW) return 0;
  return NEXT(setsockopt)(fd, level, name, value, size);
}

int ioctl(int fd, unsigned long request, ...) {
  va_list list;
  va_start(list, request);
  void *argument = va_arg(list, void *);
  va_end(list);
  if (!IS_CAN(fd) || request != SIOCGIFINDEX) return NEXT(ioctl)(fd, request, argument);
  struct ifreq *of = argument;
  if (strncmp(of->ifr_name, "can", 3) != 0 || of->ifr_name[3] < '0' || of->ifr_name[3] > '9' || of->ifr_name[4] != 0) {
    errno = ENODEV;
    return -1;
  }
  of->ifr_ifindex = of->ifr_name[3] - '0' + 1;
  return 0;
}

int close(int fd) {
  if (fd >= 0 && fd < MOST_FDS) can[fd] = 0;
  return NEXT(close)(fd);
}
