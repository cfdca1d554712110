import { createPublicKey, ECDH, type JsonWebKey, type KeyObject } from 'node:crypto';
import { TollgateError } from '#contracts';
import { DocumentReader, type Node } from '../document.ts';
import { parseJson } from '../json.ts';
import { decodeBase58, encodeBase58 } from './base58.ts';

/** JWS algorithms that credentials are signed with (RFC 8037, RFC 7518 §3.4); the key decides, never the header. */
export type Algorithm = 'EdDSA' | 'ES256';

/** A key that may sign for an issuer. */
export interface IssuerKey {
  /** DID URL, `did:key:z…#z…`. */
  readonly kid: string;
  readonly algorithm: Algorithm;
  readonly key: KeyObject;
}

/** DID documents of organisations, pinned when the unit was provisioned: nothing is fetched. By DID. */
export type PinnedDocuments = ReadonlyMap<string, readonly IssuerKey[]>;

/** Multicodec prefixes as varints: ed25519-pub 0xed, p256-pub 0x1200 (did:key §2). */
const ED25519_PREFIX = [0xed, 0x01] as const;
const P256_PREFIX = [0x80, 0x24] as const;
const ED25519_BYTES = 32;
/** Compressed point, SEC 1 §2.3.3. */
const P256_BYTES = 33;
const P256_HALF = 32;

/** W3C DID Core §3.1. */
export const DID = /^did:[a-z0-9]+:[A-Za-z0-9._:%-]{1,200}$/;

/**
 * The did:key of a public JWK (Ed25519 or P-256).
 *
 * @throws {TollgateError} TG_CREDENTIAL_ISSUER for any other kind of key
 */
export function didKeyOf(jwk: JsonWebKey): string {
  if (jwk.kty === 'OKP' && jwk.crv === 'Ed25519' && jwk.x !== undefined)
    return `did:key:z${encodeBase58(Uint8Array.from([...ED25519_PREFIX, ...Buffer.from(jwk.x, 'base64url')]))}`;
  if (jwk.kty === 'EC' && jwk.crv === 'P-256' && jwk.x !== undefined && jwk.y !== undefined) {
    const odd = Buffer.from(jwk.y, 'base64url').at(-1)! & 1;
    const point = [2 + odd, ...Buffer.from(jwk.x, 'base64url')];
    return `did:key:z${encodeBase58(Uint8Array.from([...P256_PREFIX, ...point]))}`;
  }
  throw new TollgateError('TG_CREDENTIAL_ISSUER', 'a did:key is made of an Ed25519 or a P-256 key');
}

/** The key id that a did:key signs with. */
export function didKeyId(did: string): string {
  return `${did}#${did.slice('did:key:'.length)}`;
}

/**
 * The key that `kid` names, if it may sign for `issuer`.
 *
 * @returns null where the DID is not a did:key and not pinned, or has no such key
 */
export function issuerKey(issuer: string, kid: string, pinned: PinnedDocuments): IssuerKey | null {
  if (issuer.startsWith('did:key:')) return kid === didKeyId(issuer) ? didKey(issuer) : null;
  return pinned.get(issuer)?.find((one) => one.kid === kid) ?? null;
}

/** The key that a did:key is; null where it is none of the kinds that are taken. */
export function didKey(did: string): IssuerKey | null {
  const multibase = did.slice('did:key:'.length);
  const bytes = multibase.startsWith('z') ? decodeBase58(multibase.slice(1)) : null;
  // One key has one spelling.
  if (bytes === null || `z${encodeBase58(bytes)}` !== multibase) return null;
  const jwk = jwkOfMulticodec(bytes);
  return jwk === null ? null : keyOf(didKeyId(did), jwk);
}

function jwkOfMulticodec(bytes: Uint8Array): JsonWebKey | null {
  const starts = (prefix: readonly number[], length: number) =>
    bytes.length === prefix.length + length && prefix.every((byte, i) => bytes[i] === byte);
  if (starts(ED25519_PREFIX, ED25519_BYTES))
    return { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(bytes.subarray(2)).toString('base64url') };
  if (!starts(P256_PREFIX, P256_BYTES)) return null;
  try {
    const point = ECDH.convertKey(bytes.subarray(2), 'prime256v1', undefined, undefined, 'uncompressed') as Buffer;
    const half = (from: number) => point.subarray(from, from + P256_HALF).toString('base64url');
    return { kty: 'EC', crv: 'P-256', x: half(1), y: half(1 + P256_HALF) };
  } catch {
    return null;
  }
}

/** @returns null where OpenSSL does not take the key (a point that is not on the curve) */
function keyOf(kid: string, jwk: JsonWebKey): IssuerKey | null {
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    return { kid, algorithm: jwk.kty === 'OKP' ? 'EdDSA' : 'ES256', key };
  } catch {
    return null;
  }
}

const METHOD_KEYS = ['id', 'type', 'controller', 'publicKeyJwk'] as const;
/** Further keys of a DID document say nothing about who may sign credentials. */
const MOST_METHODS = 32;

/**
 * Reads a DID document that the unit pins: the keys of its `verificationMethod` that `assertionMethod` names.
 *
 * @returns the DID and its keys
 * @throws {TollgateError} TG_CREDENTIAL_ISSUER with file and pointer
 */
export function readDidDocument(bytes: Uint8Array, file: string): { did: string; keys: IssuerKey[] } {
  const code = 'TG_CREDENTIAL_ISSUER';
  const { text, root } = parseJson(bytes, file, code);
  const reader = new DocumentReader(file, text, { unknownKey: code, value: code });
  const document = reader.object(root, 'a DID document');
  const did = reader.text(reader.need(document, 'id', 'a DID document'), 'id');
  if (!DID.test(did)) throw reader.wrong(document, `"${did}" is no DID`);
  const list = (key: string) => reader.array(reader.need(document, key, 'a DID document'), key);
  const named = new Set(list('assertionMethod').map((node) => absolute(did, reader.text(node, 'assertionMethod'))));
  const methods = list('verificationMethod');
  if (methods.length > MOST_METHODS) throw reader.wrong(document, `at most ${MOST_METHODS} verification methods`);
  const keys = methods.flatMap((node) => {
    const method = reader.record(node, 'a verification method', METHOD_KEYS);
    const kid = absolute(did, reader.text(reader.need(method, 'id', 'a verification method'), 'id'));
    if (!kid.startsWith(`${did}#`)) throw reader.wrong(method, 'its id lies in another DID');
    const controller = reader.get(method, 'controller');
    if (controller !== undefined && reader.text(controller, 'controller') !== did)
      throw reader.wrong(controller, 'its controller is another DID');
    if (!named.has(kid)) return [];
    const jwkNode = reader.need(method, 'publicKeyJwk', 'a verification method');
    const key = keyOf(kid, jwkOf(reader, jwkNode));
    if (key === null) throw reader.wrong(jwkNode, 'this is no point of its curve');
    return [key];
  });
  if (keys.length === 0) throw reader.wrong(document, 'no key of this document may sign credentials');
  return { did, keys };
}

/** `#key-1` means the document's own. */
function absolute(did: string, id: string): string {
  return id.startsWith('#') ? `${did}${id}` : id;
}

function jwkOf(reader: DocumentReader, node: Node): JsonWebKey {
  const object = reader.record(node, 'a public JWK', ['kty', 'crv', 'x', 'y', 'kid', 'alg', 'use']);
  const text = (key: string) => reader.text(reader.need(object, key, 'a public JWK'), key);
  const [kty, crv] = [text('kty'), text('crv')];
  if (kty === 'OKP' && crv === 'Ed25519') return { kty, crv, x: text('x') };
  if (kty === 'EC' && crv === 'P-256') return { kty, crv, x: text('x'), y: text('y') };
  throw reader.wrong(node, 'the key must be Ed25519 or P-256');
}
