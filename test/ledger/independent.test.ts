import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  consistencyProof,
  exportPartial,
  exportWhole,
  inclusionProof,
  rootAt,
  sha256Tree,
  verifyConsistency,
  verifyInclusion,
} from '#ledger';
import { part } from '../parts.ts';
import { dice, testLedger } from './logs.ts';
import { grow, leafBytes } from './trees.ts';

const script = fileURLToPath(new URL('./verify_rfc9162.py', import.meta.url));
const python = part('python3');
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const LEAVES = 600;
const CASES = 4000;

/** Inclusion and consistency proofs, half of them damaged, with our own verdict. */
function proofCases(): { line: string; verdict: boolean }[] {
  const tree = grow(LEAVES);
  const roll = dice(23);
  const damage = (bytes: Uint8Array) => bytes.map((byte, i) => (i === 5 ? byte ^ (1 << roll(8)) : byte));
  const cases = [];
  for (let i = 0; i < CASES; i++) {
    const size = 1 + roll(LEAVES);
    const wrong = roll(2) === 1 ? roll(5) : -1;
    const root = rootAt(size, tree.node, sha256Tree);
    if (roll(2) === 0) {
      const leaf = roll(size);
      let path = inclusionProof(leaf, size, tree.node, sha256Tree);
      if (wrong === 0) path = path.slice(1);
      if (wrong === 1) path = [...path, root];
      if (wrong === 2) path = path.map((hash, at) => (at === 0 ? damage(hash) : hash));
      const one = { leaf: wrong === 3 ? leaf + 1 : leaf, size, root: wrong === 4 ? damage(root) : root, path };
      const leafHash = sha256Tree.leaf(leafBytes(leaf));
      const verdict = verifyInclusion(sha256Tree, one.leaf, size, leafHash, path, one.root);
      cases.push({
        verdict,
        line: { ...one, leafHash: base64(leafHash), root: base64(one.root), path: path.map(base64) },
      });
    } else {
      const first = 1 + roll(size);
      const firstRoot = rootAt(first, tree.node, sha256Tree);
      let path = consistencyProof(first, size, tree.node, sha256Tree);
      if (wrong === 0) path = path.slice(1);
      if (wrong === 1) path = [...path, root];
      if (wrong === 2) path = path.map((hash, at) => (at === 0 ? damage(hash) : hash));
      const one = {
        first: wrong === 3 ? first + 1 : first,
        second: size,
        secondRoot: wrong === 4 ? damage(root) : root,
      };
      const verdict = verifyConsistency(sha256Tree, one.first, size, firstRoot, one.secondRoot, path);
      const texts = { firstRoot: base64(firstRoot), secondRoot: base64(one.secondRoot), path: path.map(base64) };
      cases.push({ verdict, line: { ...one, ...texts } });
    }
  }
  return cases.map(({ verdict, line }) => ({ verdict, line: JSON.stringify(line) }));
}

describe('a verifier written in Python from RFC 9162 alone', () => {
  it.skipIf(python === null)('agrees with ours on good and damaged proofs (needs the package python3)', () => {
    const cases = proofCases();
    const input = cases.map(({ line }) => `${line}\n`).join('');
    const child = spawnSync(python!, [script, 'proofs'], { input, encoding: 'utf8', maxBuffer: 1 << 26 });
    expect(child.stderr).toBe('');
    const verdicts = child.stdout.trim().split('\n');
    expect(verdicts).toHaveLength(CASES);
    const differ = cases.filter(({ verdict }, i) => String(verdict) !== verdicts[i]);
    expect(differ).toEqual([]);
    const accepted = cases.filter(({ verdict }) => verdict).length;
    expect(accepted).toBeGreaterThan(CASES / 3);
    expect(CASES - accepted).toBeGreaterThan(CASES / 4);
  });

  it.skipIf(python === null)('accepts our exports and no changed ones (needs the package python3)', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tollgate-export-'));
    try {
      const ledger = await testLedger(29, [0, 7, 16, 29]);
      const run = (text: string) => {
        writeFileSync(join(dir, 'export.jsonl'), text);
        const child = spawnSync(python!, [script, 'export', join(dir, 'export.jsonl')], { encoding: 'utf8' });
        return { status: child.status, out: child.stdout };
      };
      const whole = [...exportWhole(ledger)].join('');
      expect(run(whole)).toEqual({ status: 0, out: '29 leaves, 4 checkpoints, 0 problems\n' });
      const partial = [...exportPartial(ledger, [3, 20], sha256Tree)].join('');
      expect(run(partial)).toEqual({ status: 0, out: '2 leaves, 4 checkpoints, 0 problems\n' });
      const other = await testLedger(28, [0, 7, 16, 28]);
      const mixed = whole.replace(base64(ledger.leaf(27)), base64(other.leaf(26)));
      expect(run(mixed)).toMatchObject({
        status: 1,
        out: expect.stringContaining('leaf 27: its bytes do not have its hash'),
      });
      expect(run(partial.replace(base64(ledger.leaf(20)), base64(ledger.leaf(21)))).status).toBe(1);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
