import type { CborValue } from './cbor.ts';
import {
  type ConsentAct,
  type DecisionBody,
  type DocumentKind,
  decisionBody,
  type KeyAct,
  type KeyUse,
  LEAF_ACK,
  LEAF_BOOT,
  LEAF_CONSENT,
  LEAF_DECISION,
  LEAF_DOCUMENT,
  LEAF_EXPRESS,
  LEAF_GAP,
  LEAF_KEY,
  LEAF_METER,
  LEAF_RECORD,
  LEAF_TIME_JUMP,
  type Leaf,
  type RecordLink,
  recordLink,
} from './leaf.ts';
import { Shape } from './shape.ts';

/** What a leaf tells besides when and the hash of its body: `extra` by kind, `leaf.cddl`. */
export type LeafEvent =
  | { readonly kind: 'boot'; readonly version: string }
  | { readonly kind: 'record'; readonly link: RecordLink }
  | { readonly kind: 'decision'; readonly decision: DecisionBody }
  | { readonly kind: 'consent'; readonly act: ConsentAct; readonly agreement: string }
  | { readonly kind: 'key'; readonly act: KeyAct; readonly use: KeyUse; readonly keyId: Uint8Array }
  | { readonly kind: 'document'; readonly document: DocumentKind; readonly id: string }
  | { readonly kind: 'gap'; readonly stream: Uint8Array; readonly seqs: readonly number[] }
  | { readonly kind: 'time jump'; readonly beforeMs: number | null; readonly afterMs: number | null }
  | { readonly kind: 'ack'; readonly stream: Uint8Array; readonly uptoSeq: number; readonly state: 1 | 2 }
  | { readonly kind: 'express'; readonly stream: Uint8Array; readonly second: number; readonly count: number }
  | { readonly kind: 'meter'; readonly hour: number };

const ID_BYTES = 8;
const CONSENT_ACTS: readonly ConsentAct[] = ['grant', 'limit', 'withdraw'];
const KEY_ACTS: readonly KeyAct[] = ['create', 'rotate', 'revoke', 'destroy'];
const KEY_USES: readonly KeyUse[] = ['ledger', 'recipient', 'ack', 'issuer', 'spool'];
const DOCUMENTS: readonly DocumentKind[] = ['campaign', 'agreement', 'law-pack', 'decoder'];
const shape = new Shape('leaf');

/**
 * The event of a leaf that `decodeLeaf` read.
 *
 * @throws {TollgateError} TG_WIRE_MALFORMED for an unknown kind, or an `extra` that its kind does not have
 */
export function leafEvent(leaf: Leaf): LeafEvent {
  const read = READERS.get(leaf.kind) ?? shape.refuse('the kind', 'one of this version');
  return read(leaf);
}

function fields(leaf: Leaf, length: number): readonly CborValue[] {
  return shape.array(leaf.extra, 'extra', length);
}

function word<Word extends string>(value: CborValue, field: string, known: readonly Word[]): Word {
  return known.find((one) => one === value) ?? shape.refuse(field, known.join(', '));
}

const streamOf = (value: CborValue) => shape.bytes(value, 'stream', ID_BYTES);

const READERS: ReadonlyMap<number, (leaf: Leaf) => LeafEvent> = new Map([
  [LEAF_BOOT, (leaf) => ({ kind: 'boot', version: shape.text(fields(leaf, 1)[0], 'version') })],
  [LEAF_RECORD, (leaf) => ({ kind: 'record', link: recordLink(leaf) })],
  [LEAF_DECISION, (leaf) => ({ kind: 'decision', decision: decisionBody(leaf) })],
  [LEAF_CONSENT, consent],
  [LEAF_KEY, key],
  [LEAF_DOCUMENT, document],
  [LEAF_GAP, gap],
  [LEAF_TIME_JUMP, timeJump],
  [LEAF_ACK, ack],
  [LEAF_EXPRESS, express],
  [LEAF_METER, (leaf) => ({ kind: 'meter', hour: shape.int(fields(leaf, 1)[0], 'hour') })],
]);

function consent(leaf: Leaf): LeafEvent {
  const [act, agreement] = fields(leaf, 2);
  return { kind: 'consent', act: word(act, 'act', CONSENT_ACTS), agreement: shape.text(agreement, 'agreement') };
}

function key(leaf: Leaf): LeafEvent {
  const [act, use, keyId] = fields(leaf, 3);
  const id = shape.bytes(keyId, 'key id', ID_BYTES);
  return { kind: 'key', act: word(act, 'act', KEY_ACTS), use: word(use, 'use', KEY_USES), keyId: id };
}

function document(leaf: Leaf): LeafEvent {
  const [kind, id] = fields(leaf, 2);
  return { kind: 'document', document: word(kind, 'kind', DOCUMENTS), id: shape.text(id, 'id') };
}

function gap(leaf: Leaf): LeafEvent {
  const [stream, seqs] = fields(leaf, 2);
  const evicted = shape.array(seqs, 'seqs').map((seq) => shape.uint(seq, 'a seq'));
  return { kind: 'gap', stream: streamOf(stream), seqs: evicted };
}

function timeJump(leaf: Leaf): LeafEvent {
  const [before, after] = fields(leaf, 2);
  return { kind: 'time jump', beforeMs: shape.intOrNull(before, 'before'), afterMs: shape.intOrNull(after, 'after') };
}

function ack(leaf: Leaf): LeafEvent {
  const [stream, uptoSeq, state] = fields(leaf, 3);
  if (state !== 1 && state !== 2) return shape.refuse('the state', '1 or 2');
  return { kind: 'ack', stream: streamOf(stream), uptoSeq: shape.uint(uptoSeq, 'highest seq'), state };
}

function express(leaf: Leaf): LeafEvent {
  const [stream, second, count] = fields(leaf, 3);
  return {
    kind: 'express',
    stream: streamOf(stream),
    second: shape.uint(second, 'second'),
    count: shape.uint(count, 'count'),
  };
}
