import { find, type PARTS } from '../scripts/parts.mjs';

/** Full path of a real part, or null: then its suite says which package is missing and is skipped. */
export function part(program: keyof typeof PARTS): string | null {
  return find(program);
}
