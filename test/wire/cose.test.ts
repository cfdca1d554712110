import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  ALG_EDDSA,
  ALG_ES256,
  type CborValue,
  decodeCbor,
  encodeCbor,
  openEncrypt0,
  openMac0,
  openSign1,
  parseEncrypt0,
  parseMac0,
  parseSign1,
  sealAead,
  sign1,
} from '#wire';
import { encStructure } from '#wire/cose';
import { newKey, verdictOf } from './parts.ts';

const edwards = newKey('ed25519');
const p256 = newKey('p256');
const kid = Uint8Array.of(1, 2, 3, 4);
const payload = new TextEncoder().encode('what is signed');
const none = new Uint8Array();
const signed = await sign1(payload, ALG_EDDSA, kid, edwards.sign);
const part = (message: Uint8Array, changes: Readonly<Record<number, CborValue>>) =>
  encodeCbor((decodeCbor(message) as readonly CborValue[]).map((one, i) => (i in changes ? changes[i]! : one)));
const map = (...entries: [number, CborValue][]) => new Map(entries);

describe('a COSE_Sign1', () => {
  it.each([
    ['EdDSA', ALG_EDDSA, edwards],
    ['ES256', ALG_ES256, p256],
  ])('opens with %s and the key that signed, tagged or not', async (_name, algorithm, key) => {
    const message = await sign1(payload, algorithm, kid, key.sign);
    const tagged = encodeCbor({ tag: 18, value: decodeCbor(message) });
    expect(openSign1(parseSign1(message), key.publicJwk)).toEqual(payload);
    expect(openSign1(parseSign1(tagged), key.publicJwk)).toEqual(payload);
  });

  it('has one form: it is signed and written alike by equal inputs', async () => {
    expect(await sign1(payload, ALG_EDDSA, kid, edwards.sign)).toEqual(signed);
  });

  it('opens with no bit flipped', async () => {
    for (let bit = 0; bit < signed.length * 8; bit++) {
      const changed = signed.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(await verdictOf(() => openSign1(parseSign1(changed), edwards.publicJwk)), `bit ${bit}`).toMatch(
        /^TG_WIRE_/,
      );
    }
  });

  it('opens with no other key and no other associated data', async () => {
    const message = parseSign1(signed);
    expect(await verdictOf(() => openSign1(message, newKey('ed25519').publicJwk))).toBe('TG_WIRE_SIGNATURE');
    expect(await verdictOf(() => openSign1(message, edwards.publicJwk, Uint8Array.of(0)))).toBe('TG_WIRE_SIGNATURE');
  });

  it('is never checked by an algorithm that is not the one of the key', async () => {
    const es256 = parseSign1(await sign1(payload, ALG_ES256, kid, p256.sign));
    expect(await verdictOf(() => openSign1(parseSign1(signed), p256.publicJwk))).toBe('TG_WIRE_COSE');
    expect(await verdictOf(() => openSign1(es256, edwards.publicJwk))).toBe('TG_WIRE_COSE');
    expect(await verdictOf(() => openSign1(parseSign1(signed), newKey('x25519').publicJwk))).toBe('TG_WIRE_COSE');
  });

  it('says so where the key is none', async () => {
    const { x: _, ...pointless } = edwards.publicJwk;
    expect(await verdictOf(() => openSign1(parseSign1(signed), pointless))).toBe('TG_WIRE_KEY');
  });

  it.each<[string, Readonly<Record<number, CborValue>>]>([
    [
      'a critical header, protected',
      {
        0: encodeCbor(
          new Map<number, CborValue>([
            [1, -8],
            [2, [99]],
          ]),
        ),
      },
    ],
    ['a critical header, unprotected', { 1: map([2, [99]]) }],
    ['a header twice', { 1: map([1, -8]) }],
    ['protected headers that are no map', { 0: encodeCbor([1]) }],
    ['unprotected headers that are no map', { 1: [] }],
    ['no payload', { 2: null }],
    ['no signature', { 3: null }],
    ['a payload of text', { 2: 'text' }],
  ])('with %s is refused', async (_what, changes) => {
    const verdict = await verdictOf(() => openSign1(parseSign1(part(signed, changes)), edwards.publicJwk));
    expect(verdict).toBe('TG_WIRE_COSE');
  });

  it('is no other structure', async () => {
    const fields = decodeCbor(signed) as readonly CborValue[];
    expect(await verdictOf(() => parseSign1(encodeCbor({ tag: 17, value: fields })))).toBe('TG_WIRE_COSE');
    expect(await verdictOf(() => parseSign1(encodeCbor(fields.slice(1))))).toBe('TG_WIRE_COSE');
    expect(await verdictOf(() => parseEncrypt0(signed))).toBe('TG_WIRE_COSE');
    expect(await verdictOf(() => parseSign1(encodeCbor(1)))).toBe('TG_WIRE_COSE');
  });
});

describe('no protected headers', () => {
  it('are authenticated alike as an empty string and as an empty map, RFC 9052 §3', () => {
    const key = new Uint8Array(32).fill(3);
    const tag = createHmac('sha256', key)
      .update(encodeCbor(['MAC0', none, none, payload]))
      .digest();
    for (const headers of [none, encodeCbor(new Map())]) {
      const message = encodeCbor([headers, map([1, 5]), payload, new Uint8Array(tag)]);
      expect(openMac0(parseMac0(message), key)).toEqual(payload);
    }
  });
});

describe('a COSE_Encrypt0', () => {
  const key = new Uint8Array(32).fill(4);
  const iv = new Uint8Array(12).fill(5);
  const sealed = (algorithm: CborValue, nonce = iv) => {
    const headers = encodeCbor(new Map([[1, algorithm]]));
    const ciphertext = sealAead('chacha20-poly1305', key, iv, encStructure(headers, none), payload);
    return encodeCbor([headers, map([5, nonce]), ciphertext]);
  };

  it('opens with its key', () => {
    expect(openEncrypt0(parseEncrypt0(sealed(24)), key)).toEqual(payload);
  });

  it('opens with no bit flipped, no other key and no other associated data', async () => {
    const message = sealed(24);
    for (let bit = 0; bit < message.length * 8; bit++) {
      const changed = message.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(await verdictOf(() => openEncrypt0(parseEncrypt0(changed), key)), `bit ${bit}`).toMatch(/^TG_WIRE_/);
    }
    const parsed = parseEncrypt0(message);
    expect(await verdictOf(() => openEncrypt0(parsed, new Uint8Array(32)))).toBe('TG_WIRE_SEAL');
    expect(await verdictOf(() => openEncrypt0(parsed, new Uint8Array(5)))).toBe('TG_WIRE_SEAL');
    expect(await verdictOf(() => openEncrypt0(parsed, key, iv))).toBe('TG_WIRE_SEAL');
  });

  it.each<[string, CborValue]>([
    ['text', '24'],
    ['bytes', Uint8Array.of(24)],
    ['an array', [24]],
    ['unknown', 99],
    ['nothing', null],
  ])('whose algorithm is %s is refused', async (_what, algorithm) => {
    expect(await verdictOf(() => openEncrypt0(parseEncrypt0(sealed(algorithm)), key))).toBe('TG_WIRE_COSE');
  });

  it('whose IV is not 12 bytes is refused', async () => {
    const short = parseEncrypt0(sealed(24, new Uint8Array(8)));
    expect(await verdictOf(() => openEncrypt0(short, key))).toBe('TG_WIRE_COSE');
  });
});

describe('a COSE_Mac0', () => {
  it('opens with no part of its tag', async () => {
    const key = new Uint8Array(32).fill(3);
    const headers = encodeCbor(map([1, 5]));
    const tag = createHmac('sha256', key)
      .update(encodeCbor(['MAC0', headers, none, payload]))
      .digest();
    for (let length = 0; length < tag.length; length++) {
      const message = encodeCbor([headers, new Map(), payload, new Uint8Array(tag.subarray(0, length))]);
      expect(await verdictOf(() => openMac0(parseMac0(message), key))).toBe('TG_WIRE_SIGNATURE');
    }
  });
});
