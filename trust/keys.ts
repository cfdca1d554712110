import { createHash, createPrivateKey, type JsonWebKey, sign } from 'node:crypto';
import { TollgateError } from '#contracts';

/** Keys as JWK (RFC 8037) and as C2SP verifier keys. */

/** PKCS #8 around a raw Ed25519 or X25519 private key (RFC 8410 §7); the key's 32 bytes follow. */
const PKCS8_PREFIX = {
  Ed25519: Buffer.from('302e020100300506032b657004220420', 'hex'),
  X25519: Buffer.from('302e020100300506032b656e04220420', 'hex'),
} as const;

export type Curve = keyof typeof PKCS8_PREFIX;

/** Bytes of a private or public key of either curve. */
export const KEY_BYTES = 32;

/** C2SP signature type of Ed25519. */
const NOTE_ED25519 = 1;
const NOTE_KEY_ID_BYTES = 4;
const NAME_BYTES = 8;

/** The key pair that belongs to 32 random bytes, as a private JWK. */
export function jwkFromSeed(curve: Curve, seed: Uint8Array): JsonWebKey {
  const der = Buffer.concat([PKCS8_PREFIX[curve], seed]);
  const { kty, crv, x, d } = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' });
  return { kty: kty!, crv: crv!, x: x!, d: d! };
}

/** The JWK without its private half. */
export function publicJwk({ kty, crv, x }: JsonWebKey): JsonWebKey {
  return { kty: kty!, crv: crv!, x: x! };
}

/**
 * Checks that a value read from a file is a JWK of `curve`.
 *
 * @param half whether the private half is wanted; a public key that carries one is refused: it does not belong there
 * @returns what is wrong, or null; never quotes the key
 */
export function jwkProblem(value: unknown, curve: Curve, half: 'public' | 'private'): string | null {
  if (typeof value !== 'object' || value === null) return 'not a JWK';
  const { kty, crv, x, d } = value as JsonWebKey;
  if (kty !== 'OKP' || crv !== curve) return `not a key of kty OKP, crv ${curve}`;
  if (!isKey(x)) return 'x is not 32 bytes of base64url';
  if (half === 'private' && !isKey(d)) return 'd, the private half, is missing or not 32 bytes of base64url';
  if (half === 'public' && d !== undefined) return 'the private half does not belong here';
  if (half === 'private' && jwkFromSeed(curve, Buffer.from(d!, 'base64url')).x !== x) return 'x and d are no pair';
  return null;
}

function isKey(text: string | undefined): boolean {
  return typeof text === 'string' && /^[A-Za-z0-9_-]{43}$/.test(text);
}

/**
 * C2SP verifier key of a unit's Ed25519 ledger key; its name is `tollgate/` + hex(SHA-256(public key)[0..8]).
 *
 * @throws {TollgateError} TG_TRUST_KEY
 */
export function ledgerVerifierKey(jwk: JsonWebKey): string {
  const problem = jwkProblem(publicJwk(jwk), 'Ed25519', 'public');
  if (problem !== null) throw new TollgateError('TG_TRUST_KEY', `the ledger key is ${problem}`);
  const key = Buffer.from(jwk.x!, 'base64url');
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
  const name = `tollgate/${sha256(key).subarray(0, NAME_BYTES).toString('hex')}`;
  const typed = Buffer.concat([Buffer.from([NOTE_ED25519]), key]);
  const id = sha256(Buffer.concat([Buffer.from(`${name}\n`), typed])).subarray(0, NOTE_KEY_ID_BYTES);
  return `${name}+${id.toString('hex')}+${typed.toString('base64')}`;
}

/**
 * @returns a function that signs with the private half
 * @throws {TollgateError} TG_TRUST_KEY
 */
export function ed25519Signer(jwk: JsonWebKey): (message: Uint8Array) => Uint8Array {
  const problem = jwkProblem(jwk, 'Ed25519', 'private');
  if (problem !== null) throw new TollgateError('TG_TRUST_KEY', `the ledger key is ${problem}`);
  const key = createPrivateKey({ key: { ...jwk }, format: 'jwk' });
  return (message) => sign(null, message, key);
}
