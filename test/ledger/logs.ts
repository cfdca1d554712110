import { createPrivateKey, sign } from 'node:crypto';
import {
  bodyHash,
  chainNext,
  chainStart,
  type ExportInput,
  formatVerifierKey,
  type NoteSigner,
  nodeCrypto,
  rootAt,
  sha256Tree,
  signCheckpoint,
  TYPE_ED25519,
  unitKeyName,
  verifierKey,
} from '#ledger';
import { jwkFromSeed } from '#trust';
import { type Grown, grow } from './trees.ts';

/** A signer as a unit has one; the same number gives the same key. */
export function testSigner(number = 1): NoteSigner {
  const jwk = jwkFromSeed('Ed25519', new Uint8Array(32).fill(number));
  const publicKey = new Uint8Array(Buffer.from(jwk.x!, 'base64url'));
  const key = verifierKey(unitKeyName(publicKey, nodeCrypto.sha256), TYPE_ED25519, publicKey, nodeCrypto);
  const privateKey = createPrivateKey({ key: { ...jwk }, format: 'jwk' });
  return { key, sign: async (message) => sign(null, message, privateKey) };
}

/** Deterministic CBOR as leaves use it, written here from RFC 8949 so that the reader meets bytes that are not its own. */
export const cbor = {
  head(major: number, value: number): Buffer {
    if (value < 24) return Buffer.from([(major << 5) | value]);
    if (value < 0x100) return Buffer.from([(major << 5) | 24, value]);
    const bytes = value < 0x1_0000 ? 2 : value < 0x1_0000_0000 ? 4 : 8;
    const out = Buffer.alloc(1 + bytes);
    out[0] = (major << 5) | (24 + Math.log2(bytes));
    if (bytes === 8) out.writeBigUInt64BE(BigInt(value), 1);
    else out.writeUIntBE(value, 1, bytes);
    return out;
  },
  int: (value: number) => (value < 0 ? cbor.head(1, -1 - value) : cbor.head(0, value)),
  bytes: (value: Uint8Array) => Buffer.concat([cbor.head(2, value.length), value]),
  array: (...items: Uint8Array[]) => Buffer.concat([cbor.head(4, items.length), ...items]),
  nil: Buffer.from([0xf6]),
};

export const BOOT = new Uint8Array(8).fill(0xb0);
export const salt = (i: number) => new Uint8Array(16).fill(i);
export const recordBytes = (i: number) => Buffer.from(`record ${i}`);
export const streamId = (number: number) => new Uint8Array(8).fill(number);

/** A leaf of the form of wire/leaf.cddl. */
export function leafOf(
  kind: number,
  boottimeMs: number,
  utcMs: number | null,
  body: Uint8Array,
  extra: Uint8Array,
): Buffer {
  const utc = utcMs === null ? cbor.nil : cbor.int(utcMs);
  return cbor.array(cbor.int(1), cbor.int(kind), cbor.bytes(BOOT), cbor.int(boottimeMs), utc, cbor.bytes(body), extra);
}

/** Record leaves of two streams with true chains, after a boot leaf. */
export function recordLeaves(count: number): Uint8Array[] {
  const { sha256 } = nodeCrypto;
  const leaves: Uint8Array[] = [leafOf(0, 0, null, new Uint8Array(32), cbor.array())];
  const last = new Map([1, 2].map((stream) => [stream, { seq: -1, chain: chainStart(streamId(stream), sha256) }]));
  for (let i = 1; i < count; i++) {
    const stream = i % 3 === 0 ? 2 : 1;
    const before = last.get(stream)!;
    const body = bodyHash(salt(i), recordBytes(i), sha256);
    const now = { seq: before.seq + 1, chain: chainNext(before.chain, body, sha256) };
    last.set(stream, now);
    const tag = cbor.bytes(new Uint8Array(8).fill(7));
    const extra = cbor.array(cbor.bytes(streamId(stream)), cbor.int(now.seq), tag, cbor.bytes(now.chain));
    leaves.push(leafOf(1, i * 1000, i % 2 === 0 ? 1_700_000_000_000 + i * 1000 : null, body, extra));
  }
  return leaves.slice(0, count);
}

/** A ledger with checkpoints at the sizes given. */
export async function testLedger(
  size: number,
  checkpointSizes: readonly number[],
  signer = testSigner(),
): Promise<ExportInput & { readonly tree: Grown }> {
  const leaves = recordLeaves(size);
  const tree = grow(size, (i) => leaves[i]!);
  const checkpoints = [];
  for (const at of checkpointSizes)
    checkpoints.push(await signCheckpoint(at, rootAt(at, tree.node, sha256Tree), signer));
  return { key: formatVerifierKey(signer.key), size, leaf: (i) => leaves[i]!, node: tree.node, checkpoints, tree };
}

/** A seeded generator of integers below `n` (mulberry32): fuzz tests repeat exactly. */
export function dice(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

/** `text` with one character changed, removed, doubled, or a piece cut out. */
export function mutate(text: string, roll: (n: number) => number): string {
  const at = roll(text.length);
  const other = '\n —+=AaZz09{}[]",:\0\ud800é'.charAt(roll(24));
  switch (roll(5)) {
    case 0:
      return text.slice(0, at) + text.slice(at + 1);
    case 1:
      return text.slice(0, at) + other + text.slice(at);
    case 2:
      return text.slice(0, at) + text.slice(at, at + 20) + text.slice(at);
    case 3:
      return text.slice(0, at);
    default:
      return text.slice(0, at) + other + text.slice(at + 1);
  }
}
