import type { ErrorEntry } from '../errors.ts';

export const DBC_ERRORS = {} as const satisfies Record<`TG_${string}`, ErrorEntry>;
