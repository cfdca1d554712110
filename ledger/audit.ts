import { TollgateError } from '#contracts';
import { equalBytes, toBase64 } from './bytes.ts';
import { type Checkpoint, parseCheckpoint, verifyCheckpoint } from './checkpoint.ts';
import { chainNext, chainStart, LEAF_KINDS, type LeafView, readLeaf } from './leaf.ts';
import { wrongRanges } from './locate.ts';
import { HASH_BYTES, type TreeHasher, treeHasher } from './merkle.ts';
import type { VerifierCrypto, VerifierKey } from './note.ts';
import { appendLeaf, type CompactRange, rangeOf, rootFromRange } from './tree.ts';

/** A whole ledger, wherever it lies: an export, a database. */
export interface LedgerSource {
  /** Number of leaves, those that were pruned too. */
  readonly size: number;
  /** Leaves below this number were pruned under a checkpoint: `node` still gives their maximal complete subtrees. */
  readonly prunedBelow?: number;
  /** The leaf's bytes, or null where it is gone. */
  leaf(index: number): Uint8Array | null;
  /** The hash that is kept for a complete subtree, or null where none is kept. */
  node(level: number, index: number): Uint8Array | null;
  /** A store keeps every complete node; an export need not. */
  readonly keepsAllNodes: boolean;
  /** Signed notes in any order. */
  readonly checkpoints: readonly string[];
  /** Notes that were kept elsewhere (a receiver, a witness): they show a ledger that was cut or rolled back. */
  readonly outside: readonly string[];
}

/**
 * What is wrong. `leaf`: bytes of a leaf are not those that were signed; `missing`: a leaf is gone; `node`: a stored hash
 * is wrong, the leaves below are right; `checkpoint`: a signed head is not one of this ledger; `signature`: a checkpoint
 * is unreadable or not signed by the ledger; `chain`: a stream's records do not follow each other; `form`: a leaf is no
 * leaf; `proof`: a proof of a partial export does not lead to the head.
 */
export type FindingKind = 'leaf' | 'missing' | 'node' | 'checkpoint' | 'signature' | 'chain' | 'form' | 'proof';

export interface Finding {
  readonly kind: FindingKind;
  /** Leaves [from, to) among which the fault lies; one leaf where it is known exactly. */
  readonly from: number;
  readonly to: number;
  readonly message: string;
}

export interface Audit {
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  /** First leaf that is wrong or gone, or the first of the leaves among which it lies. */
  readonly firstWrongLeaf: number | null;
  readonly leaves: number;
  /** Root of all leaves as they are. */
  readonly root: Uint8Array;
  /** Leaves under the newest checkpoint that verified. */
  readonly signedSize: number;
  readonly checkpoints: { readonly total: number; readonly agreed: number };
  readonly records: number;
  readonly streams: number;
  /** Leaves by kind; `kind N` where this version has no name for it. */
  readonly kinds: Readonly<Record<string, number>>;
}

export interface AuditOptions {
  /** Called now and then with the number of leaves done. */
  readonly progress?: (done: number) => void;
}

/** Findings beyond this number say nothing new; they are counted in the last one. */
const MAX_FINDINGS = 100;
const PROGRESS_LEAVES = 10_000;

interface SignedHead {
  readonly size: number;
  readonly root: Uint8Array;
  agrees: boolean;
}

/**
 * Recomputes the whole tree from its leaves, compares every stored node and every checkpoint, follows the chains of the
 * streams, and says which leaf or node is wrong.
 *
 * @param keys verifier keys of the ledger (old and new after a rotation)
 */
export async function auditLedger(
  source: LedgerSource,
  keys: readonly VerifierKey[],
  crypto: VerifierCrypto,
  options: AuditOptions = {},
): Promise<Audit> {
  const hasher = treeHasher(crypto.sha256);
  const findings: Finding[] = [];
  const pruned = source.prunedBelow ?? 0;
  const signed = await signedHeads(source, keys, crypto, findings);
  // What was signed over pruned leaves alone can no longer be recomputed: a later head covers it, or the next finding says so.
  const heads = signed.filter(({ size }) => size >= pruned);
  const walk = walkLeaves(source, hasher, heads, crypto, options);
  findings.push(...walk.missing);
  const failing = heads.filter((head) => !head.agrees && head.size <= source.size);
  for (const head of heads.filter((one) => one.size > source.size)) {
    findings.push({
      kind: 'missing',
      from: source.size,
      to: head.size,
      message: `a checkpoint signs ${head.size} leaves, here are ${source.size}: the ledger was cut or rolled back`,
    });
  }
  const agreed = heads.filter((head) => head.agrees);
  const signedSize = Math.max(0, ...agreed.map((head) => head.size));
  if (source.size > 0 && heads.length === 0) {
    const which =
      signed.length === 0 ? 'no checkpoint of the ledger' : 'no checkpoint over the leaves that were not pruned';
    const message = `${which} is here: nothing shows that these leaves are its own`;
    findings.push({ kind: 'signature', from: 0, to: 0, message });
  }
  if (failing.length > 0) findings.push(...explain(failing, signedSize, source, walk, hasher));
  // No checkpoint speaks of the newest leaves yet: there a leaf that parts from its stored hash is the one to look at.
  for (const { level, from, to } of failing.length > 0 ? [] : walk.nodes) {
    if (level > 0 || from < signedSize) continue;
    const message = `leaf ${from} is not what its stored hash says; no checkpoint covers it yet`;
    findings.push({ kind: 'leaf', from, to, message });
  }
  const leaves = findings.filter(({ kind }) => kind === 'leaf' || kind === 'missing');
  // A wrong leaf makes all nodes above it differ: they are no faults of their own.
  findings.push(...walk.nodes.filter((node) => !leaves.some(({ from, to }) => from < node.to && node.from < to)));
  // What was changed or lost breaks chains too: they say something new only where all leaves are those that were signed.
  if (leaves.length === 0) findings.push(...walk.form, ...walk.chain);
  return {
    ok: findings.length === 0,
    findings: capped(findings),
    firstWrongLeaf: firstWrong(findings),
    leaves: source.size,
    root: rootFromRange(walk.range, hasher),
    signedSize,
    checkpoints: {
      total: source.checkpoints.length + source.outside.length - (signed.length - heads.length),
      agreed: agreed.length,
    },
    records: walk.records,
    streams: walk.streams,
    kinds: walk.kinds,
  };
}

/** One more leaf of this kind. */
export function countKind(kinds: Record<string, number>, kind: number): void {
  const name = LEAF_KINDS[kind] ?? `kind ${kind}`;
  kinds[name] = (kinds[name] ?? 0) + 1;
}

/** Readable checkpoints with a good signature, smallest first; the others become findings. */
async function signedHeads(
  source: LedgerSource,
  keys: readonly VerifierKey[],
  crypto: VerifierCrypto,
  findings: Finding[],
): Promise<SignedHead[]> {
  const heads: SignedHead[] = [];
  for (const [i, text] of [...source.checkpoints, ...source.outside].entries()) {
    const name =
      i < source.checkpoints.length ? `checkpoint ${i}` : `outside checkpoint ${i - source.checkpoints.length}`;
    const checkpoint = tryParse(text);
    if (checkpoint instanceof TollgateError) {
      findings.push({ kind: 'signature', from: 0, to: 0, message: `${name}: ${checkpoint.message}` });
    } else if (!(await verifyCheckpoint(checkpoint, keys, crypto))) {
      const message = `${name} (size ${checkpoint.size}) is not signed by the ledger's key`;
      findings.push({ kind: 'signature', from: 0, to: 0, message });
    } else {
      heads.push({ size: checkpoint.size, root: checkpoint.root, agrees: false });
    }
  }
  return heads.sort((a, b) => a.size - b.size);
}

function tryParse(text: string): Checkpoint | TollgateError {
  try {
    return parseCheckpoint(text);
  } catch (error) {
    if (error instanceof TollgateError) return error;
    throw error;
  }
}

interface Walk {
  readonly range: CompactRange;
  /** Hashes of the leaves as they are, one after the other, from the first that was not pruned. */
  readonly hashes: Uint8Array;
  readonly missing: Finding[];
  /** Stored nodes that differ from what the leaves give. */
  readonly nodes: (Finding & { readonly level: number })[];
  readonly form: Finding[];
  readonly chain: Finding[];
  readonly records: number;
  readonly streams: number;
  readonly kinds: Readonly<Record<string, number>>;
}

function walkLeaves(
  source: LedgerSource,
  hasher: TreeHasher,
  heads: readonly SignedHead[],
  crypto: VerifierCrypto,
  options: AuditOptions,
): Walk {
  const pruned = source.prunedBelow ?? 0;
  const hashes = new Uint8Array((source.size - pruned) * HASH_BYTES);
  const missing: Finding[] = [];
  const range = rangeOf(pruned, (level, index) => {
    const kept = source.node(level, index);
    if (kept !== null) return kept;
    const [from, to] = [index * 2 ** level, (index + 1) * 2 ** level];
    missing.push({ kind: 'missing', from, to, message: `the hash of the pruned leaves ${from} to ${to - 1} is gone` });
    return hasher.empty();
  });
  const nodes: (Finding & { level: number })[] = [];
  const form: Finding[] = [];
  const chains = new Chains(crypto, pruned > 0);
  const kinds: Record<string, number> = {};
  let next = 0;
  const compareHeads = () => {
    for (; next < heads.length && heads[next]!.size === range.size; next++) {
      heads[next]!.agrees = equalBytes(heads[next]!.root, rootFromRange(range, hasher));
    }
  };
  const compareNode = (level: number, index: number, hash: Uint8Array) => {
    const stored = source.node(level, index);
    if (stored === null ? !source.keepsAllNodes : equalBytes(stored, hash)) return;
    const width = 2 ** level;
    const what = stored === null ? 'is missing' : 'is not what its leaves give';
    const message = `stored node (level ${level}, index ${index}) ${what}`;
    nodes.push({ kind: 'node', level, from: index * width, to: (index + 1) * width, message });
  };
  compareHeads();
  for (let i = pruned; i < source.size; i++) {
    const leaf = source.leaf(i);
    if (leaf === null) missing.push({ kind: 'missing', from: i, to: i + 1, message: `leaf ${i} is gone` });
    // The stored hash stands in for a leaf that is gone, so that what follows can still be checked.
    const hash = leaf === null ? (source.node(0, i) ?? hasher.empty()) : hasher.leaf(leaf);
    hashes.set(hash, (i - pruned) * HASH_BYTES);
    appendLeaf(range, hash, hasher, compareNode);
    compareHeads();
    if (leaf !== null) {
      const view = tryRead(leaf);
      if (view instanceof TollgateError) {
        form.push({ kind: 'form', from: i, to: i + 1, message: `leaf ${i}: ${view.message}` });
      } else {
        chains.follow(i, view);
        countKind(kinds, view.kind);
      }
    }
    if (i % PROGRESS_LEAVES === 0) options.progress?.(i);
  }
  const { findings: chain, records, streams } = chains;
  return { range, hashes, missing, nodes, form, chain, records, streams, kinds };
}

function tryRead(leaf: Uint8Array): LeafView | TollgateError {
  try {
    return readLeaf(leaf);
  } catch (error) {
    if (error instanceof TollgateError) return error;
    throw error;
  }
}

/** The hash chain of each stream: seq without gaps from 0, chain = SHA-256(chain before ‖ body hash). */
class Chains {
  readonly findings: Finding[] = [];
  readonly #last = new Map<string, { seq: number; chain: Uint8Array }>();
  readonly #crypto: VerifierCrypto;
  /** The first records of streams may be gone: a chain is followed from where it is first met. */
  readonly #beheaded: boolean;
  records = 0;

  constructor(crypto: VerifierCrypto, beheaded: boolean) {
    this.#crypto = crypto;
    this.#beheaded = beheaded;
  }

  get streams(): number {
    return this.#last.size;
  }

  follow(index: number, { record, bodyHash }: LeafView): void {
    if (record === null) return;
    this.records++;
    const { sha256 } = this.#crypto;
    const name = toBase64(record.stream);
    const known = this.#last.get(name);
    if (known === undefined && this.#beheaded && record.seq > 0) {
      this.#last.set(name, { seq: record.seq, chain: record.chain });
      return;
    }
    const last = known ?? { seq: -1, chain: chainStart(record.stream, sha256) };
    const wrong = (what: string) => {
      const message = `leaf ${index}, record ${record.seq} of its stream: ${what}`;
      this.findings.push({ kind: 'chain', from: index, to: index + 1, message });
    };
    if (record.seq !== last.seq + 1) wrong(`record ${last.seq + 1} was to come`);
    else if (!equalBytes(record.chain, chainNext(last.chain, bodyHash, sha256))) wrong('its chain value is wrong');
    this.#last.set(name, { seq: record.seq, chain: record.chain });
  }
}

/** Which leaves are wrong, given heads that the leaves do not lead to. */
function explain(
  failing: readonly SignedHead[],
  signedSize: number,
  source: LedgerSource,
  walk: Walk,
  hasher: TreeHasher,
): Finding[] {
  const findings: Finding[] = [];
  // The leaves lead to a later head: they are right, and the earlier head was signed over another history.
  for (const head of failing.filter((one) => one.size <= signedSize)) {
    const message = `the checkpoint of ${head.size} leaves contradicts a later one: the ledger's key signed two histories`;
    findings.push({ kind: 'checkpoint', from: 0, to: head.size, message });
  }
  const later = failing.filter((one) => one.size > signedSize);
  if (later.length === 0) return findings;
  // The stored nodes under the largest head that they lead to are those that were signed: they tell leaf from leaf.
  for (const head of later.toReversed()) {
    const ranges = wrongRanges(head, source, walk.hashes, hasher);
    if (ranges === null) continue;
    for (const { from, to } of ranges) {
      const what = to - from === 1 ? `leaf ${from} is not` : `leaves ${from} to ${to - 1} are not all`;
      findings.push({ kind: 'leaf', from, to, message: `${what} what was signed (checkpoint of ${head.size} leaves)` });
    }
    return findings;
  }
  const first = later[0]!;
  const between = `leaves ${signedSize} to ${first.size - 1} do not lead to the root that was signed for ${first.size} leaves`;
  const changed = walk.nodes.filter(({ level, from }) => level === 0 && from >= signedSize && from < first.size);
  for (const { from, to } of changed) {
    findings.push({ kind: 'leaf', from, to, message: `leaf ${from} is not what its stored hash says; ${between}` });
  }
  if (changed.length === 0) findings.push({ kind: 'leaf', from: signedSize, to: first.size, message: between });
  return findings;
}

function firstWrong(findings: readonly Finding[]): number | null {
  const places = findings.filter(({ kind, from, to }) => kind !== 'node' && to > from).map(({ from }) => from);
  return places.length === 0 ? null : Math.min(...places);
}

function capped(findings: readonly Finding[]): readonly Finding[] {
  if (findings.length <= MAX_FINDINGS) return findings;
  const rest = findings.length - MAX_FINDINGS;
  const { kind, from, to } = findings[MAX_FINDINGS]!;
  return [...findings.slice(0, MAX_FINDINGS), { kind, from, to, message: `… and ${rest} more` }];
}
