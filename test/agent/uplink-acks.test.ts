import { generateKeyPairSync, type JsonWebKey, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ackVerifier } from '#agent/acks';
import { TollgateError } from '#contracts';
import { type AckBody, ackKeyId, signAck } from '#wire';

function signer() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const key = publicKey.export({ format: 'jwk' }) as JsonWebKey;
  const id = ackKeyId(key);
  return {
    key,
    ack: (body: Partial<AckBody> = {}) =>
      signAck(
        { stream: OURS, uptoSeq: 7, missing: [3], state: 'opened', checkpointSize: 12, ...body },
        id,
        async (message) => new Uint8Array(sign(null, message, privateKey)),
      ),
  };
}

const OURS = new Uint8Array(8).fill(1);
const OTHERS = new Uint8Array(8).fill(2);
const UNKNOWN = new Uint8Array(8).fill(9);

/** A store that counts its questions: each ends the gathering of PUBACKs. */
function storeOf(owners: readonly (readonly [Uint8Array, string])[]) {
  const asked: Uint8Array[] = [];
  return {
    asked,
    recipientOf: async (stream: Uint8Array) => {
      asked.push(stream);
      return owners.find(([one]) => Buffer.compare(one, stream) === 0)?.[1] ?? null;
    },
  };
}

const [a, b, stranger] = [signer(), signer(), signer()];
const recipients = new Map([
  ['did:web:a', { ack: a.key }],
  ['did:web:b', { ack: b.key }],
]);
const OWNERS = [
  [OURS, 'did:web:a'],
  [OTHERS, 'did:web:b'],
] as const;

describe('an acknowledgement', () => {
  it('counts when the recipient of its stream signed it', async () => {
    const store = storeOf(OWNERS);
    const bytes = await a.ack();
    expect(await ackVerifier(store, recipients)(bytes)).toEqual({
      stream: OURS,
      uptoSeq: 7,
      missing: [3],
      state: 'opened',
      signed: bytes,
      checkpointSize: 12,
    });
  });

  it('is nothing from another recipient of the unit, nor for a stream that is not the unit’s', async () => {
    const verify = ackVerifier(storeOf(OWNERS), recipients);
    expect(await verify(await b.ack())).toBeNull();
    expect(await verify(await a.ack({ stream: OTHERS }))).toBeNull();
    expect(await verify(await a.ack({ stream: UNKNOWN, checkpointSize: 1e9 }))).toBeNull();
  });

  it('does not reach the store unless a recipient signed it', async () => {
    const store = storeOf(OWNERS);
    const verify = ackVerifier(store, recipients);
    const good = await a.ack();
    expect(await verify(await stranger.ack())).toBeNull();
    for (let at = 0; at < good.length * 8; at++) {
      const bent = good.slice();
      bent[at >> 3]! ^= 1 << (at & 7);
      expect(await verify(bent), `bit ${at}`).toBeNull();
    }
    expect(await verify(new Uint8Array(65_537))).toBeNull();
    expect(store.asked).toEqual([]);
  });

  it('asks the store once a stream', async () => {
    const store = storeOf(OWNERS);
    const verify = ackVerifier(store, recipients);
    for (let uptoSeq = 4; uptoSeq < 100; uptoSeq++) await verify(await a.ack({ uptoSeq }));
    expect(store.asked).toEqual([OURS]);
  });

  it('counts from a recipient that was added since, and not from one that was taken out', async () => {
    const live = new Map(recipients);
    const verify = ackVerifier(storeOf([[OURS, 'did:web:new']]), live);
    expect(await verify(await stranger.ack())).toBeNull();
    live.set('did:web:new', { ack: stranger.key });
    expect(await verify(await stranger.ack())).not.toBeNull();
    live.delete('did:web:new');
    expect(await verify(await stranger.ack())).toBeNull();
  });

  it('counts for two recipients that share a key', async () => {
    const shared = new Map([...recipients, ['did:web:c', { ack: a.key }] as const]);
    const verify = ackVerifier(storeOf([[OURS, 'did:web:c']]), shared);
    expect(await verify(await a.ack())).not.toBeNull();
  });

  it('is not called forged when it is the store that fails', async () => {
    const failing = {
      recipientOf: () => Promise.reject(new TollgateError('TG_STORE_CLOSED', 'closed')),
    };
    await expect(ackVerifier(failing, recipients)(await a.ack())).rejects.toMatchObject({ code: 'TG_STORE_CLOSED' });
  });

  it('is never more than an answer of nothing, whatever bytes come', async () => {
    const store = storeOf(OWNERS);
    const verify = ackVerifier(store, recipients);
    const good = await a.ack();
    const mutants = fc.tuple(fc.nat(good.length - 1), fc.uint8Array({ maxLength: 6 }), fc.nat(good.length));
    await fc.assert(
      fc.asyncProperty(mutants, async ([at, bytes, cut]) => {
        const mutant = Buffer.concat([good.subarray(0, at), bytes, good.subarray(Math.max(at, cut))]);
        const answer = await verify(mutant);
        expect(answer === null || Buffer.compare(mutant, good) === 0).toBe(true);
      }),
      { numRuns: 1_000, seed: 1 },
    );
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        expect(await verify(bytes)).toBeNull();
      }),
      { numRuns: 500, seed: 2 },
    );
    expect(store.asked.length).toBeLessThanOrEqual(1);
  });
});
