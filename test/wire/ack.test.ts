import { describe, expect, it } from 'vitest';
import { ackKeyId, type CborValue, decodeCbor, encodeCbor, openAck, sign1 } from '#wire';
import { ackBody, ackKey, newKey, signedAck, stream, verdictOf } from './parts.ts';

const keyOf = async (of: Uint8Array) => (Buffer.compare(of, stream) === 0 ? ackKey.publicJwk : null);
/** Signed by the right key, whatever is in it. */
const signed = (payload: readonly CborValue[]) =>
  sign1(encodeCbor(payload), -8, ackKeyId(ackKey.publicJwk), ackKey.sign);

describe('an acknowledgement', () => {
  it.each([
    ['with holes', ackBody],
    ['without', { ...ackBody, missing: [], state: 'proven' as const }],
    ['of the first record', { ...ackBody, uptoSeq: 0, missing: [], checkpointSize: 0 }],
  ])('comes back as it was signed, %s', async (_what, body) => {
    expect(await openAck(await signedAck(body), keyOf)).toEqual(body);
  });

  it('is refused with any bit flipped', async () => {
    const bytes = await signedAck();
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(await verdictOf(() => openAck(changed, keyOf)), `bit ${bit}`).toMatch(/^TG_WIRE_/);
    }
  });

  it('is refused cut short at any byte', async () => {
    const bytes = await signedAck();
    for (let length = 0; length < bytes.length; length++) {
      expect(await verdictOf(() => openAck(bytes.subarray(0, length), keyOf))).toBe('TG_WIRE_CBOR');
    }
  });

  it('has one form: nothing may stand around what is signed', async () => {
    const bytes = await signedAck();
    const [headers, , payload, signature] = decodeCbor(bytes) as readonly Uint8Array[];
    for (const other of [
      { tag: 18, value: decodeCbor(bytes) },
      [headers!, new Map([['note', 1]]), payload!, signature!],
    ]) {
      expect(await verdictOf(() => openAck(encodeCbor(other), keyOf))).toBe('TG_WIRE_COSE');
    }
  });

  it('of another recipient is refused, whatever key id it names', async () => {
    const other = newKey('ed25519');
    expect(await verdictOf(async () => openAck(await signedAck(ackBody, other), keyOf))).toBe('TG_WIRE_SIGNATURE');
    const named = sign1(encodeCbor([1, stream, 9, [], 1, 0]), -8, ackKeyId(ackKey.publicJwk), other.sign);
    expect(await verdictOf(async () => openAck(await named, keyOf))).toBe('TG_WIRE_SIGNATURE');
  });

  it('of a stream that is not of this unit is refused', async () => {
    const other = stream.map((byte) => byte ^ 1);
    expect(await verdictOf(async () => openAck(await signedAck({ ...ackBody, stream: other }), keyOf))).toBe(
      'TG_WIRE_MALFORMED',
    );
  });

  it.each<[string, readonly CborValue[]]>([
    ['holes that do not rise', [1, stream, 9, [5, 2], 1, 0]],
    ['a hole twice', [1, stream, 9, [2, 2], 1, 0]],
    ['a hole at the highest seq', [1, stream, 9, [9], 1, 0]],
    ['a hole above it', [1, stream, 9, [10], 1, 0]],
    ['a hole below 0', [1, stream, 9, [-1], 1, 0]],
    ['no state', [1, stream, 9, [], 0, 0]],
    ['an unknown state', [1, stream, 9, [], 3, 0]],
    ['another version', [2, stream, 9, [], 1, 0]],
    ['a short stream', [1, stream.subarray(1), 9, [], 1, 0]],
    ['a field less', [1, stream, 9, [], 1]],
    ['a field more', [1, stream, 9, [], 1, 0, 0]],
    ['a seq beyond 53 bits', [1, stream, 2n ** 53n, [], 1, 0]],
  ])('with %s is refused though it is signed', async (_what, payload) => {
    const bytes = await signed(payload);
    expect(await verdictOf(() => openAck(bytes, async () => ackKey.publicJwk))).toBe('TG_WIRE_MALFORMED');
  });
});
