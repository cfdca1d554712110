import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { type ErrorCode, TollgateError } from '#contracts';
import { TYPE_ECDSA, TYPE_ED25519, type VerifierKey } from '#ledger';
import { acceptSession as acceptWireSession, type ReceiverSession, type Schema, type StreamName } from '#wire';
import { createRecordDecoder, type RecordDecoder } from '#wire/columns/index';
import { HEADER_KID, HEADER_PARTIAL_IV, parseEncrypt0, parseSign1 } from '#wire/cose';
import type { OpenedRecord } from './contract.ts';
import type { ReceiverKeys } from './keys.ts';
import { MOST_RECORDS } from './progress.ts';

/** A session that was accepted: it opens the envelopes of its stream. */
export interface Opening {
  /** Name of the ledger key that signed it. */
  readonly unit: string;
  readonly schema: Schema;
  /** 8 bytes. */
  readonly agreementTag: Uint8Array;
  readonly session: ReceiverSession;
  readonly decoder: RecordDecoder;
}

/** Bytes of a number that is exact in a double. */
const SEQ_BYTES = 6;
/** Longest name of a signal or unit, bytes: a row of PostgreSQL's indexes takes 2,704 in all. */
const MOST_NAME_BYTES = 1_024;
/** Names of the note's key id in a COSE kid: four bytes, big-endian. */
const KID_BYTES = 4;

/**
 * Accepts a session: signed by one of our units, made for us, for this topic.
 *
 * @returns `other` for a session that one of our units signed and that our key does not open: another recipient's
 * @throws {TollgateError} TG_RECEIVER_SESSION, TG_RECEIVER_STRANGER
 */
export async function acceptSession(
  name: StreamName,
  message: Uint8Array,
  keys: ReceiverKeys,
): Promise<Opening | 'other'> {
  return await foreign('TG_RECEIVER_SESSION', 'a session was refused', async () => {
    const known = candidates(message, keys.units);
    if (known.length === 0) {
      throw new TollgateError('TG_RECEIVER_STRANGER', 'a session came that no known unit signed');
    }
    let refusal: unknown;
    for (const key of known) {
      try {
        const session = await acceptWireSession(message, name, jwkOf(key), keys.hpke);
        const { schema, agreementTag } = session;
        refuseNames(schema);
        return { unit: key.name, schema, agreementTag, session, decoder: createRecordDecoder(schema) };
      } catch (error) {
        // The signature is checked first: what is signed and does not open was sealed for somebody else.
        if (error instanceof TollgateError && error.code === 'TG_WIRE_SEAL') return 'other';
        refusal = error;
      }
    }
    throw refusal;
  });
}

/**
 * Opens one envelope.
 *
 * @throws {TollgateError} TG_RECEIVER_ENVELOPE
 */
export async function openRecord(
  of: StreamName & { readonly opening: Opening },
  bytes: Uint8Array,
): Promise<OpenedRecord> {
  const { session, decoder, schema } = of.opening;
  return await foreign('TG_RECEIVER_ENVELOPE', 'an envelope was refused', async () => {
    const { seq, record, salt, bodyHash } = await session.open(bytes);
    if (seq >= MOST_RECORDS) throw new TollgateError('TG_RECEIVER_ENVELOPE', `no stream has a record ${seq}`);
    const { schemaHash8, t0Ms, tables, samples } = decoder.decode(record);
    if (!Buffer.from(schemaHash8).equals(session.schemaHash.subarray(0, schemaHash8.length))) {
      throw new TollgateError('TG_RECEIVER_ENVELOPE', `record ${seq} names another schema than its session`);
    }
    const utcMs = schema.utcOffsetMs === null ? null : t0Ms + schema.utcOffsetMs;
    const { pseudonym, stream } = of;
    return { pseudonym, stream, seq, t0Ms, utcMs, samples, bodyHash, record, salt, schema, tables };
  });
}

/**
 * Names that a store cannot keep (PostgreSQL has no text with a NUL, and no index over a long one) would stop every
 * receiver of a database, again and again: they are refused with the session, whatever the store.
 */
function refuseNames({ groups }: Schema): void {
  for (const { columns } of groups) {
    for (const { signal, unit } of columns) {
      for (const name of [signal, unit]) {
        if (Buffer.byteLength(name) <= MOST_NAME_BYTES && !CONTROL.test(name)) continue;
        const text = `a session names a signal or unit in more than ${MOST_NAME_BYTES} bytes, or with a control character`;
        throw new TollgateError('TG_RECEIVER_SESSION', text);
      }
    }
  }
}

const CONTROL = /\p{Cc}/u;

/** The number that an envelope claims, for alarms: nobody checked it. Null where it claims none. */
export function claimedSeq(bytes: Uint8Array): number | null {
  try {
    const iv = parseEncrypt0(bytes).headers.get(HEADER_PARTIAL_IV);
    if (!(iv instanceof Uint8Array) || iv.length === 0 || iv.length > SEQ_BYTES) return null;
    return Buffer.from(iv).readUIntBE(0, iv.length);
  } catch {
    return null;
  }
}

/** Keys whose id the message names. The id proves nothing; it only saves trying them all. */
function candidates(message: Uint8Array, units: readonly VerifierKey[]): readonly VerifierKey[] {
  const kid = parseSign1(message).protectedHeaders.get(HEADER_KID);
  if (!(kid instanceof Uint8Array) || kid.length !== KID_BYTES) return [];
  const id = Buffer.from(kid).readUInt32BE();
  return units.filter((key) => key.keyId === id && (key.type === TYPE_ED25519 || key.type === TYPE_ECDSA));
}

function jwkOf({ type, publicKey }: VerifierKey): JsonWebKey {
  if (type === TYPE_ED25519) return { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') };
  return createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' }).export({ format: 'jwk' });
}

/** Whatever is wrong with what others wrote is one error of ours: a message must not stop the receiver. */
export async function foreign<T>(code: ErrorCode, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof TollgateError && cause.code.startsWith('TG_RECEIVER_')) throw cause;
    throw new TollgateError(code, `${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** What is wrong with our own store or outputs: everything stops. */
export const OWN_FAULTS: readonly string[] = ['TG_RECEIVER_STORE', 'TG_RECEIVER_OUTPUT'];
