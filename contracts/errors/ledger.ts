import type { ErrorEntry } from '../errors.ts';

export const LEDGER_ERRORS = {} as const satisfies Record<`TG_${string}`, ErrorEntry>;
