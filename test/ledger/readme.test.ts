import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  anchorSigner,
  appendLeaf,
  emptyRange,
  formatReceipt,
  inclusionProof,
  type NodeSink,
  nodeCrypto,
  parseReceipt,
  parseVerifierKey,
  rootFromRange,
  sha256Tree,
  signCheckpoint,
  verifyLeaf,
} from '#ledger';
import { jwkFromSeed, softwareAnchor } from '#trust';
import { countingRandom, memoryStorage } from '../trust/memory.ts';
import { exampleIn, exampleRun } from './readme.ts';

const ledgerKey = jwkFromSeed('Ed25519', new Uint8Array(32).fill(1));
const anchor = softwareAnchor({ ledgerKey, storage: memoryStorage(), random: countingRandom() });
const leaves = ['one', 'two'].map((text) => new TextEncoder().encode(text));

describe('the example of ledger/README.md', () => {
  it('proves a leaf to a third party', async () => {
    // example
    // A unit appends two leaves and signs the head; a third party checks the second leaf with nothing but the unit's key.
    const range = emptyRange();
    const nodes = new Map<string, Uint8Array>();
    const keep: NodeSink = (level, index, hash) => nodes.set(`${level}/${index}`, hash);
    for (const leaf of leaves) appendLeaf(range, sha256Tree.leaf(leaf), sha256Tree, keep);
    const checkpoint = await signCheckpoint(range.size, rootFromRange(range, sha256Tree), anchorSigner(anchor));
    const path = inclusionProof(1, range.size, (level, index) => nodes.get(`${level}/${index}`)!, sha256Tree);
    const receipt = formatReceipt({ extra: leaves[1]!, index: 1, path, checkpoint });

    const shown = parseReceipt(receipt);
    const key = parseVerifierKey(anchor.describe().verifierKey, nodeCrypto);
    const verdict = await verifyLeaf({ ...shown, leaf: shown.extra! }, [key], nodeCrypto);
    // end
    expect(verdict.ok).toBe(true);
    expect((await verifyLeaf({ ...shown, leaf: leaves[0]! }, [key], nodeCrypto)).ok).toBe(false);
  });

  it('is the code that ran here', () => {
    const readme = readFileSync(new URL('../../ledger/README.md', import.meta.url), 'utf8');
    expect(exampleIn(readme)).toBe(exampleRun(readFileSync(new URL(import.meta.url), 'utf8')));
  });
});
