import { TollgateError } from '#contracts';
import { equalBytes, fromBase64, toBase64 } from './bytes.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { HASH_BYTES, type TreeHasher } from './merkle.ts';
import { appendLeaf, consistencyProof, inclusionProof, type NodeReader, rangeOf } from './tree.ts';

/**
 * A ledger, or some leaves of it, as JSON lines that are checked offline. One value has one text: keys in the order
 * below, no spaces, hashes and bytes in base64, a newline after each line. Lines, in this order:
 *
 * ```
 * {"format":"tollgate-ledger-export/1","kind":"whole","key":VKEY,"size":N,"leaves":N,"checkpoints":K}
 * {"checkpoint":SIZE,"note":NOTE}                        K of them, by size
 * {"leaf":INDEX,"hash":LEAF HASH,"data":LEAF}            N of them, 0 first
 * ```
 *
 * `"kind":"partial"` holds some leaves, each with its inclusion proof under the largest checkpoint, and proves that the
 * older checkpoints are prefixes of it; `size` is that of the largest checkpoint:
 *
 * ```
 * {"checkpoint":SIZE,"note":NOTE,"path":[HASH …]}        consistency with the largest; empty for itself and for size 0
 * {"leaf":INDEX,"hash":LEAF HASH,"data":LEAF,"path":[HASH …]}
 * ```
 *
 * `"kind":"tail"` is a whole ledger whose oldest leaves were pruned: one line after the first gives the hashes of the
 * complete subtrees over the first P leaves (largest first), and the leaves from P on follow; `leaves` is N − P:
 *
 * ```
 * {"pruned":P,"nodes":[HASH …]}
 * ```
 *
 * The leaf hash is redundant on purpose: under the signed root it tells which leaf was changed.
 */
export interface LedgerExport {
  readonly kind: 'whole' | 'tail' | 'partial';
  /** Verifier key that the exporter names. Trust it only if it is the one that you know. */
  readonly key: string;
  readonly size: number;
  /** Leaves that were pruned, and their complete subtrees, largest first; 0 and none but in a tail. */
  readonly prunedBelow: number;
  readonly prunedNodes: readonly Uint8Array[];
  readonly checkpoints: readonly ExportedCheckpoint[];
  readonly leaves: readonly ExportedLeaf[];
}

export interface ExportedCheckpoint {
  readonly size: number;
  readonly note: string;
  /** Consistency with the largest checkpoint; null but in a partial export. */
  readonly path: readonly Uint8Array[] | null;
}

export interface ExportedLeaf {
  readonly index: number;
  readonly hash: Uint8Array;
  readonly data: Uint8Array;
  /** Inclusion under the largest checkpoint; null but in a partial export. */
  readonly path: readonly Uint8Array[] | null;
}

export const EXPORT_FORMAT = 'tollgate-ledger-export/1';

/** What an export is made from. */
export interface ExportInput {
  readonly key: string;
  /** Signed notes, any order. */
  readonly checkpoints: readonly string[];
  /** Number of leaves, those that were pruned too. */
  readonly size: number;
  readonly prunedBelow?: number;
  leaf(index: number): Uint8Array;
  readonly node: NodeReader;
}

/** The whole ledger, or what is left of it after pruning, line by line. */
export function* exportWhole(input: ExportInput): Generator<string> {
  const checkpoints = bySize(input.checkpoints);
  const { key, size, prunedBelow = 0 } = input;
  const kind = prunedBelow > 0 ? 'tail' : 'whole';
  const leaves = size - prunedBelow;
  yield line({ format: EXPORT_FORMAT, kind, key, size, leaves, checkpoints: checkpoints.length });
  if (kind === 'tail') {
    yield line({ pruned: prunedBelow, nodes: rangeOf(prunedBelow, input.node).peaks.map(toBase64) });
  }
  for (const one of checkpoints) yield line({ checkpoint: one.size, note: one.note });
  for (let i = prunedBelow; i < size; i++) {
    yield line({ leaf: i, hash: toBase64(input.node(0, i)), data: toBase64(input.leaf(i)) });
  }
}

/**
 * Some leaves with their proofs.
 *
 * @param indexes leaves under the largest checkpoint, in any order
 * @throws {RangeError} when there is no checkpoint, or a leaf that the largest one does not cover
 */
export function* exportPartial(input: ExportInput, indexes: readonly number[], hasher: TreeHasher): Generator<string> {
  const checkpoints = bySize(input.checkpoints);
  const size = checkpoints.at(-1)?.size;
  if (size === undefined) throw new RangeError('a partial export needs a checkpoint');
  const leaves = [...new Set(indexes)].sort((a, b) => a - b);
  const head = { format: EXPORT_FORMAT, kind: 'partial', key: input.key, size };
  yield line({ ...head, leaves: leaves.length, checkpoints: checkpoints.length });
  for (const one of checkpoints) {
    const path = consistencyProof(one.size, size, input.node, hasher).map(toBase64);
    yield line({ checkpoint: one.size, note: one.note, path });
  }
  for (const index of leaves) {
    const path = inclusionProof(index, size, input.node, hasher).map(toBase64);
    yield line({ leaf: index, hash: toBase64(input.node(0, index)), data: toBase64(input.leaf(index)), path });
  }
}

const line = (value: object) => `${JSON.stringify(value)}\n`;

function bySize(notes: readonly string[]): { size: number; note: string }[] {
  return notes.map((note) => ({ size: parseCheckpoint(note).size, note })).sort((a, b) => a.size - b.size);
}

/**
 * Reads an export strictly: every line as it would be written, no line missing or too many. Nothing is verified.
 *
 * @param file shown in errors
 * @throws {TollgateError} TG_LEDGER_EXPORT with file and line
 */
export function parseExport(text: string, file?: string): LedgerExport {
  if (!text.endsWith('\n')) throw wrong(file, text.split('\n').length, 'the file ends in the middle of a line');
  const lines = text.slice(0, -1).split('\n');
  const header = object(lines[0]!, file, 1);
  const { kind, key, size, leaves: leafCount, checkpoints: checkpointCount } = header;
  if (header.format !== EXPORT_FORMAT) throw wrong(file, 1, `this is no export in the format ${EXPORT_FORMAT}`);
  if (
    (kind !== 'whole' && kind !== 'tail' && kind !== 'partial') ||
    typeof key !== 'string' ||
    !isCount(size) ||
    !isCount(leafCount) ||
    !isCount(checkpointCount) ||
    (kind === 'whole' && leafCount !== size) ||
    (kind === 'tail' && leafCount > size)
  ) {
    throw wrong(file, 1, 'the first line does not have the keys of an export');
  }
  const head = { format: EXPORT_FORMAT, kind, key, size, leaves: leafCount, checkpoints: checkpointCount };
  canonical(lines[0]!, head, file, 1);
  const tail = kind === 'tail';
  const heads = tail ? 2 : 1;
  if (lines.length !== heads + checkpointCount + leafCount) {
    const message = `${leafCount} leaves and ${checkpointCount} checkpoints were announced, ${lines.length - heads} lines follow`;
    throw wrong(file, lines.length, message);
  }
  const partial = kind === 'partial';
  const prunedBelow = tail ? size - leafCount : 0;
  const prunedNodes = tail ? parsePrunedLine(lines[1]!, prunedBelow, file) : [];
  const checkpoints = lines
    .slice(heads, heads + checkpointCount)
    .map((text, i) => parseCheckpointLine(text, partial, file, i + 1 + heads));
  const firstLeafLine = heads + checkpointCount + 1;
  const leaves = lines
    .slice(heads + checkpointCount)
    .map((text, i) => parseLeafLine(text, partial, file, i + firstLeafLine));
  for (const [i, { index }] of leaves.entries()) {
    const follows = partial ? index > (leaves[i - 1]?.index ?? -1) && index < size : index === prunedBelow + i;
    if (!follows) throw wrong(file, i + firstLeafLine, `leaf ${index} does not belong here`);
  }
  return { kind, key, size, prunedBelow, prunedNodes, checkpoints, leaves };
}

function parsePrunedLine(text: string, prunedBelow: number, file: string | undefined): readonly Uint8Array[] {
  const { pruned, nodes } = object(text, file, 2);
  const hashes = pathOf(nodes);
  // As many subtrees as the number of pruned leaves has ones in binary.
  const subtrees = prunedBelow.toString(2).replaceAll('0', '').length;
  if (pruned !== prunedBelow || prunedBelow === 0 || hashes?.length !== subtrees) {
    throw wrong(file, 2, `a line with the ${subtrees} subtrees of ${prunedBelow} pruned leaves was expected`);
  }
  canonical(text, { pruned, nodes }, file, 2);
  return hashes;
}

function parseCheckpointLine(
  text: string,
  partial: boolean,
  file: string | undefined,
  number: number,
): ExportedCheckpoint {
  const { checkpoint: size, note, path } = object(text, file, number);
  const hashes = partial ? pathOf(path) : null;
  if (!isCount(size) || typeof note !== 'string' || hashes === undefined) {
    throw wrong(file, number, 'a line of a checkpoint was expected');
  }
  canonical(text, { checkpoint: size, note, ...(partial ? { path } : {}) }, file, number);
  return { size, note, path: hashes };
}

function parseLeafLine(text: string, partial: boolean, file: string | undefined, number: number): ExportedLeaf {
  const { leaf: index, hash, data, path } = object(text, file, number);
  const hashBytes = bytesOf(hash);
  const dataBytes = bytesOf(data);
  const hashes = partial ? pathOf(path) : null;
  if (!isCount(index) || hashBytes?.length !== HASH_BYTES || dataBytes === null || hashes === undefined) {
    throw wrong(file, number, 'a line of a leaf was expected');
  }
  canonical(text, { leaf: index, hash, data, ...(partial ? { path } : {}) }, file, number);
  return { index, hash: hashBytes, data: dataBytes, path: hashes };
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

const bytesOf = (value: unknown) => (typeof value === 'string' ? fromBase64(value) : null);

/** undefined where it is no list of hashes. */
function pathOf(value: unknown): readonly Uint8Array[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const hashes = value.map(bytesOf);
  return hashes.every((hash): hash is Uint8Array => hash?.length === HASH_BYTES) ? hashes : undefined;
}

function object(text: string, file: string | undefined, number: number): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Falls through: what JSON.parse says of the text would quote it.
  }
  throw wrong(file, number, 'the line is not a JSON object');
}

/** A line that says the same in other bytes was written by someone else. */
function canonical(text: string, value: object, file: string | undefined, number: number): void {
  if (JSON.stringify(value) !== text) throw wrong(file, number, 'the line is not as an export writes it');
}

function wrong(file: string | undefined, number: number, message: string): TollgateError {
  return new TollgateError('TG_LEDGER_EXPORT', message, { place: { file, line: number } });
}

/** Nodes as an export gives them: of its leaf hashes, and the subtrees of what was pruned before them. */
export function nodesOfExport(
  { prunedBelow, prunedNodes, leaves }: LedgerExport,
  hasher: TreeHasher,
): (level: number, index: number) => Uint8Array | null {
  const nodes = new Map<string, Uint8Array>();
  const place = (level: number, index: number) => `${level}/${index}`;
  let at = 0;
  const range = rangeOf(prunedBelow, (level, index) => {
    const hash = prunedNodes[at++]!;
    nodes.set(place(level, index), hash);
    return hash;
  });
  for (const { hash } of leaves) {
    appendLeaf(range, hash, hasher, (level, index, node) => nodes.set(place(level, index), node));
  }
  return (level, index) => nodes.get(place(level, index)) ?? null;
}

/** The checkpoint that a partial export proves against: the largest. */
export function largestCheckpoint(exported: LedgerExport): ExportedCheckpoint | null {
  return exported.checkpoints.reduce<ExportedCheckpoint | null>(
    (best, one) => (best === null || one.size >= best.size ? one : best),
    null,
  );
}

/** Whether the hash on a leaf's line is that of its data. */
export function leafHashHolds({ hash, data }: ExportedLeaf, hasher: TreeHasher): boolean {
  return equalBytes(hash, hasher.leaf(data));
}
