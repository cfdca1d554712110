import { CAN_EFF_FLAG, CAN_EFF_MASK, CAN_RTR_FLAG, CAN_SFF_MASK } from '#contracts';

/** CAN_RAW_FILTER_MAX of `linux/can/raw.h`: with more than these the kernel refuses the list. */
export const MOST_KERNEL_FILTERS = 512;

/**
 * The kernel's filters for a plan's ids, pairs of id and mask as `struct can_filter` has them. Each names one id whole, with
 * its EFF and RTR bits, so that the kernel finds the socket by a table look-up and no other frame reaches user space.
 *
 * @returns null where every frame is wanted, or where the plan has more ids than the kernel takes: then the receiver
 *   itself leaves out what the plan does not name
 */
export function kernelFilters(ids: readonly number[] | null): Uint32Array | null {
  if (ids === null || ids.length > MOST_KERNEL_FILTERS) return null;
  return Uint32Array.from(
    ids.flatMap((id) => [
      id >>> 0,
      ((id & CAN_EFF_FLAG) !== 0 ? CAN_EFF_MASK : CAN_SFF_MASK) + CAN_EFF_FLAG + CAN_RTR_FLAG,
    ]),
  );
}
