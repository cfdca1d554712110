import type { ErrorEntry } from '../errors.ts';

export const CLI_ERRORS = {} as const satisfies Record<`TG_${string}`, ErrorEntry>;
