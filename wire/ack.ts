import type { JsonWebKey } from 'node:crypto';
import { encodeCbor } from './cbor.ts';
import { ALG_EDDSA, openOwnSign1, parseSign1, sign1 } from './cose.ts';
import { sha256 } from './hash.ts';
import { Shape } from './shape.ts';

/** `opened`: stored by the receiver, the unit may delete; `proven`: checked against a signed checkpoint as well. */
export type AckState = 'opened' | 'proven';
const STATES: readonly (AckState | null)[] = [null, 'opened', 'proven'];

/** What a recipient signs about one stream, `ack.cddl`. */
export interface AckBody {
  /** 8 bytes. */
  readonly stream: Uint8Array;
  /** Highest seq stored. */
  readonly uptoSeq: number;
  /** Holes below it. */
  readonly missing: readonly number[];
  readonly state: AckState;
  /** Size of the newest checkpoint that the receiver verified, 0 before the first. */
  readonly checkpointSize: number;
}

const VERSION = 1;
const ID_BYTES = 8;
const KID_BYTES = 8;
const shape = new Shape('ack');

/** Key id of an ack key: the first bytes of the hash of its public half. */
export function ackKeyId(key: JsonWebKey): Uint8Array {
  return sha256(Buffer.from(key.x ?? '', 'base64url')).subarray(0, KID_BYTES);
}

/** @param sign Ed25519 signature with the ack key */
export async function signAck(
  { stream, uptoSeq, missing, state, checkpointSize }: AckBody,
  keyId: Uint8Array,
  sign: (message: Uint8Array) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const payload = encodeCbor([VERSION, stream, uptoSeq, [...missing], STATES.indexOf(state), checkpointSize]);
  return await sign1(payload, ALG_EDDSA, keyId, sign);
}

/**
 * The acknowledgement, its signature checked.
 *
 * @param keyOf public ack key of the recipient of a stream; null where the unit has no such stream
 * @throws {TollgateError} TG_WIRE_CBOR, TG_WIRE_COSE, TG_WIRE_MALFORMED, TG_WIRE_SIGNATURE
 */
export async function openAck(
  bytes: Uint8Array,
  keyOf: (stream: Uint8Array) => Promise<JsonWebKey | null>,
): Promise<AckBody> {
  const message = parseSign1(bytes);
  const body = decodeAck(message.payload ?? new Uint8Array());
  const key = await keyOf(body.stream);
  if (key === null) return shape.refuse('the stream', 'one of this unit');
  openOwnSign1(message, KID_BYTES, key);
  return body;
}

function decodeAck(payload: Uint8Array): AckBody {
  const [version, stream, uptoSeq, missing, state, checkpointSize] = shape.decode(payload, 6);
  shape.version(version, VERSION);
  const upto = shape.uint(uptoSeq, 'highest seq');
  const holes = shape.array(missing, 'missing').map((seq) => shape.uint(seq, 'a missing seq'));
  if (holes.some((seq, i) => seq >= upto || (i > 0 && seq <= holes[i - 1]!)))
    shape.refuse('missing', 'a rising list below the highest seq');
  return {
    stream: shape.bytes(stream, 'stream', ID_BYTES),
    uptoSeq: upto,
    missing: holes,
    state: STATES[shape.uint(state, 'state')] ?? shape.refuse('the state', '1 or 2'),
    checkpointSize: shape.uint(checkpointSize, 'checkpoint size'),
  };
}
