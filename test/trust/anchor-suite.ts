import { createPublicKey, verify } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TrustAnchor } from '#contracts';
import { nodeCrypto, parseVerifierKey, TYPE_ED25519 } from '#ledger';

/** One anchor under test. */
export interface AnchorUnderTest {
  readonly anchor: TrustAnchor;
  /** The same anchor after a restart of the process. */
  reopen(): Promise<TrustAnchor>;
  cleanUp(): Promise<void>;
}

/** What every trust anchor promises; a TPM runs the same suite. */
export function anchorSuite(name: string, make: () => Promise<AnchorUnderTest>): void {
  describe(`a trust anchor (${name})`, () => {
    let parts: AnchorUnderTest;
    let anchor: TrustAnchor;
    const secret = new Uint8Array([1, 2, 3, 250, 251, 252]);

    beforeEach(async () => {
      parts = await make();
      anchor = parts.anchor;
    });
    afterEach(() => parts.cleanUp());

    it('says what it is, and names its ledger key the same after a restart', async () => {
      expect(['software-untrusted', 'tpm2']).toContain(anchor.describe().kind);
      expect((await parts.reopen()).describe()).toEqual(anchor.describe());
    });

    it('signs with the key that it names', async () => {
      const message = new TextEncoder().encode('a message');
      const key = parseVerifierKey(anchor.describe().verifierKey, nodeCrypto);
      const signature = await anchor.sign(message);
      expect(signature).toHaveLength(64);
      const check = (bytes: Uint8Array) =>
        key.type === TYPE_ED25519
          ? nodeCrypto.ed25519(key.publicKey, bytes, signature)
          : verify(
              'sha256',
              bytes,
              {
                key: createPublicKey({ key: Buffer.from(key.publicKey), format: 'der', type: 'spki' }),
                dsaEncoding: 'ieee-p1363',
              },
              signature,
            );
      expect(await check(message)).toBe(true);
      expect(await check(new TextEncoder().encode('another message'))).toBe(false);
    });

    it('keeps a secret over a restart', async () => {
      await anchor.seal('spool/urn:uuid:1', secret);
      expect(Buffer.from((await anchor.unseal('spool/urn:uuid:1'))!)).toEqual(Buffer.from(secret));
      expect(Buffer.from((await (await parts.reopen()).unseal('spool/urn:uuid:1'))!)).toEqual(Buffer.from(secret));
    });

    it('replaces a secret, and tells labels apart', async () => {
      await anchor.seal('a', secret);
      await anchor.seal('b', new Uint8Array([9]));
      await anchor.seal('a', new Uint8Array([7]));
      expect([...(await anchor.unseal('a'))!]).toEqual([7]);
      expect([...(await anchor.unseal('b'))!]).toEqual([9]);
    });

    it('takes secrets from 0 to 128 bytes and refuses longer ones', async () => {
      for (const length of [0, 1, 32, 128]) {
        await anchor.seal('a', new Uint8Array(length).fill(5));
        expect(await anchor.unseal('a')).toHaveLength(length);
      }
      await expect(anchor.seal('a', new Uint8Array(129))).rejects.toThrow('at most 128');
      expect(await anchor.unseal('a'), 'what was sealed before stays').toHaveLength(128);
    });

    it('never opens a destroyed label again, and destroys twice without complaint', async () => {
      await anchor.seal('a', secret);
      await anchor.seal('b', secret);
      await anchor.destroy('a');
      await anchor.destroy('a');
      await anchor.destroy('never sealed');
      expect(await anchor.unseal('a')).toBe(null);
      const again = await parts.reopen();
      expect(await again.unseal('a')).toBe(null);
      expect(await again.unseal('b')).toHaveLength(secret.length);
    });

    it('has no secret under a label that was never sealed', async () => {
      expect(await anchor.unseal('a')).toBe(null);
    });

    it('counts upwards by one, over a restart and for callers at the same time', async () => {
      const first = await anchor.counter();
      const many = await Promise.all(Array.from({ length: 10 }, () => anchor.counter()));
      expect(many).toEqual(Array.from({ length: 10 }, (_, i) => first + 1 + i));
      expect(await (await parts.reopen()).counter()).toBe(first + 11);
    });

    it('gives random bytes of the length asked for', async () => {
      const [a, b] = [await anchor.random(32), await anchor.random(32)];
      expect(a).toHaveLength(32);
      expect(Buffer.from(a).equals(Buffer.from(b))).toBe(false);
    });
  });
}
