import type { ErrorEntry } from '../errors.ts';

export const WIRE_ERRORS = {} as const satisfies Record<`TG_${string}`, ErrorEntry>;
