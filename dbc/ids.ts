/** Ids as DBC writes them: bit 31 marks 29 bits, the rest is the id. */
export const EXTENDED_BIT = 0x8000_0000;
export const LARGEST_STANDARD = 0x7ff;
export const LARGEST_EXTENDED = 0x1fff_ffff;

/** The id word that an id as written stands for: real files leave bit 31 out, or carry more than 29 bits. */
export function idWordOf(written: number): number {
  if (written <= LARGEST_STANDARD) return written;
  return EXTENDED_BIT + (written % (LARGEST_EXTENDED + 1));
}
