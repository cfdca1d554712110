import type { JsonWebKey } from 'node:crypto';
import { type CborKey, type CborValue, encodeCbor } from './cbor.ts';
import { openOwnSign1, parseSign1, sign1 } from './cose.ts';
import { sha256 } from './hash.ts';
import { Shape } from './shape.ts';

/** Counters of one hour of one (agreement, recipient, purpose, action), `meter.cddl`. Exact: they commit with the rows. */
export interface MeterRecord {
  readonly agreement: string;
  readonly recipient: string;
  readonly purpose: string;
  /** ODRL action. */
  readonly action: string;
  /** Hours since the epoch of UTC; −1 − hours of boottime where UTC is unknown. */
  readonly hour: number;
  readonly records: number;
  /** Values that left: one a signal and row, however many results an aggregate has. */
  readonly samples: number;
  /** Sealed bytes. */
  readonly bytes: number;
  /** Samples that the gate kept back … */
  readonly denied: number;
  /** Samples by signal name. */
  readonly fields: ReadonlyMap<string, number>;
  /** Which piece of its hour: what was counted since the piece before. */
  readonly part: number;
  /** Time that the records span, ms. */
  readonly activeMs: number;
  /** … and samples that it let pass. */
  readonly allowed: number;
  /** Samples by operation, in words. */
  readonly transforms: ReadonlyMap<string, number>;
  /** Records by hash of the operations, hex of 32 bytes. */
  readonly algorithms: ReadonlyMap<string, number>;
  /** Records by what the recipient owes for them. */
  readonly duties: ReadonlyMap<string, number>;
  /** Records by hash of the agreement, hex of 32 bytes. */
  readonly policies: ReadonlyMap<string, number>;
  /** 32 bytes: hash of the meter record before. */
  readonly previous: Uint8Array;
}

/** A meter record as a unit keeps it: signed, with the salt that its leaf was made with. */
export interface Metered {
  /** 16 bytes. */
  readonly salt: Uint8Array;
  /** COSE_Sign1 of the meter record. */
  readonly signed: Uint8Array;
}

const VERSION = 1;
const HASH_BYTES = 32;
const SALT_BYTES = 16;
const KID_BYTES = 4;
const FIELDS = 19;
/** A signed meter record is nothing else that the ledger key signs. */
const AAD = encodeCbor(['tollgate/meter']);
const shape = new Shape('meter record');
const kept = new Shape('kept meter record');

/** What the first record has as `previous`. */
export const METER_START: Uint8Array = new Uint8Array(HASH_BYTES);

export function encodeMeter(meter: MeterRecord): Uint8Array {
  const { agreement, recipient, purpose, action, hour, records, samples, bytes, denied } = meter;
  const named = (map: ReadonlyMap<string, number>) => new Map<CborKey, CborValue>(map);
  return encodeCbor([
    ...[VERSION, agreement, recipient, purpose, action, hour, records, samples, bytes, denied, named(meter.fields)],
    ...[meter.part, meter.activeMs, meter.allowed, named(meter.transforms), named(meter.algorithms)],
    ...[named(meter.duties), named(meter.policies), meter.previous],
  ]);
}

/** @throws {TollgateError} TG_WIRE_CBOR, TG_WIRE_MALFORMED */
export function decodeMeter(encoded: Uint8Array): MeterRecord {
  const at = shape.decode(encoded, FIELDS);
  shape.version(at[0]!, VERSION);
  return {
    agreement: shape.text(at[1]!, 'agreement'),
    recipient: shape.text(at[2]!, 'recipient'),
    purpose: shape.text(at[3]!, 'purpose'),
    action: shape.text(at[4]!, 'action'),
    hour: shape.int(at[5]!, 'hour'),
    records: shape.uint(at[6]!, 'records'),
    samples: shape.uint(at[7]!, 'samples'),
    bytes: shape.uint(at[8]!, 'bytes'),
    denied: shape.uint(at[9]!, 'denied'),
    fields: counted(at[10]!, 'fields', (key) => shape.text(key, 'a field')),
    part: shape.uint(at[11]!, 'part'),
    activeMs: shape.uint(at[12]!, 'active_ms'),
    allowed: shape.uint(at[13]!, 'allowed'),
    transforms: counted(at[14]!, 'transforms', (key) => shape.text(key, 'a transform')),
    algorithms: counted(at[15]!, 'algorithms', hashText),
    duties: counted(at[16]!, 'duties', (key) => shape.text(key, 'a duty')),
    policies: counted(at[17]!, 'policies', hashText),
    previous: shape.bytes(at[18]!, 'previous', HASH_BYTES),
  };
}

const HASH_TEXT = /^[0-9a-f]{64}$/;

function hashText(key: CborValue): string {
  const text = shape.text(key, 'a hash');
  return HASH_TEXT.test(text) ? text : shape.refuse('a hash', '64 digits of hex');
}

function counted(value: CborValue, field: string, name: (key: CborValue) => string): ReadonlyMap<string, number> {
  if (!(value instanceof Map)) return shape.refuse(field, 'a map');
  const entries = [...(value as ReadonlyMap<CborKey, CborValue>)];
  return new Map(entries.map(([key, count]) => [name(key), shape.uint(count, 'a count')]));
}

/** @param sign raw signature with the ledger key */
export async function signMeter(
  encoded: Uint8Array,
  algorithm: number,
  keyId: Uint8Array,
  sign: (message: Uint8Array) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  return await sign1(encoded, algorithm, keyId, sign, AAD);
}

/** The meter record in a signed one, unverified: what a unit reads back of its own file. */
export function meterIn(signed: Uint8Array): Uint8Array {
  return parseSign1(signed).payload ?? kept.refuse('the payload', 'there');
}

/**
 * The meter record in a signed one whose signature is right.
 *
 * @param key ledger key of the unit, public JWK
 * @throws {TollgateError} TG_WIRE_COSE, TG_WIRE_KEY, TG_WIRE_SIGNATURE
 */
export function openMeter(signed: Uint8Array, key: JsonWebKey): Uint8Array {
  return openOwnSign1(parseSign1(signed), KID_BYTES, key, AAD);
}

export function encodeMetered({ salt, signed }: Metered): Uint8Array {
  // The signed form is written as it is: an array of its own.
  return encodeCbor([VERSION, salt, signed]);
}

/** @throws {TollgateError} TG_WIRE_CBOR, TG_WIRE_MALFORMED */
export function decodeMetered(encoded: Uint8Array): Metered {
  const [version, salt, signed] = kept.decode(encoded, 3);
  kept.version(version!, VERSION);
  return { salt: kept.bytes(salt!, 'salt', SALT_BYTES), signed: kept.bytes(signed!, 'signed') };
}

/** What the next record has as `previous`. */
export function meterHash(encoded: Uint8Array): Uint8Array {
  return sha256(encoded);
}
