import { TollgateError } from '#contracts';
import { type Audit, type AuditOptions, auditLedger, countKind, type Finding } from './audit.ts';
import { equalBytes } from './bytes.ts';
import { type Checkpoint, parseCheckpoint, verifyCheckpoint } from './checkpoint.ts';
import { type LedgerExport, largestCheckpoint, leafHashHolds, nodesOfExport } from './export.ts';
import { bodyHash, type LeafView, readLeaf } from './leaf.ts';
import { type TreeHasher, treeHasher, verifyConsistency, verifyInclusion } from './merkle.ts';
import { parseVerifierKey, sameKey, type VerifierCrypto, type VerifierKey } from './note.ts';

/**
 * The verifier: needs nothing but a hash and a signature check of its platform, so that it runs in a browser as well.
 * It answers; it does not throw for what others wrote.
 */

/** What someone shows as proof that a record left the unit as it is. */
export interface RecordClaim {
  /** Deterministic CBOR of the record. */
  readonly record: Uint8Array;
  /** 16 bytes, disclosed with the record. */
  readonly salt: Uint8Array;
  /** Deterministic CBOR of the record's leaf; a receipt carries it as `extra`. */
  readonly leaf: Uint8Array;
  readonly index: number;
  /** Lowest first. */
  readonly path: readonly Uint8Array[];
  /** Signed note. */
  readonly checkpoint: string;
}

export type RecordVerdict =
  | { readonly ok: true; readonly leaf: LeafView; readonly origin: string; readonly size: number }
  | {
      readonly ok: false;
      /** Which link of the chain record → leaf → head → signature does not hold. */
      readonly broken: 'leaf' | 'record' | 'checkpoint' | 'signature' | 'proof';
      readonly message: string;
    };

/** Checks record → body hash → leaf → inclusion → checkpoint → signature of one of `keys`. */
export async function verifyRecord(
  claim: RecordClaim,
  keys: readonly VerifierKey[],
  crypto: VerifierCrypto,
): Promise<RecordVerdict> {
  const leaf = attempt(() => readLeaf(claim.leaf));
  if (leaf instanceof TollgateError) return { ok: false, broken: 'leaf', message: leaf.message };
  if (leaf.record === null)
    return { ok: false, broken: 'leaf', message: `the leaf is of kind ${leaf.kind}, not a record` };
  if (!equalBytes(bodyHash(claim.salt, claim.record, crypto.sha256), leaf.bodyHash)) {
    return { ok: false, broken: 'record', message: 'the leaf was made for another record or another salt' };
  }
  const included = await verifyLeaf(claim, keys, crypto);
  return included.ok ? { ok: true, leaf, origin: included.head.origin, size: included.head.size } : included;
}

export type LeafVerdict =
  | { readonly ok: true; readonly head: Checkpoint }
  | { readonly ok: false; readonly broken: 'checkpoint' | 'signature' | 'proof'; readonly message: string };

/** Checks leaf → inclusion → checkpoint → signature of one of `keys`. */
export async function verifyLeaf(
  claim: Pick<RecordClaim, 'leaf' | 'index' | 'path' | 'checkpoint'>,
  keys: readonly VerifierKey[],
  crypto: VerifierCrypto,
): Promise<LeafVerdict> {
  const head = attempt(() => parseCheckpoint(claim.checkpoint));
  if (head instanceof TollgateError) return { ok: false, broken: 'checkpoint', message: head.message };
  if (!(await verifyCheckpoint(head, keys, crypto))) {
    return { ok: false, broken: 'signature', message: `no known key of ${head.origin} signed this checkpoint` };
  }
  const hasher = treeHasher(crypto.sha256);
  if (!verifyInclusion(hasher, claim.index, head.size, hasher.leaf(claim.leaf), claim.path, head.root)) {
    const message = `this is not leaf ${claim.index} of the ${head.size} leaves that were signed`;
    return { ok: false, broken: 'proof', message };
  }
  return { ok: true, head };
}

/**
 * Checks an export and says which leaf or checkpoint is wrong.
 *
 * @param keys verifier keys that the caller trusts for this ledger
 * @param outside signed notes of this ledger that were kept elsewhere
 */
export async function verifyExport(
  exported: LedgerExport,
  keys: readonly VerifierKey[],
  crypto: VerifierCrypto,
  options: AuditOptions & { readonly outside?: readonly string[] } = {},
): Promise<Audit> {
  if (exported.kind === 'partial') return await verifyPartial(exported, keys, crypto, options.outside ?? []);
  const hasher = treeHasher(crypto.sha256);
  const { prunedBelow } = exported;
  const source = {
    size: exported.size,
    prunedBelow,
    leaf: (index: number) => exported.leaves[index - prunedBelow]!.data,
    node: nodesOfExport(exported, hasher),
    keepsAllNodes: false,
    checkpoints: exported.checkpoints.map(({ note }) => note),
    outside: options.outside ?? [],
  };
  const audit = await auditLedger(source, keys, crypto, options);
  const findings = [...audit.findings, ...mislabelled(exported, keys, crypto)];
  return { ...audit, findings, ok: findings.length === 0 };
}

async function verifyPartial(
  exported: LedgerExport,
  keys: readonly VerifierKey[],
  crypto: VerifierCrypto,
  outside: readonly string[],
): Promise<Audit> {
  const hasher = treeHasher(crypto.sha256);
  const findings: Finding[] = [...mislabelled(exported, keys, crypto)];
  const largest = largestCheckpoint(exported);
  const head = largest === null ? null : attempt(() => parseCheckpoint(largest.note));
  const signed = head === null || head instanceof TollgateError ? null : head;
  if (signed === null || !(await verifyCheckpoint(signed, keys, crypto))) {
    findings.push(atNoLeaf('signature', "the largest checkpoint is not signed by the ledger's key"));
  }
  let agreed = 0;
  for (const { size, note, path } of exported.checkpoints) {
    const problem = await olderProblem(note, path ?? [], signed, hasher, keys, crypto);
    if (problem === null) agreed++;
    else findings.push(atNoLeaf('checkpoint', `checkpoint of ${size} leaves: ${problem}`));
  }
  let records = 0;
  const kinds: Record<string, number> = {};
  const streams = new Set<string>();
  for (const leaf of exported.leaves) {
    const { index, data, path } = leaf;
    const at = (kind: Finding['kind'], message: string) => findings.push({ kind, from: index, to: index + 1, message });
    const view = attempt(() => readLeaf(data));
    if (!leafHashHolds(leaf, hasher)) at('leaf', `leaf ${index} is not what its hash says`);
    else if (signed === null || !verifyInclusion(hasher, index, signed.size, leaf.hash, path ?? [], signed.root)) {
      at('proof', `leaf ${index} is not proved to be among the leaves that were signed`);
    } else if (view instanceof TollgateError) at('form', `leaf ${index}: ${view.message}`);
    else {
      countKind(kinds, view.kind);
      if (view.record !== null) records++;
      if (view.record !== null) streams.add(view.record.stream.join());
    }
  }
  for (const note of outside) {
    const known = exported.checkpoints.some((one) => one.note === note);
    if (!known) findings.push(atNoLeaf('checkpoint', 'a checkpoint kept elsewhere is not among those of the export'));
  }
  return {
    ok: findings.length === 0,
    findings,
    firstWrongLeaf: findings.reduce<number | null>(
      (first, { from, to }) => (to > from && (first === null || from < first) ? from : first),
      null,
    ),
    leaves: exported.leaves.length,
    root: signed?.root ?? hasher.empty(),
    signedSize: signed?.size ?? 0,
    checkpoints: { total: exported.checkpoints.length, agreed },
    records,
    streams: streams.size,
    kinds,
  };
}

/** Why a checkpoint is no prefix of the largest, or null. */
async function olderProblem(
  note: string,
  path: readonly Uint8Array[],
  largest: Checkpoint | null,
  hasher: TreeHasher,
  keys: readonly VerifierKey[],
  crypto: VerifierCrypto,
): Promise<string | null> {
  const head = attempt(() => parseCheckpoint(note));
  if (head instanceof TollgateError) return head.message;
  if (!(await verifyCheckpoint(head, keys, crypto))) return "it is not signed by the ledger's key";
  if (largest === null) return 'there is no head to compare it with';
  // Every tree continues the empty one: there is nothing to prove, only its root to compare.
  if (head.size === 0) return equalBytes(head.root, hasher.empty()) ? null : 'its root is not that of an empty tree';
  const consistent = verifyConsistency(hasher, head.size, largest.size, head.root, largest.root, path);
  return consistent ? null : `it is not proved to be a prefix of the ${largest.size} leaves of the largest`;
}

/** Lines whose size is not that of their note, or notes of another log than the export names. */
function mislabelled(exported: LedgerExport, keys: readonly VerifierKey[], crypto: VerifierCrypto): Finding[] {
  const findings: Finding[] = [];
  const key = attempt(() => parseVerifierKey(exported.key, crypto));
  if (key instanceof TollgateError) findings.push(atNoLeaf('signature', `the export's key: ${key.message}`));
  else if (!keys.some((known) => sameKey(known, key))) {
    findings.push(atNoLeaf('signature', 'the export names another key than the ones that are trusted for it'));
  }
  const origin = exported.key.split('+')[0];
  for (const { size, note } of exported.checkpoints) {
    const head = attempt(() => parseCheckpoint(note));
    if (head instanceof TollgateError) continue;
    if (head.size !== size) findings.push(atNoLeaf('checkpoint', `a note of ${head.size} leaves is labelled ${size}`));
    if (head.origin !== origin) {
      findings.push(atNoLeaf('checkpoint', `the checkpoint of ${size} leaves is of another log than the export's key`));
    }
  }
  const largest = largestCheckpoint(exported)?.size ?? 0;
  if (exported.kind === 'partial' && largest !== exported.size) {
    findings.push(atNoLeaf('checkpoint', `the export says ${exported.size} leaves, its largest checkpoint ${largest}`));
  }
  return findings;
}

function atNoLeaf(kind: Finding['kind'], message: string): Finding {
  return { kind, from: 0, to: 0, message };
}

function attempt<T>(read: () => T): T | TollgateError {
  try {
    return read();
  } catch (error) {
    if (error instanceof TollgateError) return error;
    throw error;
  }
}
