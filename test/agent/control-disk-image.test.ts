import { createDecipheriv, createPrivateKey, diffieHellman, type JsonWebKey } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { spoolLabel } from '#agent/spool-keys';
import { grant, NOW, say, UID } from '../policies/consent-parts.ts';
import { unitFolder } from '../system/unit-folder.ts';
import { openControlled, pinIssuers } from './control-parts.ts';
import { FAST, frames, minutes, recipientOf } from './unit-parts.ts';

const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** Every file of a folder: database, WAL with its free pages, sealed keys, documents. */
function image(folder: string): Buffer[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile())
    .map((file) => readFileSync(file));
}

/**
 * How often one of the rows opens under one of the keys, tried at every byte of an image: ChaCha20-Poly1305 as the spool
 * wraps it (nonce = stream ‖ seq).
 */
function opened(images: readonly Buffer[], keys: readonly Uint8Array[], rows: readonly Row[]): number {
  let count = 0;
  for (const { stream, seq, size } of rows) {
    const nonce = Buffer.alloc(12);
    nonce.set(stream);
    nonce.writeUInt32BE(seq, 8);
    for (const bytes of images) {
      for (let at = 0; at + size <= bytes.length; at++) {
        for (const key of keys) {
          const decipher = createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
          decipher.setAuthTag(bytes.subarray(at + size - 16, at + size));
          decipher.update(bytes.subarray(at, at + size - 16));
          try {
            decipher.final();
            count++;
          } catch {
            // Not here.
          }
        }
      }
    }
  }
  return count;
}

interface Row {
  readonly stream: Uint8Array;
  readonly seq: number;
  /** Of the wrapped row. */
  readonly size: number;
}

describe('a full image of the disk, with the recipient’s private keys', () => {
  it('opens a row before the withdrawal, and none after it', { timeout: 60_000 }, async () => {
    const campaign = {
      name: 'ubi',
      record: '1s',
      signals: ['{ signal: "dbc:Motion.Speed", operation: aggregate, window: 1s, results: [mean] }'],
    };
    const folder = await unitFolder({ campaigns: [campaign], agreements: [], ...FAST });
    cleanUps.push(() => folder.remove());
    pinIssuers(folder);
    const open = await openControlled(folder, { clock: { ms: NOW } });
    cleanUps.push(() => open.close().catch(() => undefined));
    const recipient = await recipientOf(folder);
    cleanUps.push(() => recipient.close());
    await open.control.receive(grant({ targets: ['dbc:Motion.Speed'] }));
    await open.unit.frames(frames(minutes(0, 3, 100)), 0);
    await open.unit.finish();
    // The attacker may even know which rows there are, and how long.
    const taken = await open.unit.store.take(10);
    const row = taken.find(({ kind }) => kind === 'record')!;
    expect(row.seq).toBe(0);
    await open.unit.store.requeue(0);
    const rows = [{ stream: row.stream, seq: row.seq, size: row.payload.length + 16 }];
    const spool = await open.keys.anchor.unseal(spoolLabel(UID));
    expect(
      opened(image(folder.state), [new Uint8Array(spool!)], rows),
      'the control: with the key it opens',
    ).toBeGreaterThan(0);

    expect(await open.control.receive(say('withdraw', 2))).toMatchObject({ verdict: 'accepted' });
    await open.close();
    const images = [...image(folder.state), ...image(folder.keys)];
    const keys = keysIn(images, folder.recipients[0]!);
    expect(opened(images, keys, rows)).toBe(0);
    for (const bytes of images) expect(bytes.includes(Buffer.from(spool!)), 'the key itself').toBe(false);
  });
});

/** The recipient's keys, what they agree on with each other, and every secret that a file of keys still holds. */
function keysIn(images: readonly Buffer[], recipient: string): Uint8Array[] {
  const jwks = image(recipient).flatMap((bytes) => {
    try {
      const value = JSON.parse(bytes.toString('utf8')) as JsonWebKey;
      return value.d === undefined ? [] : [value];
    } catch {
      return [];
    }
  });
  const own = jwks.map(({ d }) => new Uint8Array(Buffer.from(d!, 'base64url')));
  const hpke = jwks.filter(({ crv }) => crv === 'X25519').map((key) => createPrivateKey({ key, format: 'jwk' }));
  const agreed = hpke.map((key) => new Uint8Array(diffieHellman({ privateKey: key, publicKey: key })));
  const onDisk = images.flatMap((bytes) => {
    const text = bytes.length < 4_096 ? bytes.toString('latin1') : '';
    return [...text.matchAll(/"d":\s*"([\w-]{43})"/g)].map(([, d]) => new Uint8Array(Buffer.from(d!, 'base64url')));
  });
  expect(own.length).toBeGreaterThan(0);
  expect(onDisk.length).toBeGreaterThan(0);
  return [...own, ...agreed, ...onDisk];
}
