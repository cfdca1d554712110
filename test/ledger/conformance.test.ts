import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inclusionProof, rootFromRange, sha256Tree } from '#ledger';
import { Tally } from '../conformance/topics/ledger/tally.ts';
import { run } from '../conformance/topics/ledger.ts';
import { grow, leafBytes } from './trees.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tollgate-vectors-'));
  mkdirSync(join(dir, 'ledger'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

describe('the conformance topic ledger', () => {
  it('counts what agrees and fails on a single wrong verdict', async () => {
    const tree = grow(9);
    const one = {
      _path: 'made here',
      leafIdx: 4,
      treeSize: 9,
      root: base64(rootFromRange(tree.range, sha256Tree)),
      leafHash: base64(sha256Tree.leaf(leafBytes(4))),
      proof: inclusionProof(4, 9, tree.node, sha256Tree).map(base64),
    };
    const cases = [
      { ...one, wantErr: false },
      { ...one, leafIdx: 5, wantErr: true },
      { ...one, _path: 'a wrong verdict', wantErr: true },
    ];
    writeFileSync(join(dir, 'ledger/rfc6962-proofs.json'), JSON.stringify(cases));
    const result = await run(dir);
    expect(result.line).toContain('ledger: 2 of 3 proofs');
    expect(result.failed).toBeGreaterThanOrEqual(1);
    expect(result.problems).toContain('a wrong verdict: came true, wanted false');
  });

  it('says so when there is nothing to compare', () => {
    expect(new Tally().result('ledger')).toEqual({
      line: 'ledger: nothing to compare here',
      passed: 0,
      failed: 0,
      skipped: 0,
      problems: [],
    });
  });

  it('never counts what is unsupported as equal', () => {
    const tally = new Tally();
    tally.add('proofs', 2, 2);
    tally.unsupported('a feature', 3);
    const { line, passed, skipped } = tally.result('ledger');
    expect([line, passed, skipped]).toEqual(['ledger: 2 of 2 proofs; unsupported: a feature (3)', 2, 3]);
  });
});
