import type { ErrorEntry } from '../errors.ts';

export const BRIDGE_ERRORS = {
  TG_BRIDGE_NO_ADDON: {
    cause:
      'The part of Tollgate that is compiled for this machine (CAN sockets, boot time, service manager) is not there.',
    remedy: 'Install the Debian package, or build it in a checkout with `npm run addons` (needs g++).',
  },
  TG_CAN_NO_KERNEL: {
    cause: 'The kernel knows no CAN sockets.',
    remedy: 'Load the modules can and can-raw, or use a kernel that has them; `tollgate doctor` tells what is missing.',
  },
  TG_CAN_OPEN: {
    cause: 'A CAN interface is there but cannot be opened.',
    remedy:
      'The message says what the kernel said; `ip -details link show` shows the interface, `tollgate doctor` what it needs.',
  },
  TG_CAN_DRIVER: {
    cause: 'The second CAN driver, the npm package socketcan, is configured but not installed.',
    remedy: 'Install it beside Tollgate (`npm install socketcan`), or leave `driver` out of the configuration.',
  },
} as const satisfies Record<`TG_${string}`, ErrorEntry>;
