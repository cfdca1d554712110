import { type BitCoder, counter, malformed } from './coder.ts';

const bits = new DataView(new ArrayBuffer(8));
/** A tree of 256 a byte position, apart for "all bytes before it equal those of the last value" and not. */
export const FLOAT_COUNTERS = 8 * 2 * 256;
/** Even odds, nothing seen. */
const EVEN = counter(1 << 21, 0);

/** Big-endian bytes of the float, each XORed with the same byte of the value before, as a tree of adaptive bits. */
export function codeFloats(
  coder: BitCoder,
  rows: number,
  present: Uint8Array | null,
  cells: Float64Array,
  single: boolean,
): void {
  const width = single ? 4 : 8;
  coder.counters.fill(EVEN, 0, FLOAT_COUNTERS);
  const before = new Uint8Array(8);
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    load(cells[i]!, single);
    let same = 0;
    for (let b = 0; b < width; b++) {
      const slot = (b * 2 + same) * 256;
      const wanted = bits.getUint8(b) ^ before[b]!;
      let node = 1;
      for (let k = 7; k >= 0; k--) node = (node << 1) | coder.alone((wanted >>> k) & 1, slot + node);
      const byte = node & 0xff;
      if (byte !== 0) same = 1;
      before[b] = before[b]! ^ byte;
      bits.setUint8(b, before[b]!);
    }
    if (!coder.decoding) continue;
    cells[i] = single ? bits.getFloat32(0) : bits.getFloat64(0);
    if (Number.isNaN(cells[i]) && !isCanonicalNaN(single)) malformed('a NaN is not the usual one');
  }
}

/** About what the floats cost as bytes: eight bits for each from the first that changed, little where none did. */
export function bytesCost(rows: number, present: Uint8Array | null, cells: Float64Array, single: boolean): number {
  const width = single ? 4 : 8;
  let cost = 0;
  let before0 = 0;
  let before1 = 0;
  for (let i = 0; i < rows; i++) {
    if (present !== null && present[i] === 0) continue;
    load(cells[i]!, single);
    const word0 = bits.getUint32(0);
    const word1 = single ? 0 : bits.getUint32(4);
    const equal =
      word0 !== before0 ? Math.clz32(word0 ^ before0) >> 3 : single ? 4 : 4 + (Math.clz32(word1 ^ before1) >> 3);
    cost += 1 + 8 * (width - equal);
    before0 = word0;
    before1 = word1;
  }
  return cost;
}

function load(value: number, single: boolean): void {
  if (Number.isNaN(value)) {
    // What a NaN's other bits are is left to the engine; the record always holds the same ones.
    bits.setUint32(0, single ? 0x7fc00000 : 0x7ff80000);
    bits.setUint32(4, 0);
  } else if (single) bits.setFloat32(0, value);
  else bits.setFloat64(0, value);
}

const isCanonicalNaN = (single: boolean): boolean =>
  single ? bits.getUint32(0) === 0x7fc00000 : bits.getUint32(0) === 0x7ff80000 && bits.getUint32(4) === 0;
