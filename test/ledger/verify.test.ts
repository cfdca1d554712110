import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import {
  type Audit,
  auditLedger,
  type ExportInput,
  exportPartial,
  exportWhole,
  inclusionProof,
  type LedgerSource,
  type NodeReader,
  nodeCrypto,
  parseExport,
  rootAt,
  sha256Tree,
  signCheckpoint,
  verifyExport,
  verifyRecord,
} from '#ledger';
import { dice, leafOf, mutate, recordBytes, recordLeaves, salt, testLedger, testSigner } from './logs.ts';
import { grow } from './trees.ts';

const signer = testSigner();
const keys = [signer.key];
const SIZE = 37;
const CHECKPOINTS = [0, 5, 16, 30, 37];
let ledger: Awaited<ReturnType<typeof testLedger>>;
let whole: string;

beforeAll(async () => {
  ledger = await testLedger(SIZE, CHECKPOINTS);
  whole = [...exportWhole(ledger)].join('');
});

const check = async (text: string, outside: string[] = []) =>
  await verifyExport(parseExport(text), keys, nodeCrypto, { outside });
/** The export with a change in one of its lines (JSON object). */
const changed = (text: string, line: number, change: (value: Record<string, unknown>) => void) => {
  const lines = text.split('\n');
  const value = JSON.parse(lines[line]!);
  change(value);
  lines[line] = JSON.stringify(value);
  return lines.join('\n');
};
const leafLine = (index: number) => 1 + CHECKPOINTS.length + index;
const flip = (base64: unknown, at = 0) => {
  const bytes = Buffer.from(String(base64), 'base64');
  bytes[at]! ^= 1;
  return bytes.toString('base64');
};
const where = ({ findings }: Audit) => findings.map(({ kind, from, to }) => `${kind} ${from}-${to}`);

describe('an export of a ledger whose oldest leaves were pruned', () => {
  const PRUNED = 16;
  const node: NodeReader = (level, index) => {
    if ((index + 1) * 2 ** level <= PRUNED && level < 4) throw new Error(`node ${level}/${index} was pruned`);
    return ledger.node(level, index);
  };
  const leaf = (index: number) => {
    if (index < PRUNED) throw new Error(`leaf ${index} was pruned`);
    return ledger.leaf(index);
  };
  const tail = () => [...exportWhole({ ...ledger, node, leaf, prunedBelow: PRUNED })].join('');
  const line = (index: number) => 2 + CHECKPOINTS.length + index - PRUNED;

  it('verifies: the subtrees that are kept stand for the leaves', async () => {
    expect(await check(tail())).toMatchObject({ ok: true, leaves: SIZE, signedSize: SIZE, firstWrongLeaf: null });
  });

  it('tells the leaf whose bytes were changed, whichever it is', async () => {
    for (let i = PRUNED; i < SIZE; i++) {
      const audit = await check(changed(tail(), line(i), (value) => (value.data = flip(value.data, 40))));
      expect([audit.ok, where(audit)]).toEqual([false, [`leaf ${i}-${i + 1}`]]);
    }
  });

  it('notices a changed hash of what was pruned', async () => {
    const audit = await check(changed(tail(), 1, (value) => (value.nodes = [flip((value.nodes as string[])[0])])));
    expect(audit.ok).toBe(false);
  });

  it('notices pruned leaves that no checkpoint covers', async () => {
    const heads = await testLedger(SIZE, [5]);
    const text = [...exportWhole({ ...heads, node, leaf, prunedBelow: PRUNED })].join('');
    expect((await check(text)).ok).toBe(false);
  });

  it('is read strictly', () => {
    expect(() => parseExport(changed(tail(), 1, (value) => (value.nodes = [])))).toThrow(
      'subtrees of 16 pruned leaves',
    );
    expect(() => parseExport(changed(tail(), 1, (value) => (value.pruned = 15)))).toThrow('subtrees of 16');
    expect(() => parseExport(tail().replace('"leaf":16', '"leaf":17'))).toThrow('leaf 17 does not belong here');
  });
});

describe('an export of a whole ledger', () => {
  it('verifies, and says what it holds', async () => {
    expect(await check(whole)).toMatchObject({
      ok: true,
      findings: [],
      firstWrongLeaf: null,
      leaves: SIZE,
      signedSize: SIZE,
      checkpoints: { total: 5, agreed: 5 },
      records: 36,
      streams: 2,
      kinds: { boot: 1, record: 36 },
    });
  });

  it('is the same text whenever it is made', () => {
    expect([...exportWhole(ledger)].join('')).toBe(whole);
  });

  it('tells the leaf whose bytes were changed, whichever it is', async () => {
    for (let i = 0; i < SIZE; i++) {
      const audit = await check(changed(whole, leafLine(i), (line) => (line.data = flip(line.data, 40))));
      expect([audit.ok, audit.firstWrongLeaf, where(audit)]).toEqual([false, i, [`leaf ${i}-${i + 1}`]]);
    }
  });

  it('tells the leaf whose kept hash was changed: the leaves are right', async () => {
    const audit = await check(changed(whole, leafLine(9), (line) => (line.hash = flip(line.hash))));
    expect([audit.ok, audit.firstWrongLeaf]).toEqual([false, null]);
    expect(where(audit)).toContain('node 9-10');
  });

  it('tells between which checkpoints a leaf was changed together with its hash', async () => {
    const audit = await check(
      changed(whole, leafLine(20), (line) => {
        line.data = flip(line.data, 40);
        line.hash = Buffer.from(sha256Tree.leaf(Buffer.from(String(line.data), 'base64'))).toString('base64');
      }),
    );
    expect([audit.ok, audit.firstWrongLeaf, where(audit)]).toEqual([false, 16, ['leaf 16-30']]);
  });

  it('tells all leaves that were changed, the first one first', async () => {
    let text = whole;
    for (const i of [33, 7, 12]) text = changed(text, leafLine(i), (line) => (line.data = flip(line.data, 40)));
    const audit = await check(text);
    expect([audit.firstWrongLeaf, where(audit)]).toEqual([7, ['leaf 7-8', 'leaf 12-13', 'leaf 33-34']]);
  });

  it('does not hide two leaves that changed places', async () => {
    const lines = whole.split('\n');
    const [a, b] = [JSON.parse(lines[leafLine(10)]!), JSON.parse(lines[leafLine(11)]!)];
    lines[leafLine(10)] = JSON.stringify({ ...b, leaf: 10 });
    lines[leafLine(11)] = JSON.stringify({ ...a, leaf: 11 });
    expect((await check(lines.join('\n'))).firstWrongLeaf).toBe(5);
  });

  it('shows by an outside checkpoint that it was cut or rolled back', async () => {
    const yesterday = await testLedger(30, [0, 5, 16, 30]);
    const text = [...exportWhole(yesterday)].join('');
    expect((await check(text)).ok, 'by itself it is a true ledger of yesterday').toBe(true);
    const audit = await check(text, [ledger.checkpoints[4]!]);
    expect([audit.ok, audit.firstWrongLeaf, where(audit)]).toEqual([false, 30, ['missing 30-37']]);
  });

  it('shows that the key signed two histories', async () => {
    const other = grow(16, (i) => recordLeaves(17)[i === 3 ? 16 : i]!);
    const fork = await signCheckpoint(16, rootAt(16, other.node, sha256Tree), signer);
    const audit = await check(whole, [fork]);
    expect([audit.ok, where(audit)]).toEqual([false, ['checkpoint 0-16']]);
    expect(audit.findings[0]!.message).toContain('two histories');
  });

  it('is nobody’s without a checkpoint, or under a key that nobody trusts', async () => {
    const bare = await testLedger(3, []);
    expect(where(await check([...exportWhole(bare)].join('')))).toEqual(['signature 0-0']);
    const stranger = await testLedger(SIZE, CHECKPOINTS, testSigner(2));
    const audit = await check([...exportWhole(stranger)].join(''));
    expect(audit).toMatchObject({ ok: false, signedSize: 0, checkpoints: { total: 5, agreed: 0 } });
  });

  it('may be ahead of its newest checkpoint, and says how far the signature reaches', async () => {
    const ahead = await testLedger(20, [16]);
    expect(await check([...exportWhole(ahead)].join(''))).toMatchObject({ ok: true, leaves: 20, signedSize: 16 });
    const text = [...exportWhole(ahead)].join('');
    const audit = await check(changed(text, 2 + 18, (line) => (line.data = flip(line.data, 40))));
    expect([audit.ok, audit.firstWrongLeaf]).toEqual([false, 18]);
  });

  it('of an empty ledger verifies', async () => {
    expect(await check([...exportWhole(await testLedger(0, [0]))].join(''))).toMatchObject({ ok: true, leaves: 0 });
  });

  it('follows the chain of each stream: what the unit itself signed wrongly is found', async () => {
    const leaves = recordLeaves(10);
    const withLeaves = async (list: readonly Uint8Array[]) => {
      const tree = grow(list.length, (i) => list[i]!);
      const note = await signCheckpoint(list.length, rootAt(list.length, tree.node, sha256Tree), signer);
      const input: ExportInput = {
        ...ledger,
        size: list.length,
        leaf: (i) => list[i]!,
        node: tree.node,
        checkpoints: [note],
      };
      return await check([...exportWhole(input)].join(''));
    };
    expect((await withLeaves(leaves)).ok).toBe(true);
    expect(where(await withLeaves(leaves.toSpliced(5, 1)))).toEqual(['chain 6-7']);
    expect(
      where(
        await withLeaves(
          leaves.with(
            8,
            leaves[8]!.map((byte, i) => (i === 30 ? byte ^ 1 : byte)),
          ),
        ),
      ),
    ).toEqual(['chain 8-9']);
    expect(where(await withLeaves(leaves.with(4, Buffer.from('no leaf'))))).toEqual(['form 4-5', 'chain 5-6']);
  });

  it('with any bit of it changed does not verify, or cannot be read', async () => {
    const small = [...exportWhole(await testLedger(4, [2, 4]))].join('');
    const bytes = Buffer.from(small);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(await refused(bytes.toString('utf8')), `bit ${bit}`).toBe(true);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
  });
});

/** Whether an export is refused, either by a typed error of the parser or by the verifier. */
async function refused(text: string): Promise<boolean> {
  try {
    return !(await check(text)).ok;
  } catch (error) {
    if (error instanceof TollgateError) return true;
    throw error;
  }
}

describe('an export of some leaves', () => {
  const partial = () => [...exportPartial(ledger, [33, 2, 17, 2], sha256Tree)].join('');

  it('verifies each leaf and each older checkpoint under the largest', async () => {
    expect(await check(partial())).toMatchObject({
      ok: true,
      leaves: 3,
      signedSize: SIZE,
      records: 3,
      checkpoints: { total: 5, agreed: 5 },
    });
  });

  it('needs a checkpoint that covers its leaves', async () => {
    const bare = await testLedger(3, []);
    expect(() => [...exportPartial(bare, [0], sha256Tree)]).toThrow(RangeError);
    const ahead = await testLedger(20, [16]);
    expect(() => [...exportPartial(ahead, [16], sha256Tree)]).toThrow(RangeError);
  });

  it('tells the leaf whose bytes, hash or proof were changed', async () => {
    const at = (change: (line: Record<string, unknown>) => void) => changed(partial(), leafLine(1), change);
    expect(where(await check(at((line) => (line.data = flip(line.data, 40)))))).toEqual(['leaf 17-18']);
    expect(where(await check(at((line) => (line.hash = flip(line.hash)))))).toEqual(['leaf 17-18']);
    const path = at((line) => (line.path = (line.path as string[]).map((hash, i) => (i === 2 ? flip(hash) : hash))));
    expect(where(await check(path))).toEqual(['proof 17-18']);
    expect(where(await check(at((line) => (line.leaf = 18))))).toEqual(['proof 18-19']);
  });

  it('tells the checkpoint that is no prefix of the largest', async () => {
    const path = (line: Record<string, unknown>) => (line.path = (line.path as string[]).map((hash) => flip(hash)));
    const audit = await check(changed(partial(), 2, path));
    expect(audit.findings.map(({ message }) => message)).toEqual([
      'checkpoint of 5 leaves: it is not proved to be a prefix of the 37 leaves of the largest',
    ]);
  });

  it('with any bit of it changed does not verify, or cannot be read', async () => {
    const small = [...exportPartial(await testLedger(5, [2, 5]), [1, 4], sha256Tree)].join('');
    const bytes = Buffer.from(small);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(await refused(bytes.toString('utf8')), `bit ${bit}`).toBe(true);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
  });
});

describe('the text of an export', () => {
  it('is refused with file and line when it is cut, padded or written otherwise', () => {
    const errorOf = (text: string) => {
      try {
        parseExport(text, 'x.jsonl');
        return '';
      } catch (error) {
        if (!(error instanceof TollgateError)) throw error;
        return `${error.place.file}:${error.place.line} ${error.message}`;
      }
    };
    const lines = whole.split('\n');
    expect(errorOf(whole.slice(0, -1))).toBe('x.jsonl:43 the file ends in the middle of a line');
    expect(errorOf(whole.split('\n').slice(0, -2).join('\n').concat('\n'))).toBe(
      'x.jsonl:42 37 leaves and 5 checkpoints were announced, 41 lines follow',
    );
    expect(errorOf(lines.toSpliced(9, 1, 'nonsense').join('\n'))).toBe('x.jsonl:10 the line is not a JSON object');
    expect(errorOf(lines.toSpliced(9, 1, lines[9]!.replace('{', '{ ')).join('\n'))).toBe(
      'x.jsonl:10 the line is not as an export writes it',
    );
    expect(errorOf(lines.with(9, lines[10]!).with(10, lines[9]!).join('\n'))).toBe(
      'x.jsonl:10 leaf 4 does not belong here',
    );
    expect(errorOf('{}\n')).toBe('x.jsonl:1 this is no export in the format tollgate-ledger-export/1');
  });

  it('made by mutation is refused with a typed error, or does not verify', async () => {
    const small = [...exportWhole(await testLedger(6, [6]))].join('');
    const roll = dice(17);
    for (let i = 0; i < 1500; i++) {
      const text = mutate(small, roll);
      if (text !== small) expect(await refused(text), text).toBe(true);
    }
  });
});

describe('a ledger with stored nodes', () => {
  /** A database: leaves and nodes that a test may change. */
  const database = (): LedgerSource & { leaves: Uint8Array[]; nodes: Map<string, Uint8Array> } => {
    const leaves = [...ledger.tree.leaves];
    const nodes = new Map(ledger.tree.nodes);
    return {
      leaves,
      nodes,
      size: SIZE,
      leaf: (i) => leaves[i] ?? null,
      node: (level, index) => nodes.get(`${level}/${index}`) ?? null,
      keepsAllNodes: true,
      checkpoints: ledger.checkpoints,
      outside: [],
    };
  };
  const other = (hash: Uint8Array) => hash.map((byte, i) => (i === 0 ? byte ^ 1 : byte));

  it('verifies', async () => {
    expect((await auditLedger(database(), keys, nodeCrypto)).ok).toBe(true);
  });

  it('tells each single node that was changed or is gone', async () => {
    for (const name of ledger.tree.nodes.keys()) {
      const [level, index] = name.split('/').map(Number) as [number, number];
      for (const gone of [false, true]) {
        const source = database();
        if (gone) source.nodes.delete(name);
        else source.nodes.set(name, other(source.nodes.get(name)!));
        const audit = await auditLedger(source, keys, nodeCrypto);
        expect(where(audit)).toEqual([`node ${index * 2 ** level}-${(index + 1) * 2 ** level}`]);
        expect(audit.firstWrongLeaf).toBe(null);
      }
    }
  });

  it('tells the leaf that was changed with its own hash: the nodes above still know', async () => {
    const source = database();
    source.leaves[20] = Buffer.from('forged');
    source.nodes.set('0/20', sha256Tree.leaf(source.leaves[20]!));
    const audit = await auditLedger(source, keys, nodeCrypto);
    expect([audit.firstWrongLeaf, where(audit)]).toEqual([20, ['leaf 20-22']]);
  });

  it('tells the leaves between two checkpoints when every node up to the root was forged too', async () => {
    const forged = grow(SIZE, (i) => (i === 20 ? Buffer.from('forged') : ledger.tree.leaves[i]!));
    const source = database();
    source.leaves[20] = forged.leaves[20]!;
    for (const [name, hash] of forged.nodes) source.nodes.set(name, hash);
    const audit = await auditLedger(source, keys, nodeCrypto);
    expect([audit.firstWrongLeaf, where(audit)]).toEqual([16, ['leaf 16-30']]);
  });

  it('tells the leaf that is gone', async () => {
    const source = database();
    const audit = await auditLedger({ ...source, leaf: (i) => (i === 8 ? null : source.leaf(i)) }, keys, nodeCrypto);
    expect([audit.firstWrongLeaf, where(audit)]).toEqual([8, ['missing 8-9']]);
  });

  it('tells leaves that were cut off the end', async () => {
    const audit = await auditLedger({ ...database(), size: 33 }, keys, nodeCrypto);
    expect([audit.firstWrongLeaf, where(audit)]).toEqual([33, ['missing 33-37']]);
  });
});

describe('a record shown with its proof', () => {
  const claim = (i: number) => ({
    record: recordBytes(i),
    salt: salt(i),
    leaf: ledger.leaf(i),
    index: i,
    path: inclusionProof(i, SIZE, ledger.node, sha256Tree),
    checkpoint: ledger.checkpoints[4]!,
  });

  it('is proved down to the signature', async () => {
    expect(await verifyRecord(claim(12), keys, nodeCrypto)).toMatchObject({
      ok: true,
      origin: signer.key.name,
      size: SIZE,
    });
  });

  it('is refused, and the broken link is named', async () => {
    const broken = async (change: Partial<ReturnType<typeof claim>>, trusted = keys) => {
      const verdict = await verifyRecord({ ...claim(12), ...change }, trusted, nodeCrypto);
      return verdict.ok ? 'ok' : verdict.broken;
    };
    expect(await broken({ record: recordBytes(13) })).toBe('record');
    expect(await broken({ salt: salt(13) })).toBe('record');
    expect(await broken({ leaf: ledger.leaf(13) })).toBe('record');
    expect(await broken({ leaf: Buffer.from('no leaf') })).toBe('leaf');
    expect(await broken({ leaf: leafOf(0, 1, null, new Uint8Array(32), Buffer.from([0x80])) })).toBe('leaf');
    expect(await broken({ index: 13 })).toBe('proof');
    expect(await broken({ path: [] })).toBe('proof');
    expect(await broken({ checkpoint: ledger.checkpoints[3]! })).toBe('proof');
    expect(await broken({ checkpoint: 'nonsense' })).toBe('checkpoint');
    expect(await broken({ checkpoint: ledger.checkpoints[4]!.replace(`\n${SIZE}\n`, `\n${SIZE + 1}\n`) })).toBe(
      'signature',
    );
    expect(await broken({}, [testSigner(2).key])).toBe('signature');
  });
});

describe('the verifier', () => {
  it('needs nothing of Node: a browser can run it with its own hash and signature check', () => {
    const seen = new Set<string>();
    const visit = (file: string) => {
      if (seen.has(file)) return;
      seen.add(file);
      const text = readFileSync(new URL(`../../ledger/${file}`, import.meta.url), 'utf8');
      expect(text, file).not.toMatch(/from 'node:|\bBuffer\b|\bprocess\b/);
      for (const [, next] of text.matchAll(/from '\.\/([\w-]+\.ts)'/g)) visit(next!);
    };
    visit('verify.ts');
    expect(seen.size).toBeGreaterThan(5);
  });
});
