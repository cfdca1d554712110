// 64-bit random markers, looked for in any bytes: raw in both orders, as decimal text, exact and as a double prints it, in
// hex and base64. Chance makes one of them once in 2^64 places.

const MASK = 0x3ffff;

/** Finds markers; built once, it searches many places. */
export class TaintSearch {
  readonly #filter = new Uint8Array(MASK + 1);
  readonly #raw = new Set<bigint>();
  readonly #hex = new Set<string>();
  readonly #decimal = new Set<string>();
  readonly #base64 = new Set<string>();

  constructor(markers: readonly bigint[]) {
    for (const marker of markers) {
      const little = Buffer.alloc(8);
      little.writeBigUInt64LE(marker);
      const big = Buffer.from(little).reverse();
      for (const bytes of [little, big]) {
        this.#raw.add(bytes.readBigUInt64LE());
        this.#filter[bytes.readUInt32LE() & MASK] = 1;
        this.#hex.add(bytes.toString('hex'));
        // Of eight bytes at any place in a base64 text seven whole characters are the same in one of three alignments.
        for (let shift = 0; shift < 3; shift++) {
          const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
          this.#base64.add(text.slice(4, 4 + 7));
        }
        for (const value of [bytes.readBigUInt64LE(), bytes.readBigInt64LE()]) {
          this.#decimal.add(String(value).replace('-', ''));
          this.#decimal.add(String(Math.abs(Number(value))));
        }
      }
    }
  }

  /** The ways in which a marker shows; empty where none does. */
  search(bytes: Uint8Array): string[] {
    const found = new Set<string>();
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at + 8 <= buffer.length; at++) {
      if (this.#filter[buffer.readUInt32LE(at) & MASK] === 1 && this.#raw.has(buffer.readBigUInt64LE(at)))
        found.add('raw');
    }
    const text = buffer.toString('latin1');
    for (const [run] of text.matchAll(/[0-9a-fA-F]{16,}/g)) {
      const lower = run.toLowerCase();
      for (let at = 0; at + 16 <= lower.length; at++) if (this.#hex.has(lower.slice(at, at + 16))) found.add('hex');
    }
    for (const [run] of text.matchAll(/\d{12,}/g)) if (this.#decimal.has(run)) found.add('decimal');
    // Seven characters are 42 bits: the runs of a text that long are few enough for no chance.
    for (const [run] of text.matchAll(/[A-Za-z0-9+/]{10,}={0,2}/g)) {
      for (let at = 0; at + 7 <= run.length; at++) if (this.#base64.has(run.slice(at, at + 7))) found.add('base64');
    }
    return [...found];
  }
}

/** Every form in which a marker is planted. */
export function plants(marker: bigint): readonly { readonly how: string; readonly bytes: Uint8Array }[] {
  const little = Buffer.alloc(8);
  little.writeBigUInt64LE(marker);
  return [
    { how: 'raw', bytes: little },
    { how: 'hex', bytes: Buffer.from(` ${little.toString('hex')} `) },
    { how: 'decimal', bytes: Buffer.from(` ${marker} `) },
    { how: 'base64', bytes: Buffer.from(` ${Buffer.concat([Buffer.of(1), little]).toString('base64')} `) },
  ];
}
