import { createHmac, type JsonWebKey } from 'node:crypto';
import { TollgateError } from '#contracts';
import { NONCE_BYTES, open, seal } from './aead.ts';
import { type CborValue, encodeCbor } from './cbor.ts';
import { packRecord, unpackRecord } from './columns/outer.ts';
import {
  ALG_EDDSA,
  encStructure,
  HEADER_KID,
  HEADER_PARTIAL_IV,
  openOwnSign1,
  parseEncrypt0,
  parseSign1,
  sign1,
} from './cose.ts';
import { type HpkeExport, hpkeRecipient, hpkeSender, SUITE } from './hpke.ts';
import { bodyHash } from './leaf.ts';
import type { Schema } from './schema.ts';
import { decodeSchema, encodeSchema, schemaHash } from './schema-codec.ts';
import { Shape } from './shape.ts';
import { recordTopic, sessionTopic } from './topics.ts';

/**
 * A session is one HPKE context (RFC 9180) of one stream. The context itself seals only the schema; everything else is
 * exported from it: record key, base nonce, a salt a record, the key of the agreement tag. `session.cddl`, `envelope.cddl`.
 */

const VERSION = 1;
const INFO_LABEL = 'tollgate/1';
const KEY_BYTES = 32;
const SALT_BYTES = 16;
const TAG_BYTES = 8;
const ID_BYTES = 8;
const HASH_BYTES = 32;
/** What brokers take in one message (AWS IoT Core: 128 KB). */
const MAX_MESSAGE_BYTES = 128 * 1024;
/** A note key id, C2SP signed-note. */
const KID_BYTES = 4;
/** Salts are asked for nearly in order; a block that is exported at once costs a third as much each (85 → 26 µs). */
const SALT_BLOCK = 32;
/** Blocks that are kept: what arrives out of order is seldom further off than one. */
const SALT_BLOCKS_KEPT = 2;
const EMPTY = new Uint8Array();
const utf8 = new TextEncoder();
const LABEL_KEY = utf8.encode('key');
const LABEL_NONCE = utf8.encode('nonce');
const LABEL_TAG = utf8.encode('tag');
const LABEL_SALT = utf8.encode('salt');
const sessionShape = new Shape('session');
const envelopeShape = new Shape('envelope');

/** Names that bind a session and its envelopes to one place. */
export interface StreamName {
  readonly tenant: string;
  readonly pseudonym: string;
  /** 8 bytes. */
  readonly stream: Uint8Array;
}

export interface SealedRecord {
  /** COSE_Encrypt0, untagged. */
  readonly payload: Uint8Array;
  readonly bodyHash: Uint8Array;
  /** 16 bytes; never sent, disclosed with the record where it must be proved. */
  readonly salt: Uint8Array;
}

/** What a third party needs to check one record against the ledger, without any session key. */
export interface Disclosure {
  readonly record: Uint8Array;
  /** 16 bytes. */
  readonly salt: Uint8Array;
}

/** The unit's end. Lives in memory only: a sender context that is stored could use a nonce twice. */
export interface SenderSession {
  /** COSE_Sign1 that opens the stream. */
  readonly message: Uint8Array;
  /** 32 bytes. */
  readonly schemaHash: Uint8Array;
  /** 8 bytes. */
  readonly agreementTag: Uint8Array;
  /**
   * @param seq larger than the one before: a nonce is never used twice
   * @param record of this session's schema, as `encodeRecord` writes it
   * @throws {TollgateError} TG_WIRE_SEQ for any other; TG_WIRE_RECORD_MALFORMED, TG_WIRE_RECORD_TOO_LARGE
   */
  seal(seq: number, record: Uint8Array): Promise<SealedRecord>;
  /**
   * The salt of a record that was sealed, 16 bytes. With the record itself it is a `Disclosure`; it opens no other record.
   *
   * @throws {TollgateError} TG_WIRE_MALFORMED for a seq that was not reached yet
   */
  disclose(seq: number): Promise<Uint8Array>;
}

export interface OpenedRecord extends Disclosure {
  readonly seq: number;
  readonly bodyHash: Uint8Array;
}

/** The recipient's end. */
export interface ReceiverSession {
  readonly stream: Uint8Array;
  readonly schema: Schema;
  readonly schemaHash: Uint8Array;
  readonly agreementTag: Uint8Array;
  /** @throws {TollgateError} TG_WIRE_CBOR, TG_WIRE_COSE, TG_WIRE_MALFORMED, TG_WIRE_SEAL, TG_WIRE_RECORD_MALFORMED */
  open(envelope: Uint8Array): Promise<OpenedRecord>;
}

export interface SessionOptions extends StreamName {
  /** Public X25519 JWK of the recipient. */
  readonly recipientKey: JsonWebKey;
  readonly schema: Schema;
  /** Signs with the ledger key, Ed25519 unless `algorithm` says ES256. */
  readonly sign: (message: Uint8Array) => Promise<Uint8Array>;
  readonly algorithm?: number;
  /** Note key id of the ledger key. */
  readonly keyId: Uint8Array;
}

interface Keys {
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
  readonly agreementTag: Uint8Array;
  readonly salt: (seq: number) => Promise<Uint8Array>;
}

async function exportKeys(context: HpkeExport, agreement: string): Promise<Keys> {
  const key = await context.export(LABEL_KEY, KEY_BYTES);
  const nonce = await context.export(LABEL_NONCE, NONCE_BYTES);
  const tagKey = await context.export(LABEL_TAG, KEY_BYTES);
  const agreementTag = new Uint8Array(createHmac('sha256', tagKey).update(agreement).digest().subarray(0, TAG_BYTES));
  return { key, nonce, agreementTag, salt: saltsOf(context) };
}

function saltsOf(context: HpkeExport): (seq: number) => Promise<Uint8Array> {
  const blocks = new Map<number, Promise<readonly Uint8Array[]>>();
  return async (seq) => {
    const block = Math.floor(seq / SALT_BLOCK);
    const known = blocks.get(block);
    if (known !== undefined) return (await known)[seq % SALT_BLOCK]!;
    const labels = Array.from({ length: SALT_BLOCK }, (_, i) => saltLabel(block * SALT_BLOCK + i));
    const salts = Promise.all(labels.map((label) => context.export(label, SALT_BYTES)));
    blocks.set(block, salts);
    const [oldest] = blocks.keys();
    if (blocks.size > SALT_BLOCKS_KEPT) blocks.delete(oldest!);
    return (await salts)[seq % SALT_BLOCK]!;
  };
}

function saltLabel(seq: number): Uint8Array {
  const label = new Uint8Array(LABEL_SALT.length + 8);
  label.set(LABEL_SALT);
  new DataView(label.buffer).setBigUint64(LABEL_SALT.length, BigInt(seq));
  return label;
}

function tooLarge(what: string): never {
  throw new TollgateError('TG_WIRE_RECORD_TOO_LARGE', `${what}, where ${MAX_MESSAGE_BYTES} are the most`);
}

const infoOf = ({ tenant, pseudonym, stream }: StreamName) => encodeCbor([INFO_LABEL, tenant, pseudonym, stream]);
/** Associated data of the schema and of the signature: a session moved to another name is not signed for it. */
const placeOf = (topic: string, { pseudonym, stream }: StreamName) => encodeCbor([topic, pseudonym, stream]);

/** Big-endian without leading zero bytes; 0 is one zero byte. RFC 9052 §3.1, Partial IV. */
function partialIv(seq: number): Uint8Array {
  const hex = seq.toString(16);
  return new Uint8Array(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex'));
}

function seqOf(iv: Uint8Array): number {
  if (iv.length === 0 || iv.length > 7 || (iv.length > 1 && iv[0] === 0))
    envelopeShape.refuse('the partial IV', 'a number in its shortest form');
  const seq = Number.parseInt(Buffer.from(iv).toString('hex'), 16);
  if (!Number.isSafeInteger(seq)) envelopeShape.refuse('the partial IV', 'a number below 2^53');
  return seq;
}

/** Base nonce XOR partial IV, padded on the left. */
function nonceOf(base: Uint8Array, iv: Uint8Array): Uint8Array {
  const nonce = base.slice();
  const start = nonce.length - iv.length;
  for (const [i, byte] of iv.entries()) nonce[start + i]! ^= byte;
  return nonce;
}

function aadOf(topic: string, pseudonym: string, agreementTag: Uint8Array, seq: number): Uint8Array {
  return encStructure(EMPTY, encodeCbor([topic, pseudonym, agreementTag, seq]));
}

/**
 * Opens a stream towards its recipient.
 *
 * @throws {TollgateError} TG_WIRE_KEY, TG_WIRE_TOPIC
 */
export async function openSession(options: SessionOptions): Promise<SenderSession> {
  const { tenant, pseudonym, stream, schema, recipientKey, sign, algorithm = ALG_EDDSA, keyId } = options;
  const topic = recordTopic(tenant, pseudonym, stream);
  const encoded = encodeSchema(schema);
  const hash = schemaHash(encoded);
  const context = await hpkeSender(recipientKey, infoOf(options));
  const place = placeOf(sessionTopic(topic), options);
  const sealedSchema = await context.seal(encoded, place);
  const payload = encodeCbor([VERSION, stream, SUITE, context.enc, 0, hash, sealedSchema]);
  const message = await sign1(payload, algorithm, keyId, sign, place);
  if (message.length > MAX_MESSAGE_BYTES) tooLarge(`a session of ${message.length} bytes`);
  const { key, nonce, agreementTag, salt } = await exportKeys(context, schema.agreement.uid);
  let last = -1;
  return {
    message,
    schemaHash: hash,
    agreementTag,
    async seal(seq, record) {
      if (!Number.isSafeInteger(seq) || seq <= last)
        throw new TollgateError('TG_WIRE_SEQ', `record ${seq} cannot follow record ${last}`);
      last = seq;
      const iv = partialIv(seq);
      const aad = aadOf(topic, pseudonym, agreementTag, seq);
      const packed = packRecord(record, seq, hash, schema.timing);
      const ciphertext = seal('chacha20-poly1305', key, nonceOf(nonce, iv), aad, packed);
      const headers = new Map<number, CborValue>([[HEADER_PARTIAL_IV, iv]]);
      const recordSalt = await salt(seq);
      const payload = encodeCbor([EMPTY, headers, ciphertext]);
      if (payload.length > MAX_MESSAGE_BYTES) tooLarge(`an envelope of ${payload.length} bytes`);
      return { payload, bodyHash: bodyHash(recordSalt, record), salt: recordSalt };
    },
    async disclose(seq) {
      if (!Number.isSafeInteger(seq) || seq < 0 || seq > last) envelopeShape.refuse('the seq', 'one that was sealed');
      return await salt(seq);
    },
  };
}

/** Stream and key id of a session message, its signature not yet checked: a receiver looks up the unit's key by them. */
export function peekSession(message: Uint8Array): { readonly stream: Uint8Array; readonly keyId: Uint8Array } {
  const { payload, protectedHeaders } = parseSign1(message);
  const [, stream] = sessionShape.decode(payload ?? EMPTY, 7);
  const keyId = sessionShape.bytes(protectedHeaders.get(HEADER_KID), 'the key id', KID_BYTES);
  return { stream: sessionShape.bytes(stream, 'stream', ID_BYTES), keyId };
}

/**
 * Accepts a session at the recipient.
 *
 * @param ledgerKey public JWK of the unit's ledger key
 * @param privateKey private X25519 JWK
 * @throws {TollgateError} TG_WIRE_CBOR, TG_WIRE_COSE, TG_WIRE_SIGNATURE, TG_WIRE_MALFORMED, TG_WIRE_KEY, TG_WIRE_SEAL
 */
export async function acceptSession(
  message: Uint8Array,
  name: StreamName,
  ledgerKey: JsonWebKey,
  privateKey: JsonWebKey,
): Promise<ReceiverSession> {
  const topic = recordTopic(name.tenant, name.pseudonym, name.stream);
  const place = placeOf(sessionTopic(topic), name);
  const payload = openOwnSign1(parseSign1(message), KID_BYTES, ledgerKey, place);
  const [version, stream, suite, enc, baseSeq, hash, sealedSchema] = sessionShape.decode(payload, 7);
  sessionShape.version(version, VERSION);
  const streamId = sessionShape.bytes(stream, 'stream', ID_BYTES);
  if (Buffer.compare(streamId, name.stream) !== 0) sessionShape.refuse('the stream', 'that of its topic');
  const ids = sessionShape.array(suite, 'suite', SUITE.length);
  if (SUITE.some((id, i) => ids[i] !== id)) sessionShape.refuse('the suite', `${SUITE}`);
  if (baseSeq !== 0) sessionShape.refuse('the first seq', '0');
  const context = await hpkeRecipient(privateKey, sessionShape.bytes(enc, 'encapsulated key', KEY_BYTES), infoOf(name));
  const sealed = sessionShape.bytes(sealedSchema, 'sealed schema');
  const encoded = await context.open(sealed, place);
  const declared = sessionShape.bytes(hash, 'schema hash', HASH_BYTES);
  if (Buffer.compare(schemaHash(encoded), declared) !== 0) sessionShape.refuse('the schema hash', 'that of the schema');
  const schema = decodeSchema(encoded);
  const { key, nonce, agreementTag, salt } = await exportKeys(context, schema.agreement.uid);
  return {
    stream: streamId,
    schema,
    schemaHash: declared,
    agreementTag,
    async open(envelope) {
      const { tagged, protectedBytes, headers, payload: ciphertext } = parseEncrypt0(envelope);
      if (tagged) envelopeShape.refuse('the whole', 'untagged');
      if (protectedBytes.length > 0 || headers.size !== 1) envelopeShape.refuse('the headers', 'a partial IV alone');
      const iv = envelopeShape.bytes(headers.get(HEADER_PARTIAL_IV), 'the partial IV');
      const seq = seqOf(iv);
      const sealedRecord = envelopeShape.bytes(ciphertext, 'the ciphertext');
      const aad = aadOf(topic, name.pseudonym, agreementTag, seq);
      const packed = open('chacha20-poly1305', key, nonceOf(nonce, iv), aad, sealedRecord);
      const record = unpackRecord(packed, seq, declared, schema.timing);
      const recordSalt = await salt(seq);
      return { seq, record, salt: recordSalt, bodyHash: bodyHash(recordSalt, record) };
    },
  };
}
