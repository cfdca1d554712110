import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  ackLeaf,
  bootLeaf,
  type CborValue,
  consentLeaf,
  decisionLeaf,
  decodeLeaf,
  documentLeaf,
  encodeCbor,
  encodeLeaf,
  encodeMeter,
  expressLeaf,
  gapLeaf,
  keyLeaf,
  type LeafEvent,
  leafEvent,
  meterLeaf,
  recordLeaf,
  timeJumpLeaf,
} from '#wire';
import { Cddl } from './cddl.ts';
import { link, meter, mutated, numbers, stream, time, verdictOf } from './parts.ts';

const hash = new Uint8Array(32).fill(8);
const salt = new Uint8Array(16).fill(5);
const signed = Uint8Array.of(1, 2, 3);
const counted = encodeMeter(meter);
const decision = {
  campaign: 'ubi',
  recipient: 'did:web:a',
  signal: 'Vehicle.Speed',
  agreement: null,
  rule: '#n1',
  reason: 'prohibited',
  constraint: null,
  count: 12,
};
const digest = (...pieces: Uint8Array[]) => new Uint8Array(createHash('sha256').update(Buffer.concat(pieces)).digest());
const ofExtra = (...extra: CborValue[]) => digest(encodeCbor(extra));

/** Each kind: its number in `leaf.cddl`, what is written, what is read, and what its body hash is the hash of. */
const kinds: readonly [number, Uint8Array, LeafEvent, Uint8Array][] = [
  [0, bootLeaf(time, '0.1.0'), { kind: 'boot', version: '0.1.0' }, ofExtra('0.1.0')],
  [1, recordLeaf(link), { kind: 'record', link }, link.bodyHash],
  [2, decisionLeaf(time, decision), { kind: 'decision', decision }, ofExtra(...Object.values(decision))],
  [
    3,
    consentLeaf(time, 'withdraw', 'urn:uuid:1', hash),
    { kind: 'consent', act: 'withdraw', agreement: 'urn:uuid:1' },
    hash,
  ],
  [
    4,
    keyLeaf(time, 'destroy', 'spool', stream),
    { kind: 'key', act: 'destroy', use: 'spool', keyId: stream },
    ofExtra('destroy', 'spool', stream),
  ],
  [5, documentLeaf(time, 'decoder', 'can0', hash), { kind: 'document', document: 'decoder', id: 'can0' }, hash],
  [6, gapLeaf(time, stream, [3, 4]), { kind: 'gap', stream, seqs: [3, 4] }, ofExtra(stream, [3, 4])],
  [7, timeJumpLeaf(time, null, -5), { kind: 'time jump', beforeMs: null, afterMs: -5 }, ofExtra(null, -5)],
  [8, ackLeaf(time, stream, 9, 2, signed), { kind: 'ack', stream, uptoSeq: 9, state: 2 }, digest(signed)],
  [9, expressLeaf(time, stream, 61, 10, hash), { kind: 'express', stream, second: 61, count: 10 }, hash],
  [10, meterLeaf(time, salt, counted, meter.hour), { kind: 'meter', hour: meter.hour }, digest(salt, counted)],
];
const cddl = new Cddl(readFileSync(new URL('../../wire/leaf.cddl', import.meta.url), 'utf8'));

describe.each(kinds)('a leaf of kind %i', (kind, bytes, event, body) => {
  const leaf = decodeLeaf(bytes);

  it('tells what was written', () => {
    expect(leafEvent(leaf)).toEqual(event);
    expect(leaf).toMatchObject({ ...time, kind });
    expect(leaf.bodyHash).toEqual(body);
  });

  it('is read where the CDDL allows its extra, and nowhere else', async () => {
    const others: readonly CborValue[] = [0, -1, 2n ** 60n, 'x', null, true, new Uint8Array(3), [], [null]];
    const extra = leaf.extra as readonly CborValue[];
    const changes = [
      ...others,
      extra.slice(1),
      [...extra, null],
      ...extra.flatMap((_, at) => others.map((other) => extra.map((one, i) => (i === at ? other : one)))),
    ];
    for (const changed of changes) {
      const whole = [1, kind, leaf.bootId, leaf.boottimeMs, leaf.utcMs, leaf.bodyHash, changed];
      const allowed = cddl.mismatch('leaf', whole) === null && !tooLarge(changed);
      const verdict = await verdictOf(() => leafEvent({ ...leaf, extra: changed }));
      expect(verdict, encodeCbor(changed).toString()).toBe(allowed ? 'accepted' : 'TG_WIRE_MALFORMED');
    }
  });

  it('with bytes of a stranger ends in an event or a typed error', async () => {
    const random = numbers(kind + 1);
    for (let round = 0; round < 500; round++) {
      const changed = mutated(bytes, random);
      expect(await verdictOf(() => leafEvent(decodeLeaf(changed)))).toMatch(/^(accepted|TG_WIRE_(CBOR|MALFORMED))$/);
    }
  });
});

/** CDDL knows no 53 bits, this project has no larger numbers. */
const tooLarge = (value: CborValue): boolean =>
  typeof value === 'bigint' || (Array.isArray(value) && value.some((one) => tooLarge(one)));

describe('a leaf', () => {
  it('of a kind that this version does not know is kept as bytes and not understood', async () => {
    const unknown = encodeLeaf({ ...time, kind: 11, bodyHash: hash, extra: [] });
    expect(encodeLeaf(decodeLeaf(unknown))).toEqual(unknown);
    expect(await verdictOf(() => leafEvent(decodeLeaf(unknown)))).toBe('TG_WIRE_MALFORMED');
  });

  it('of the meter shows no counter to who has no salt', () => {
    const other = meterLeaf(
      time,
      salt.map((byte) => byte ^ 1),
      counted,
      meter.hour,
    );
    expect(decodeLeaf(other).bodyHash).not.toEqual(digest(salt, counted));
    expect(Buffer.from(other).toString('latin1')).not.toContain('Speed');
  });
});
