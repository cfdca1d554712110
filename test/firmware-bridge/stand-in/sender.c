/* Sends CAN frames to the stand-in of shim.c at a pace, and never waits for the receiver: what has no room is lost.
 *   sender PORT FRAMES FRAMES_A_SECOND IDS BYTES     IDS: how many ids, from 0x100 on; BYTES: 8, or up to 64 for CAN FD
 * A frame's first eight bytes are its number. Half a second after the last one a sentinel (id 0x7ff) goes, so that the receiver
 * learns of losses at the end as well. Prints how many frames were sent, without the sentinel. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/can.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BURST 32

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void rest(int64_t ns) {
  if (ns <= 0) return;
  const struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
  nanosleep(&t, NULL);
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  const long frames = atol(argv[2]), rate = atol(argv[3]), ids = atol(argv[4]), bytes = atol(argv[5]);
  const int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 1 << 20;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) return 1;
  const size_t size = bytes > 8 ? CANFD_MTU : CAN_MTU;
  static struct canfd_frame burst[BURST];
  static struct mmsghdr messages[BURST];
  static struct iovec parts[BURST];
  long sent = 0;
  const int64_t start = now();
  while (sent < frames) {
    int count = 0;
    for (; count < BURST && sent + count < frames; count++) {
      const uint64_t number = sent + count;
      burst[count] = (struct canfd_frame){.can_id = 0x100 + number % ids, .len = bytes, .flags = bytes > 8 ? CANFD_BRS : 0};
      memcpy(burst[count].data, &number, sizeof number);
      parts[count] = (struct iovec){&burst[count], size};
      messages[count].msg_hdr = (struct msghdr){.msg_iov = &parts[count], .msg_iovlen = 1};
    }
    for (int done = 0; done < count;) {
      const int n = sendmmsg(fd, messages + done, count - done, 0);
      if (n < 0) return 1;
      done += n;
    }
    sent += count;
    rest(start + (int64_t)(sent * (1e9 / rate)) - now());
  }
  rest(500000000);
  struct can_frame sentinel = {.can_id = 0x7ff, .can_dlc = 8};
  if (send(fd, &sentinel, bytes > 8 ? sizeof(struct canfd_frame) : sizeof sentinel, 0) < 0) return 1;
  printf("%ld\n", sent);
  return 0;
}
