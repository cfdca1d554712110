import { hash } from 'node:crypto';
import { type LeafView, readLeaf } from '#ledger';
import { ByteReader, ByteWriter } from './bytes.ts';

/**
 * Leaves packed against the leaf before of the same stream (its *model*). Of a record leaf only the body hash and the
 * digits that moved are new, and its chain follows from the model's: 117 bytes become about 50.
 *
 * A leaf: code · number of a stream where the code says so · bytes of the leaf · runs until its end, each: bytes that are
 * those of the model at the same place · bytes that follow, and they. Code = 2 · place + chained; place 0: no model, 1: the
 * model is the newest leaf of that stream before the block, n: the leaf n − 1 before this one. A chained leaf is written
 * without its last 32 bytes.
 */
const HASH_BYTES = 32;
/** Equal bytes that end a run of new ones; fewer cost more than they save. */
const SHORTEST_EQUAL = 3;
/** A gap leaf of 1,000 numbers has about 5,000 bytes; a claim of more is damage. */
const MOST_BYTES = 64 * 1024;
const OUTSIDE = 1;
const NONE = new Uint8Array(0);

/** Newest leaf of a stream before the block. */
export interface Outside {
  /** By the stream's 8 bytes as latin1; null where there is none. */
  of(stream: string): { readonly id: number; readonly leaf: Uint8Array } | null;
  byId(id: number): Uint8Array;
}

/** A block that needs no other. */
export const ALONE: Outside = {
  of: () => null,
  byId: (id) => {
    throw new RangeError(`a leaf has its model outside of the block, in stream ${id}`);
  },
};

const writer = new ByteWriter();
const link = new Uint8Array(2 * HASH_BYTES);

/** SHA-256(chain ‖ body hash): `chain` of formats.md, from the last 32 bytes of the leaf before. */
function chainAfter(model: Uint8Array, bodyHash: Uint8Array): Uint8Array {
  link.set(model.subarray(model.length - HASH_BYTES));
  link.set(bodyHash, HASH_BYTES);
  return hash('sha256', link, 'buffer');
}

/** @param views the leaves as they read, where they were read before */
export function packLeaves(
  leaves: readonly Uint8Array[],
  views: readonly LeafView[] = leaves.map(readLeaf),
  outside: Outside = ALONE,
): Uint8Array {
  const newest = new Map<string, number>();
  writer.reset();
  for (const [index, leaf] of leaves.entries()) {
    const { record, bodyHash } = views[index]!;
    const key = record === null ? `${leaf.length}` : latin1(record.stream);
    const inside = newest.get(key);
    newest.set(key, index);
    const before = inside === undefined && record !== null ? outside.of(key) : null;
    const model = inside === undefined ? (before?.leaf ?? NONE) : leaves[inside]!;
    const place = inside === undefined ? (before === null ? 0 : OUTSIDE) : index - inside + OUTSIDE;
    const chained =
      record !== null && model.length > 0 && Buffer.compare(chainAfter(model, bodyHash), record.chain) === 0;
    writer.varint(2 * place + (chained ? 1 : 0));
    if (place === OUTSIDE) writer.varint(before!.id);
    writer.varint(leaf.length);
    runs(leaf, model, chained ? leaf.length - HASH_BYTES : leaf.length);
  }
  return writer.view().slice();
}

function runs(leaf: Uint8Array, model: Uint8Array, end: number): void {
  let at = 0;
  while (at < end) {
    const begun = at;
    while (at < end && leaf[at] === model[at]) at++;
    writer.varint(at - begun);
    if (at === end) return;
    const from = at;
    let equal = 0;
    while (at < end && equal < SHORTEST_EQUAL) equal = leaf[at] === model[at++] ? equal + 1 : 0;
    if (equal === SHORTEST_EQUAL) at -= SHORTEST_EQUAL;
    writer.blob(leaf.subarray(from, at));
  }
}

/** @throws {RangeError} or a TollgateError of the leaf, where the block is damaged */
export function unpackLeaves(block: Uint8Array, count: number, outside: Outside = ALONE): Uint8Array[] {
  const reader = new ByteReader(block);
  const leaves: Uint8Array[] = [];
  for (let index = 0; index < count; index++) {
    const code = reader.varint();
    const place = code >> 1;
    const model =
      place === 0 ? NONE : place === OUTSIDE ? outside.byId(reader.varint()) : leaves[index - place + OUTSIDE];
    const length = reader.varint();
    if (model === undefined || length > MOST_BYTES)
      throw new RangeError('a leaf has no model, or claims to be too long');
    leaves.push(unpack(reader, model, length, code % 2 === 1));
  }
  return leaves;
}

function unpack(reader: ByteReader, model: Uint8Array, length: number, chained: boolean): Uint8Array {
  const leaf = new Uint8Array(length);
  const end = chained ? length - HASH_BYTES : length;
  for (let at = 0; at < end; ) {
    const equal = reader.varint();
    if (equal > Math.min(end, model.length) - at) throw new RangeError('a leaf is longer than its model');
    leaf.set(model.subarray(at, at + equal), at);
    at += equal;
    if (at === end) break;
    const fresh = reader.blob();
    if (fresh.length === 0 || at + fresh.length > end) throw new RangeError('a leaf is shorter than its bytes');
    leaf.set(fresh, at);
    at += fresh.length;
  }
  if (chained) leaf.set(chainAfter(model, readLeaf(leaf).bodyHash), end);
  return leaf;
}

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
