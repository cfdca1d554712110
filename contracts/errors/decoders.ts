import type { ErrorEntry } from '../errors.ts';

export const DECODER_ERRORS = {} as const satisfies Record<`TG_${string}`, ErrorEntry>;
