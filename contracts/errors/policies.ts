import type { ErrorEntry } from '../errors.ts';

export const POLICY_ERRORS = {} as const satisfies Record<`TG_${string}`, ErrorEntry>;
