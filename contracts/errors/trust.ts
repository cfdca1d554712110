import type { ErrorEntry } from '../errors.ts';

export const TRUST_ERRORS = {} as const satisfies Record<`TG_${string}`, ErrorEntry>;
