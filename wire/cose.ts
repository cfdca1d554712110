import { createHmac, createPublicKey, type JsonWebKey, type KeyObject, timingSafeEqual, verify } from 'node:crypto';
import { TollgateError } from '#contracts';
import { type AeadName, NONCE_BYTES, open } from './aead.ts';
import { type CborTag, type CborValue, decodeCbor, encodeCbor } from './cbor.ts';

/** COSE, RFC 9052: the structures that this project signs and seals, and what the vectors of the working group need. */

/** Header labels, RFC 9052 §3.1. */
export const HEADER_ALG = 1;
export const HEADER_CRIT = 2;
export const HEADER_KID = 4;
export const HEADER_IV = 5;
export const HEADER_PARTIAL_IV = 6;
/** Algorithms, RFC 9053. */
export const ALG_EDDSA = -8;
export const ALG_ES256 = -7;
export const ALG_HS256 = 5;
export const ALG_HS256_64 = 4;
const TAG_SIGN1 = 18;
const TAG_MAC0 = 17;
const TAG_ENCRYPT0 = 16;
const AEADS: ReadonlyMap<number, AeadName> = new Map([
  [1, 'aes-128-gcm'],
  [2, 'aes-192-gcm'],
  [3, 'aes-256-gcm'],
  [24, 'chacha20-poly1305'],
]);
const HALF_TAG_BYTES = 8;
const EMPTY = new Uint8Array();
/** CBOR `{}`. */
const EMPTY_MAP = 0xa0;

export type Headers = ReadonlyMap<number | string, CborValue>;

/** A COSE message of three or four parts, its signature or tag not yet checked. */
export interface CoseMessage {
  /** Whether the CBOR tag of its kind stood before it. */
  readonly tagged: boolean;
  readonly protectedBytes: Uint8Array;
  readonly protectedHeaders: Headers;
  readonly headers: Headers;
  readonly payload: Uint8Array | null;
  /** Signature or MAC; absent in COSE_Encrypt0, whose payload is the ciphertext. */
  readonly proof: Uint8Array | null;
}

function refuse(message: string): never {
  throw new TollgateError('TG_WIRE_COSE', message);
}

function isTag(value: CborValue): value is CborTag {
  return typeof value === 'object' && value !== null && 'tag' in value;
}

function parse(bytes: Uint8Array, tag: number, parts: 3 | 4): CoseMessage {
  const decoded = decodeCbor(bytes);
  if (isTag(decoded) && decoded.tag !== tag) refuse(`tag ${decoded.tag} is not the one of this structure, ${tag}`);
  const items = isTag(decoded) ? decoded.value : decoded;
  if (!Array.isArray(items) || items.length !== parts) return refuse(`a COSE message of this kind has ${parts} parts`);
  const [protectedBytes, headers, payload, proof = null] = items as readonly CborValue[];
  if (!(protectedBytes instanceof Uint8Array)) return refuse('protected headers are not a byte string');
  if (!(headers instanceof Map)) return refuse('unprotected headers are not a map');
  if (payload !== null && !(payload instanceof Uint8Array)) return refuse('the payload is not a byte string');
  if (proof !== null && !(proof instanceof Uint8Array)) return refuse('signature or tag is not a byte string');
  const decodedHeaders = protectedBytes.length === 0 ? new Map() : decodeCbor(protectedBytes);
  if (!(decodedHeaders instanceof Map)) return refuse('protected headers are not a map');
  for (const key of decodedHeaders.keys()) if (headers.has(key)) refuse('a header is both protected and unprotected');
  // Nothing here understands an extension, so a critical one is one too many (RFC 9052 §3.1).
  if (decodedHeaders.has(HEADER_CRIT) || headers.has(HEADER_CRIT)) refuse('a critical header is not understood');
  return { tagged: isTag(decoded), protectedBytes, protectedHeaders: decodedHeaders, headers, payload, proof };
}

/**
 * Sig_structure, Enc_structure or MAC_structure, RFC 9052 §4.4, §5.3, §6.3. No protected headers are authenticated as a
 * zero-length string, even where the message has an empty map in their place (§3).
 */
function toBeAuthenticated(context: string, protectedBytes: Uint8Array, ...rest: Uint8Array[]): Uint8Array {
  const none = protectedBytes.length === 1 && protectedBytes[0] === EMPTY_MAP;
  return encodeCbor([context, none ? EMPTY : protectedBytes, ...rest]);
}

/** A COSE_Sign1, untagged, headers protected; `sign` makes a raw signature (Ed25519, or ECDSA in P1363 form). */
export async function sign1(
  payload: Uint8Array,
  algorithm: number,
  kid: Uint8Array,
  sign: (message: Uint8Array) => Promise<Uint8Array>,
  externalAad: Uint8Array = EMPTY,
): Promise<Uint8Array> {
  const headers = encodeCbor(
    new Map<number, CborValue>([
      [HEADER_ALG, algorithm],
      [HEADER_KID, kid],
    ]),
  );
  const signature = await sign(toBeAuthenticated('Signature1', headers, externalAad, payload));
  return encodeCbor([headers, new Map(), payload, signature]);
}

export function parseSign1(bytes: Uint8Array): CoseMessage {
  return parse(bytes, TAG_SIGN1, 4);
}

/**
 * The payload of a COSE_Sign1 whose signature is right.
 *
 * @param key public JWK: OKP Ed25519 for EdDSA, EC P-256 for ES256
 * @throws {TollgateError} TG_WIRE_COSE, TG_WIRE_KEY, TG_WIRE_SIGNATURE
 */
export function openSign1(message: CoseMessage, key: JsonWebKey, externalAad: Uint8Array = EMPTY): Uint8Array {
  const { protectedBytes, protectedHeaders, headers, payload, proof } = message;
  if (payload === null || proof === null) return refuse('payload or signature is missing');
  const signed = toBeAuthenticated('Signature1', protectedBytes, externalAad, payload);
  if (!verifySignature(protectedHeaders.get(HEADER_ALG) ?? headers.get(HEADER_ALG), key, signed, proof)) {
    throw new TollgateError('TG_WIRE_SIGNATURE', 'the signature is not that of the key');
  }
  return payload;
}

/**
 * As `openSign1`, for what this project signs itself: untagged, algorithm and key id protected, no other header. What is
 * not signed could be changed by anybody on the way, and one message would have many forms.
 *
 * @param kidBytes length of the key id
 * @throws {TollgateError} TG_WIRE_COSE, TG_WIRE_KEY, TG_WIRE_SIGNATURE
 */
export function openOwnSign1(
  message: CoseMessage,
  kidBytes: number,
  key: JsonWebKey,
  externalAad: Uint8Array = EMPTY,
): Uint8Array {
  const { tagged, protectedHeaders, headers } = message;
  if (tagged || headers.size > 0) refuse('something stands around the message that is not signed');
  const kid = protectedHeaders.get(HEADER_KID);
  const named = protectedHeaders.has(HEADER_ALG) && kid instanceof Uint8Array && kid.length === kidBytes;
  if (!named || protectedHeaders.size !== 2)
    refuse(`the protected headers are not algorithm and ${kidBytes}-byte key id`);
  return openSign1(message, key, externalAad);
}

/**
 * Whether a raw signature is right, RFC 9053 §2.
 *
 * @param algorithm `ALG_EDDSA` or `ALG_ES256`
 * @param signature Ed25519, or ECDSA in P1363 form
 * @throws {TollgateError} TG_WIRE_COSE for another algorithm than that of the key, TG_WIRE_KEY
 */
export function verifySignature(
  algorithm: CborValue,
  key: JsonWebKey,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const { d: _, ...publicHalf } = key;
  const edwards = algorithm === ALG_EDDSA && key.kty === 'OKP' && key.crv === 'Ed25519';
  if (!edwards && !(algorithm === ALG_ES256 && key.kty === 'EC' && key.crv === 'P-256'))
    return refuse('the algorithm is not the one of the key');
  const publicKey = importPublic(publicHalf);
  if (edwards) return verify(null, message, publicKey, signature);
  return verify('sha256', message, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature);
}

function importPublic(key: JsonWebKey): KeyObject {
  try {
    return createPublicKey({ key, format: 'jwk' });
  } catch (cause) {
    throw new TollgateError('TG_WIRE_KEY', 'the public key is none of its curve', { cause });
  }
}

export function parseMac0(bytes: Uint8Array): CoseMessage {
  return parse(bytes, TAG_MAC0, 4);
}

/** The payload of a COSE_Mac0 with HMAC-SHA-256, RFC 9053 §3.1. */
export function openMac0(message: CoseMessage, key: Uint8Array, externalAad: Uint8Array = EMPTY): Uint8Array {
  const { protectedBytes, protectedHeaders, headers, payload, proof } = message;
  if (payload === null || proof === null) return refuse('payload or tag is missing');
  const algorithm = protectedHeaders.get(HEADER_ALG) ?? headers.get(HEADER_ALG);
  if (algorithm !== ALG_HS256 && algorithm !== ALG_HS256_64) return refuse('the algorithm is not HMAC-SHA-256');
  const full = createHmac('sha256', key)
    .update(toBeAuthenticated('MAC0', protectedBytes, externalAad, payload))
    .digest();
  const tag = algorithm === ALG_HS256 ? full : full.subarray(0, HALF_TAG_BYTES);
  if (tag.length !== proof.length || !timingSafeEqual(tag, proof)) {
    throw new TollgateError('TG_WIRE_SIGNATURE', 'the tag is not that of the key');
  }
  return payload;
}

export function parseEncrypt0(bytes: Uint8Array): CoseMessage {
  return parse(bytes, TAG_ENCRYPT0, 3);
}

/** Enc_structure of a COSE_Encrypt0, RFC 9052 §5.3. */
export function encStructure(protectedBytes: Uint8Array, externalAad: Uint8Array): Uint8Array {
  return toBeAuthenticated('Encrypt0', protectedBytes, externalAad);
}

/** The plaintext of a COSE_Encrypt0 that names its algorithm and its IV itself. */
export function openEncrypt0(message: CoseMessage, key: Uint8Array, externalAad: Uint8Array = EMPTY): Uint8Array {
  const { protectedBytes, protectedHeaders, headers, payload } = message;
  if (payload === null) return refuse('the ciphertext is missing');
  const algorithm = protectedHeaders.get(HEADER_ALG) ?? headers.get(HEADER_ALG);
  const name = typeof algorithm === 'number' ? AEADS.get(algorithm) : undefined;
  if (name === undefined) return refuse('the algorithm is not one of this version');
  const iv = protectedHeaders.get(HEADER_IV) ?? headers.get(HEADER_IV);
  // GCM would take other lengths; COSE fixes it, RFC 9053 §4.1 and §4.3.
  if (!(iv instanceof Uint8Array) || iv.length !== NONCE_BYTES) return refuse(`the IV is not ${NONCE_BYTES} bytes`);
  return open(name, key, iv, encStructure(protectedBytes, externalAad), payload);
}
