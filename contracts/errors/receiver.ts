import type { ErrorEntry } from '../errors.ts';

export const RECEIVER_ERRORS = {} as const satisfies Record<`TG_${string}`, ErrorEntry>;
