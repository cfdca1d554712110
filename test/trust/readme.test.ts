import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { jwkFromSeed, softwareAnchor } from '#trust';
import { exampleIn, exampleRun } from '../ledger/readme.ts';
import { countingRandom, memoryStorage } from './memory.ts';

const ledgerKey = jwkFromSeed('Ed25519', new Uint8Array(32).fill(1));
const storage = memoryStorage();
const random = countingRandom();
const spoolKey = new Uint8Array(32).fill(9);

describe('the example of trust/README.md', () => {
  it('keeps a key until it is destroyed', async () => {
    // example
    // An anchor keeps a spool key under the label of its agreement until the agreement is withdrawn.
    const anchor = softwareAnchor({ ledgerKey, storage, random });
    await anchor.seal('spool/urn:uuid:1', spoolKey);
    const kept = await anchor.unseal('spool/urn:uuid:1');
    await anchor.destroy('spool/urn:uuid:1');
    const gone = await anchor.unseal('spool/urn:uuid:1');
    // end
    expect(Buffer.from(kept!)).toEqual(Buffer.from(spoolKey));
    expect(gone).toBe(null);
  });

  it('is the code that ran here', () => {
    const readme = readFileSync(new URL('../../trust/README.md', import.meta.url), 'utf8');
    expect(exampleIn(readme)).toBe(exampleRun(readFileSync(new URL(import.meta.url), 'utf8')));
  });
});
