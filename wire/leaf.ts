import { type CborValue, encodeCbor } from './cbor.ts';
import { sha256 } from './hash.ts';
import { Shape } from './shape.ts';

/** Leaf kinds, `leaf.cddl`. */
export const LEAF_BOOT = 0;
export const LEAF_RECORD = 1;
export const LEAF_DECISION = 2;
export const LEAF_CONSENT = 3;
export const LEAF_KEY = 4;
export const LEAF_DOCUMENT = 5;
export const LEAF_GAP = 6;
export const LEAF_TIME_JUMP = 7;
export const LEAF_ACK = 8;
export const LEAF_EXPRESS = 9;
export const LEAF_METER = 10;

const VERSION = 1;
const HASH_BYTES = 32;
const ID_BYTES = 8;
const TAG_BYTES = 8;
/** Domain separation of leaves, RFC 6962 §2.1. */
const LEAF_PREFIX = Uint8Array.of(0);

/** When a leaf's event was. */
export interface LeafTime {
  /** 8 bytes. */
  readonly bootId: Uint8Array;
  readonly boottimeMs: number;
  /** null where UTC is unknown. */
  readonly utcMs: number | null;
}

export interface Leaf extends LeafTime {
  readonly kind: number;
  /** 32 bytes. */
  readonly bodyHash: Uint8Array;
  readonly extra: CborValue;
}

/** What the ledger says of one record; a receiver rebuilds it from what it opened. */
export interface RecordLink extends LeafTime {
  readonly bodyHash: Uint8Array;
  /** 8 bytes. */
  readonly stream: Uint8Array;
  readonly seq: number;
  /** 8 bytes. */
  readonly agreementTag: Uint8Array;
  /** 32 bytes, `nextChain` up to this record. */
  readonly chain: Uint8Array;
}

/** A denial: of the plan (`count` 0: the signal is never decoded), or samples that the gate kept back. */
export interface DecisionBody {
  readonly campaign: string;
  readonly recipient: string;
  readonly signal: string;
  readonly agreement: string | null;
  readonly rule: string | null;
  readonly reason: string;
  readonly constraint: string | null;
  readonly count: number;
}

export type DocumentKind = 'campaign' | 'agreement' | 'law-pack' | 'decoder';
export type ConsentAct = 'grant' | 'limit' | 'withdraw';
export type KeyAct = 'create' | 'rotate' | 'revoke' | 'destroy';
/** What a key is for; `spool` keys have no public half. */
export type KeyUse = 'ledger' | 'recipient' | 'ack' | 'issuer' | 'spool';

const shape = new Shape('leaf');

export function encodeLeaf({ kind, bootId, boottimeMs, utcMs, bodyHash, extra }: Leaf): Uint8Array {
  return encodeCbor([VERSION, kind, bootId, boottimeMs, utcMs, bodyHash, extra]);
}

/** @throws {TollgateError} TG_WIRE_CBOR, TG_WIRE_MALFORMED */
export function decodeLeaf(bytes: Uint8Array): Leaf {
  const [version, kind, bootId, boottimeMs, utcMs, bodyHash, extra] = shape.decode(bytes, 7);
  shape.version(version, VERSION);
  return {
    kind: shape.uint(kind, 'kind'),
    bootId: shape.bytes(bootId, 'boot id', ID_BYTES),
    boottimeMs: shape.uint(boottimeMs, 'boottime'),
    utcMs: shape.intOrNull(utcMs, 'UTC'),
    bodyHash: shape.bytes(bodyHash, 'body hash', HASH_BYTES),
    extra,
  };
}

/** Hash of a leaf in the tree, RFC 6962 §2.1. */
export function leafHash(leaf: Uint8Array): Uint8Array {
  return sha256(LEAF_PREFIX, leaf);
}

/** `H(salt ‖ record)`: without the salt nobody can try out what a record said. */
export function bodyHash(salt: Uint8Array, record: Uint8Array): Uint8Array {
  return sha256(salt, record);
}

/** The chain before the first record of a stream. */
export function chainStart(stream: Uint8Array): Uint8Array {
  return sha256(stream);
}

/** The chain up to a record: proving the newest proves all before it. */
export function nextChain(chain: Uint8Array, body: Uint8Array): Uint8Array {
  return sha256(chain, body);
}

export function recordLeaf({ stream, seq, agreementTag, chain, ...rest }: RecordLink): Uint8Array {
  return encodeLeaf({ ...rest, kind: LEAF_RECORD, extra: [stream, seq, agreementTag, chain] });
}

/** @throws {TollgateError} TG_WIRE_MALFORMED where the leaf is of another kind */
export function recordLink(leaf: Leaf): RecordLink {
  if (leaf.kind !== LEAF_RECORD) shape.refuse('the kind', 'that of a record');
  const [stream, seq, agreementTag, chain] = shape.array(leaf.extra, 'extra', 4);
  const { kind: _, extra: __, ...rest } = leaf;
  return {
    ...rest,
    stream: shape.bytes(stream, 'stream', ID_BYTES),
    seq: shape.uint(seq, 'seq'),
    agreementTag: shape.bytes(agreementTag, 'agreement tag', TAG_BYTES),
    chain: shape.bytes(chain, 'chain', HASH_BYTES),
  };
}

/** A leaf whose extra is its whole body. */
function openLeaf(time: LeafTime, kind: number, extra: CborValue): Uint8Array {
  const { bootId, boottimeMs, utcMs } = time;
  return encodeLeaf({ bootId, boottimeMs, utcMs, kind, bodyHash: sha256(encodeCbor(extra)), extra });
}

/** The agent started. */
export function bootLeaf(time: LeafTime, version: string): Uint8Array {
  return openLeaf(time, LEAF_BOOT, [version]);
}

export function decisionLeaf(time: LeafTime, body: DecisionBody): Uint8Array {
  const { campaign, recipient, signal, agreement, rule, reason, constraint, count } = body;
  return openLeaf(time, LEAF_DECISION, [campaign, recipient, signal, agreement, rule, reason, constraint, count]);
}

/** @throws {TollgateError} TG_WIRE_MALFORMED */
export function decisionBody(leaf: Leaf): DecisionBody {
  if (leaf.kind !== LEAF_DECISION) shape.refuse('the kind', 'that of a decision');
  const [campaign, recipient, signal, agreement, rule, reason, constraint, count] = shape.array(leaf.extra, 'extra', 8);
  const textOrNull = (value: CborValue, field: string) => (value === null ? null : shape.text(value, field));
  return {
    campaign: shape.text(campaign, 'campaign'),
    recipient: shape.text(recipient, 'recipient'),
    signal: shape.text(signal, 'signal'),
    agreement: textOrNull(agreement, 'agreement'),
    rule: textOrNull(rule, 'rule'),
    reason: shape.text(reason, 'reason'),
    constraint: textOrNull(constraint, 'constraint'),
    count: shape.uint(count, 'count'),
  };
}

/** A document or decoder module came into force; the body is the document itself. */
export function documentLeaf(time: LeafTime, kind: DocumentKind, id: string, hash: Uint8Array): Uint8Array {
  return encodeLeaf({ ...time, kind: LEAF_DOCUMENT, bodyHash: hash, extra: [kind, id] });
}

/**
 * The owner gave, narrowed or took back an agreement.
 *
 * @param hash SHA-256 of the bytes of the consent
 */
export function consentLeaf(time: LeafTime, act: ConsentAct, agreement: string, hash: Uint8Array): Uint8Array {
  return encodeLeaf({ ...time, kind: LEAF_CONSENT, bodyHash: hash, extra: [act, agreement] });
}

/** @param keyId first 8 bytes of the hash of the public half; of a spool key, of its label */
export function keyLeaf(time: LeafTime, act: KeyAct, use: KeyUse, keyId: Uint8Array): Uint8Array {
  return openLeaf(time, LEAF_KEY, [act, use, keyId]);
}

/** Records of a stream that were evicted before they were sent. */
export function gapLeaf(time: LeafTime, stream: Uint8Array, seqs: readonly number[]): Uint8Array {
  return openLeaf(time, LEAF_GAP, [stream, [...seqs]]);
}

/** UTC stepped against boottime, ms; null where it was or is unknown. */
export function timeJumpLeaf(time: LeafTime, beforeMs: number | null, afterMs: number | null): Uint8Array {
  return openLeaf(time, LEAF_TIME_JUMP, [beforeMs, afterMs]);
}

/** A recipient acknowledged; the body is its signed acknowledgement. */
export function ackLeaf(
  time: LeafTime,
  stream: Uint8Array,
  uptoSeq: number,
  state: number,
  signed: Uint8Array,
): Uint8Array {
  return encodeLeaf({ ...time, kind: LEAF_ACK, bodyHash: sha256(signed), extra: [stream, uptoSeq, state] });
}

/**
 * The public messages of one stream and second; their hashes form a sub-tree.
 *
 * @param root root of the sub-tree, the body hash of this leaf
 * @param second of boottime, whole
 * @param count messages in it
 */
export function expressLeaf(
  time: LeafTime,
  stream: Uint8Array,
  second: number,
  count: number,
  root: Uint8Array,
): Uint8Array {
  return encodeLeaf({ ...time, kind: LEAF_EXPRESS, bodyHash: root, extra: [stream, second, count] });
}

/**
 * Counters of an hour, `meter.cddl`. Salted as a record is: small numbers could be tried out.
 *
 * @param salt 16 bytes, disclosed with the meter record
 * @param hour as in `MeterRecord`
 */
export function meterLeaf(time: LeafTime, salt: Uint8Array, meter: Uint8Array, hour: number): Uint8Array {
  return encodeLeaf({ ...time, kind: LEAF_METER, bodyHash: bodyHash(salt, meter), extra: [hour] });
}
