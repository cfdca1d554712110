import type { ErrorEntry } from '../errors.ts';

export const AGENT_ERRORS = {} as const satisfies Record<`TG_${string}`, ErrorEntry>;
