import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { ByteReader, ByteWriter } from './bytes.ts';

/**
 * Leaves packed: each with its length before it, deflated (RFC 1951) because most bytes of a leaf that are no hash repeat
 * from leaf to leaf: a record leaf of 117 bytes takes about 75.
 */
const FASTEST = 1;
/** A block is at most a group commit or a fold of leaves; a claim of more is damage. */
const MOST_BYTES = 64 * 1024 * 1024;

const writer = new ByteWriter();

export function packLeaves(leaves: readonly Uint8Array[]): Uint8Array {
  writer.reset();
  for (const leaf of leaves) writer.blob(leaf);
  return deflateRawSync(writer.view(), { level: FASTEST });
}

/** @throws {RangeError} and what zlib throws, where the block is damaged */
export function unpackLeaves(block: Uint8Array, count: number): Uint8Array[] {
  const reader = new ByteReader(inflateRawSync(block, { maxOutputLength: MOST_BYTES }));
  return Array.from({ length: count }, () => reader.blob());
}
