import { createPublicKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { formatVerifierKey, nodeCrypto, TYPE_ED25519, unitKeyName, verifierKey } from '#ledger';
import { enrolment, jwkFromSeed, jwkProblem, ledgerVerifierKey, publicJwk, recipientDocuments } from '#trust';
import { countingRandom } from './memory.ts';

const INSURER = 'did:web:insurer.example';
const read = (documents: readonly { path: string; text: string }[]) =>
  Object.fromEntries(documents.map(({ path, text }) => [path, JSON.parse(text)]));

describe('an enrolment', () => {
  const documents = enrolment({ recipients: [INSURER], random: countingRandom() });
  const files = read(documents);

  it('makes the files of both ends', () => {
    expect(Object.keys(files).sort()).toEqual([
      'recipient/ack.jwk',
      'recipient/hpke.jwk',
      'recipient/units.json',
      'unit/ledger.jwk',
      'unit/recipients.json',
      'unit/trusted.json',
    ]);
    expect(files['unit/trusted.json']).toEqual([]);
  });

  it('gives each side the public half of the other', () => {
    expect(files['unit/recipients.json']).toEqual({
      [INSURER]: { hpke: publicJwk(files['recipient/hpke.jwk']), ack: publicJwk(files['recipient/ack.jwk']) },
    });
    expect(files['recipient/units.json']).toEqual([ledgerVerifierKey(files['unit/ledger.jwk'])]);
  });

  it('makes usable keys of the right kinds', () => {
    expect(jwkProblem(files['unit/ledger.jwk'], 'Ed25519', 'private')).toBe(null);
    expect(jwkProblem(files['recipient/hpke.jwk'], 'X25519', 'private')).toBe(null);
    expect(jwkProblem(files['recipient/ack.jwk'], 'Ed25519', 'private')).toBe(null);
  });

  it('marks what holds a private key, and lets no private half into the other files', () => {
    expect(documents.filter(({ secret }) => secret).map(({ path }) => path)).toEqual([
      'unit/ledger.jwk',
      'recipient/hpke.jwk',
      'recipient/ack.jwk',
    ]);
    for (const { secret, text } of documents) if (!secret) expect(text).not.toContain('"d"');
  });

  it('uses no chance of its own', () => {
    expect(enrolment({ recipients: [INSURER], random: countingRandom() })).toEqual(documents);
    expect(enrolment({ recipients: [INSURER], random: countingRandom(5) })).not.toEqual(documents);
  });

  it('enrols no recipient, or several', () => {
    expect(read(enrolment({ recipients: [], random: countingRandom() }))['unit/recipients.json']).toEqual({});
    const two = read(enrolment({ recipients: [INSURER, 'did:web:oem.example'], random: countingRandom() }));
    expect(Object.keys(two['unit/recipients.json'])).toEqual([INSURER, 'did:web:oem.example']);
    expect(two['recipient-2/units.json']).toEqual(two['recipient/units.json']);
    expect(two['recipient-2/hpke.jwk']).not.toEqual(two['recipient/hpke.jwk']);
  });

  it('adds a recipient later', () => {
    const { keys, documents: more } = recipientDocuments('recipient-2', ['a+b+c'], countingRandom());
    const files = read(more);
    expect(files['recipient-2/units.json']).toEqual(['a+b+c']);
    expect(keys.hpke).toEqual(publicJwk(files['recipient-2/hpke.jwk']));
  });
});

describe('a key', () => {
  it('that belongs to a seed is that of RFC 8032 §7.1 (test 1)', () => {
    const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
    const publicKey = Buffer.from(jwkFromSeed('Ed25519', seed).x!, 'base64url').toString('hex');
    expect(publicKey).toBe('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
  });

  it('is named as the ledger names it', () => {
    const jwk = jwkFromSeed('Ed25519', new Uint8Array(32).fill(8));
    const raw = createPublicKey({ key: { ...publicJwk(jwk) }, format: 'jwk' }).export({ format: 'jwk' }).x!;
    const bytes = Buffer.from(raw, 'base64url');
    const name = unitKeyName(bytes, nodeCrypto.sha256);
    expect(ledgerVerifierKey(jwk)).toBe(formatVerifierKey(verifierKey(name, TYPE_ED25519, bytes, nodeCrypto)));
  });

  it('is refused with the reason, which never quotes it', () => {
    const jwk = jwkFromSeed('Ed25519', new Uint8Array(32).fill(8));
    const cases: [unknown, string][] = [
      [null, 'not a JWK'],
      ['text', 'not a JWK'],
      [{ ...jwk, crv: 'P-256' }, 'not a key of kty OKP, crv Ed25519'],
      [{ ...jwk, x: 'short' }, 'x is not 32 bytes of base64url'],
      [{ ...jwk, d: undefined }, 'd, the private half, is missing or not 32 bytes of base64url'],
      [{ ...jwk, x: jwk.d }, 'x and d are no pair'],
    ];
    for (const [value, problem] of cases) expect(jwkProblem(value, 'Ed25519', 'private')).toBe(problem);
    expect(jwkProblem(jwk, 'Ed25519', 'public')).toBe('the private half does not belong here');
  });
});
