import { generateKeyPairSync, sign as signBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ALG_EDDSA,
  type CborValue,
  decodeCbor,
  decodeMeter,
  decodeMetered,
  encodeCbor,
  encodeMeter,
  encodeMetered,
  meterIn,
  openMeter,
  signMeter,
} from '#wire';
import { meter, verdictOf } from './parts.ts';

const fields = decodeCbor(encodeMeter(meter)) as readonly CborValue[];
const changed = (at: number, value: CborValue) => encodeCbor(fields.map((one, i) => (i === at ? value : one)));

describe('a meter record', () => {
  it('comes back exactly, up to 2^53 − 1', () => {
    const count = fc.maxSafeNat().map((value) => value + 0);
    const names = fc.array(fc.tuple(fc.string({ unit: 'binary' }), count), { maxLength: 8 }).map((all) => new Map(all));
    fc.assert(
      fc.property(count, count, count, count, fc.integer(), names, (records, samples, bytes, denied, hour, byName) => {
        const one = { ...meter, records, samples, bytes, denied, hour, fields: byName };
        expect(decodeMeter(encodeMeter(one))).toEqual(one);
      }),
      { seed: 53 },
    );
  });

  it('has the same bytes whatever the order in which signals were counted', () => {
    const reversed = { ...meter, fields: new Map([...meter.fields].reverse()) };
    expect(encodeMeter(reversed)).toEqual(encodeMeter(meter));
  });

  it('holds hours of boottime below 0, where UTC is unknown', () => {
    expect(decodeMeter(encodeMeter({ ...meter, hour: -1 })).hour).toBe(-1);
  });

  it.each<[string, number, CborValue]>([
    ['another version', 0, 2],
    ['an agreement that is no text', 1, 1],
    ['an hour that is no number', 5, null],
    ['records below 0', 6, -1],
    ['bytes beyond 53 bits', 8, 2n ** 60n],
    ['fields that are no map', 10, []],
    ['a field that is no text', 10, new Map([[1, 1]])],
    ['a count below 0', 10, new Map([['a', -1]])],
    ['a part that is none', 11, -1],
    ['an algorithm that is no hash', 15, new Map([['ab', 1]])],
    ['a policy that is text', 17, new Map([['a', 1]])],
    ['a short hash of the record before', 18, new Uint8Array(31)],
  ])('with %s is refused', async (_what, at, value) => {
    expect(await verdictOf(() => decodeMeter(changed(at, value)))).toBe('TG_WIRE_MALFORMED');
  });

  it('signed opens with the key of the unit alone, and not once a byte of it is another', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const sign = async (message: Uint8Array) => new Uint8Array(signBytes(null, message, privateKey));
    const encoded = encodeMeter(meter);
    const signed = await signMeter(encoded, ALG_EDDSA, new Uint8Array(4), sign);
    const key = publicKey.export({ format: 'jwk' });
    expect(openMeter(signed, key)).toEqual(encoded);
    expect(meterIn(signed)).toEqual(encoded);
    const other = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
    expect(await verdictOf(() => openMeter(signed, other))).toBe('TG_WIRE_SIGNATURE');
    const changed = signed.slice();
    changed[changed.length - 100]! ^= 1;
    expect(await verdictOf(() => openMeter(changed, key))).toMatch(/^TG_WIRE_/);
    const metered = { salt: new Uint8Array(16).fill(7), signed };
    expect(decodeMetered(encodeMetered(metered))).toEqual(metered);
  });
});
