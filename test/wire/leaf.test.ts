import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ackLeaf,
  bodyHash,
  bootLeaf,
  chainStart,
  decisionBody,
  decisionLeaf,
  decodeCbor,
  decodeLeaf,
  documentLeaf,
  encodeCbor,
  encodeLeaf,
  gapLeaf,
  leafHash,
  nextChain,
  recordLeaf,
  recordLink,
  sha256,
  timeJumpLeaf,
} from '#wire';
import { link, stream, time, verdictOf } from './parts.ts';

const digest = (...pieces: Uint8Array[]) => new Uint8Array(createHash('sha256').update(Buffer.concat(pieces)).digest());
const decision = {
  campaign: 'ubi',
  recipient: 'did:web:a',
  signal: 'Vehicle.Speed',
  agreement: 'urn:uuid:1',
  rule: '#n1',
  reason: 'prohibited',
  constraint: null,
  count: 12,
};

describe('a leaf', () => {
  it.each<[string, number, Uint8Array, unknown]>([
    ['boot', 0, bootLeaf(time, '0.1.0'), ['0.1.0']],
    ['decision', 2, decisionLeaf(time, decision), Object.values(decision)],
    ['gap', 6, gapLeaf(time, stream, [3, 4]), [stream, [3, 4]]],
    ['time jump', 7, timeJumpLeaf(time, null, 5), [null, 5]],
  ])('of a %s has its kind, its time, and a body that is its extra', (_name, kind, bytes, extra) => {
    const leaf = decodeLeaf(bytes);
    expect(leaf).toEqual({ ...time, kind, extra, bodyHash: leaf.bodyHash });
    expect(leaf.bodyHash).toEqual(sha256(encodeCbor(leaf.extra)));
    expect(encodeLeaf(leaf)).toEqual(bytes);
  });

  it('of a document has the hash of the document', () => {
    const hash = new Uint8Array(32).fill(8);
    const leaf = decodeLeaf(documentLeaf(time, 'agreement', 'urn:uuid:1', hash));
    expect(leaf).toEqual({ ...time, kind: 5, bodyHash: hash, extra: ['agreement', 'urn:uuid:1'] });
  });

  it('of an acknowledgement has the hash of what was signed', () => {
    const signed = Uint8Array.of(1, 2, 3);
    const leaf = decodeLeaf(ackLeaf(time, stream, 9, 2, signed));
    expect(leaf).toEqual({ ...time, kind: 8, bodyHash: sha256(signed), extra: [stream, 9, 2] });
  });

  it('of a record comes back as its link', () => {
    expect(recordLink(decodeLeaf(recordLeaf(link)))).toEqual(link);
    expect(recordLink(decodeLeaf(recordLeaf({ ...link, utcMs: null })))).toEqual({ ...link, utcMs: null });
  });

  it('of a decision comes back as its body', () => {
    expect(decisionBody(decodeLeaf(decisionLeaf(time, decision)))).toEqual(decision);
  });

  it('is not read as one of another kind', async () => {
    const boot = decodeLeaf(bootLeaf(time, '0.1.0'));
    expect(await verdictOf(() => recordLink(boot))).toBe('TG_WIRE_MALFORMED');
    expect(await verdictOf(() => decisionBody(boot))).toBe('TG_WIRE_MALFORMED');
  });

  it('of another version, length or shape is refused', async () => {
    const fields = decodeCbor(recordLeaf(link)) as readonly never[];
    for (const changed of [fields.slice(1), [...fields, null], [2, ...fields.slice(1)], { tag: 1, value: fields }]) {
      expect(await verdictOf(() => decodeLeaf(encodeCbor(changed as never)))).toBe('TG_WIRE_MALFORMED');
    }
  });

  it('hashes as RFC 6962 says, apart from every node of the tree', () => {
    const bytes = recordLeaf(link);
    expect(leafHash(bytes)).toEqual(digest(Uint8Array.of(0), bytes));
  });

  it('says nothing of a record without its salt', () => {
    const record = Uint8Array.of(1, 2, 3);
    const [salt, other] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
    expect(bodyHash(salt, record)).toEqual(digest(salt, record));
    expect(bodyHash(other, record)).not.toEqual(bodyHash(salt, record));
  });
});

describe('the chain of a stream', () => {
  const hashes = fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { minLength: 1, maxLength: 12 });
  const chainOf = (all: readonly Uint8Array[]) => all.reduce(nextChain, chainStart(stream));

  it('starts at the hash of the stream and takes in each body', () => {
    const [a, b] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
    expect(chainOf([a, b])).toEqual(digest(digest(digest(stream), a), b));
  });

  it('is another one where a record is changed, dropped, added or moved', () => {
    fc.assert(
      fc.property(hashes, fc.nat(), fc.nat(), (all, first, second) => {
        const [i, j] = [first % all.length, second % all.length];
        const changed = all.map((hash, at) => (at === i ? hash.map((byte) => byte ^ 1) : hash));
        const dropped = all.filter((_, at) => at !== i);
        const moved = all.map((hash, at) => (at === i ? all[j]! : at === j ? all[i]! : hash));
        const whole = Buffer.from(chainOf(all)).toString('hex');
        for (const other of [changed, dropped, [...all, all[i]!]]) {
          expect(Buffer.from(chainOf(other)).toString('hex')).not.toBe(whole);
        }
        const same = Buffer.compare(all[i]!, all[j]!) === 0;
        expect(Buffer.from(chainOf(moved)).toString('hex') === whole).toBe(same);
      }),
      { seed: 6962 },
    );
  });

  it('is never that of another stream', () => {
    expect(chainStart(stream)).not.toEqual(chainStart(stream.map((byte) => byte ^ 1)));
  });
});
