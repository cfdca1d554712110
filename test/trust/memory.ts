import type { AnchorStorage } from '#trust';

/** A storage in memory whose blobs a test can look at and change. */
export function memoryStorage(
  blobs = new Map<string, Uint8Array>(),
): AnchorStorage & { blobs: Map<string, Uint8Array> } {
  return {
    blobs,
    read: async (name) => blobs.get(name) ?? null,
    write: async (name, bytes) => {
      blobs.set(name, Uint8Array.from(bytes));
    },
    remove: async (name) => {
      blobs.delete(name);
    },
  };
}

/** Random bytes that a test can foresee: every call gives others, a second generator the same again. */
export function countingRandom(start = 0): (bytes: number) => Uint8Array {
  let next = start;
  return (bytes) => {
    next++;
    return Uint8Array.from({ length: bytes }, (_, i) => (next * 31 + i * 7) & 0xff);
  };
}
