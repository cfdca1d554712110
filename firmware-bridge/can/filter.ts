/** CAN_RAW_FILTER_MAX of `linux/can/raw.h`: with more than these the kernel refuses the list. */
export const MOST_KERNEL_FILTERS = 512;

/**
 * Who leaves out what the plan does not want. `kernel`: no such frame reaches user space. `receiver`: the plan has more ids and
 * masks than the kernel takes, or the kernel refused them; the receiver looks each frame up and throws away what is not in its
 * table. `nobody`: every frame is wanted.
 */
export type FilteredBy = 'kernel' | 'receiver' | 'nobody';

/**
 * What of a plan's pairs of id and mask (`filterPairs`) the kernel is given. It finds whole ids by a table look-up and tries masks
 * one by one, each as `(id & mask) == (filter & mask)`.
 *
 * @returns null where it is to let every frame through
 */
export function kernelFilters(pairs: Uint32Array | null): Uint32Array | null {
  return pairs === null || pairs.length > 2 * MOST_KERNEL_FILTERS ? null : pairs;
}
