import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
/** Built from `.ci/steps/merkle-judge` by CI's preparation. */
const go = fileURLToPath(new URL('../../.bench/judges/merkle-judge', import.meta.url));
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const LEAVES = 600;
const PROOFS = 10_000;

interface Inclusion {
  readonly leaf: number;
  readonly size: number;
  readonly leafHash: Uint8Array;
  readonly root: Uint8Array;
  readonly path: readonly Uint8Array[];
}

interface Consistency {
  readonly first: number;
  readonly second: number;
  readonly firstRoot: Uint8Array;
  readonly secondRoot: Uint8Array;
  readonly path: readonly Uint8Array[];
}

type Proof = Inclusion | Consistency;

const ours = (proof: Proof) =>
  'leaf' in proof
    ? verifyInclusion(sha256Tree, proof.leaf, proof.size, proof.leafHash, proof.path, proof.root)
    : verifyConsistency(sha256Tree, proof.first, proof.second, proof.firstRoot, proof.secondRoot, proof.path);

/** The line that judges read; bytes in base64. */
function lineOf(proof: Proof): string {
  const texts = Object.entries(proof).map(([key, value]) => {
    if (typeof value === 'number') return [key, value];
    return [key, Array.isArray(value) ? value.map(base64) : base64(value)];
  });
  return JSON.stringify(Object.fromEntries(texts));
}

/** Good proofs of every kind of place, and beside each one mutant of it. */
function proofCases(): { readonly good: Proof[]; readonly mutants: Proof[] } {
  const tree = grow(LEAVES);
  const roll = dice(23);
  const roots = Array.from({ length: LEAVES + 1 }, (_, size) => rootAt(size, tree.node, sha256Tree));
  const good: Proof[] = [];
  const mutants: Proof[] = [];
  while (good.length < PROOFS) {
    const size = 1 + roll(LEAVES);
    const proof: Proof = roll(2) === 0 ? inclusion(roll(size), size) : consistency(1 + roll(size), size);
    good.push(proof);
    mutants.push(mutant(proof, roll));
  }
  return { good, mutants };

  function inclusion(leaf: number, size: number): Inclusion {
    const path = inclusionProof(leaf, size, tree.node, sha256Tree);
    return { leaf, size, leafHash: sha256Tree.leaf(leafBytes(leaf)), root: roots[size]!, path };
  }

  function consistency(first: number, second: number): Consistency {
    const path = consistencyProof(first, second, tree.node, sha256Tree);
    return { first, second, firstRoot: roots[first]!, secondRoot: roots[second]!, path };
  }
}

/** The proof with one thing wrong. */
function mutant(proof: Proof, roll: (n: number) => number): Proof {
  const { path } = proof;
  const flip = (bytes: Uint8Array) => {
    const at = roll(bytes.length);
    return bytes.map((byte, i) => (i === at ? byte ^ (1 << roll(8)) : byte));
  };
  const at = path.length === 0 ? -1 : roll(path.length);
  switch (at === -1 ? 3 + roll(3) : roll(6)) {
    case 0:
      return { ...proof, path: path.filter((_, i) => i !== at) };
    case 1:
      return { ...proof, path: path.with(at, flip(path[at]!)) };
    case 2:
      return { ...proof, path: [...path.slice(0, at), path[at]!, ...path.slice(at)] };
    case 3:
      return { ...proof, path: [...path, flip(new Uint8Array(32))] };
    case 4:
      return 'leaf' in proof ? { ...proof, root: flip(proof.root) } : { ...proof, secondRoot: flip(proof.secondRoot) };
    default:
      return 'leaf' in proof
        ? { ...proof, leafHash: flip(proof.leafHash) }
        : { ...proof, firstRoot: flip(proof.firstRoot) };
  }
}

function judge(program: string, args: readonly string[], proofs: readonly Proof[]): string[] {
  const input = proofs.map((proof) => `${lineOf(proof)}\n`).join('');
  const child = spawnSync(program, args, { input, encoding: 'utf8', maxBuffer: 1 << 26 });
  expect(child.stderr).toBe('');
  return child.stdout.trim().split('\n');
}

describe('a verifier that is not ours', () => {
  const { good, mutants } = proofCases();
  const all = (verdict: string) => Array.from({ length: PROOFS }, () => verdict);

  it('has 10,000 proofs and 10,000 mutants to judge, and we tell them apart', () => {
    expect(good.filter((proof) => !ours(proof))).toEqual([]);
    expect(mutants.filter(ours)).toEqual([]);
  });

  it.skipIf(python === null)('written in Python from RFC 9162 alone, says the same (needs the package python3)', () => {
    expect(judge(python!, [script, 'proofs'], good)).toEqual(all('true'));
    expect(judge(python!, [script, 'proofs'], mutants)).toEqual(all('false'));
  });

  it.skipIf(!existsSync(go))('in Go, the reference, says the same (needs .ci/steps/30-merkle-judge.sh)', () => {
    expect(judge(go, [], good)).toEqual(all('true'));
    expect(judge(go, [], mutants)).toEqual(all('false'));
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
