import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { jwkFromSeed, ledgerVerifierKey, publicJwk, softwareAnchor } from '#trust';
import { anchorSuite } from './anchor-suite.ts';
import { memoryStorage } from './memory.ts';

const ledgerKey = jwkFromSeed('Ed25519', new Uint8Array(32).fill(3));
const random = (bytes: number) => randomBytes(bytes);
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'resolved',
    (error: unknown) => (error instanceof TollgateError ? error.code : String(error)),
  );

anchorSuite('software, in memory', async () => {
  const storage = memoryStorage();
  return {
    anchor: softwareAnchor({ ledgerKey, storage, random }),
    reopen: async () => softwareAnchor({ ledgerKey, storage, random }),
    cleanUp: async () => undefined,
  };
});

describe('the software anchor', () => {
  it('says that it proves nothing about the machine', () => {
    expect(softwareAnchor({ ledgerKey, storage: memoryStorage(), random }).describe()).toEqual({
      kind: 'software-untrusted',
      verifierKey: ledgerVerifierKey(ledgerKey),
    });
  });

  it('refuses a ledger key that is public, of another curve, or no pair', () => {
    const other = jwkFromSeed('Ed25519', new Uint8Array(32).fill(4));
    const wrong = [
      publicJwk(ledgerKey),
      jwkFromSeed('X25519', new Uint8Array(32).fill(3)),
      { ...ledgerKey, x: other.x! },
      {},
    ];
    for (const key of wrong) {
      expect(() => softwareAnchor({ ledgerKey: key, storage: memoryStorage(), random })).toThrow(TollgateError);
    }
  });

  it('stores neither secret nor label in the clear', async () => {
    const storage = memoryStorage();
    const secret = randomBytes(32);
    await softwareAnchor({ ledgerKey, storage, random }).seal('urn:uuid:agreement', secret);
    for (const [name, blob] of storage.blobs) {
      expect(name).not.toContain('agreement');
      expect(Buffer.from(blob).includes(secret)).toBe(false);
    }
  });

  it('makes other bytes of the same secret each time', async () => {
    const storage = memoryStorage();
    const anchor = softwareAnchor({ ledgerKey, storage, random });
    const sealed = new Set<string>();
    for (let i = 0; i < 5; i++) {
      await anchor.seal('a', new Uint8Array(16));
      sealed.add([...storage.blobs].filter(([name]) => name.startsWith('s-')).join());
    }
    expect(sealed.size).toBe(5);
  });

  it('opens no blob with a changed bit, a cut end or another label', async () => {
    const storage = memoryStorage();
    const anchor = softwareAnchor({ ledgerKey, storage, random });
    await anchor.seal('a', new Uint8Array([1, 2, 3]));
    const [name, blob] = [...storage.blobs].find(([one]) => one.startsWith('s-'))!;
    for (let bit = 0; bit < blob.length * 8; bit++) {
      storage.blobs.set(
        name,
        blob.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)),
      );
      expect(await codeOf(anchor.unseal('a'))).toBe('TG_TRUST_SEALED');
    }
    for (let length = 0; length < blob.length; length++) {
      storage.blobs.set(name, blob.subarray(0, length));
      expect(await codeOf(anchor.unseal('a'))).toBe('TG_TRUST_SEALED');
    }
    await anchor.seal('b', new Uint8Array([4]));
    const other = [...storage.blobs.keys()].find((one) => one.startsWith('s-') && one !== name)!;
    storage.blobs.set(other, blob);
    expect(await codeOf(anchor.unseal('b'))).toBe('TG_TRUST_SEALED');
  });

  it('does not begin to count again when its counter is taken away or damaged', async () => {
    const storage = memoryStorage();
    const anchor = softwareAnchor({ ledgerKey, storage, random });
    expect(await anchor.counter()).toBe(1);
    const counter = storage.blobs.get('counter')!;
    storage.blobs.delete('counter');
    expect(await codeOf(anchor.counter())).toBe('TG_TRUST_COUNTER');
    storage.blobs.set(
      'counter',
      counter.map((byte) => byte ^ 1),
    );
    expect(await codeOf(anchor.counter())).toBe('TG_TRUST_COUNTER');
    storage.blobs.set('counter', counter);
    expect(await anchor.counter()).toBe(2);
  });

  it('survives a power cut after every write: nothing acknowledged is lost', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 12 }), async (writes) => {
        const storage = memoryStorage();
        let left = writes;
        const failing = {
          ...storage,
          write: async (name: string, bytes: Uint8Array) => {
            if (left-- <= 0) throw new Error('power cut');
            await storage.write(name, bytes);
          },
        };
        const before = softwareAnchor({ ledgerKey, storage: failing, random });
        const sealed: number[] = [];
        let counted = 0;
        try {
          for (let i = 0; i < 5; i++) {
            await before.seal(`label ${i}`, new Uint8Array([i]));
            sealed.push(i);
            counted = await before.counter();
          }
        } catch {
          // The power is gone.
        }
        const after = softwareAnchor({ ledgerKey, storage, random });
        for (const i of sealed) expect([...(await after.unseal(`label ${i}`))!]).toEqual([i]);
        expect(await after.counter()).toBeGreaterThan(counted);
      }),
      { numRuns: 30, seed: 1 },
    );
  });
});
