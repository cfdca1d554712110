import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TollgateError } from '#contracts';
import {
  appendLeaf,
  emptyRange,
  formatCheckpointBody,
  inclusionProof,
  nodeCrypto,
  parseCheckpoint,
  parseCheckpointBody,
  parseNote,
  parseVerifierKey,
  rangeOf,
  rootFromRange,
  sha256Tree,
  verifyCheckpoint,
  verifyConsistency,
  verifyInclusion,
  verifyNote,
  verifySubtreeConsistency,
  verifySubtreeInclusion,
} from '#ledger';
import type { TopicResult } from '../topic.ts';
import { sigsumCases } from './ledger/sigsum.ts';
import { Tally } from './ledger/tally.ts';

export const topic = 'ledger';

/** Verifier key of tlog-tiles/log where the README of the folder names none. */
const TILES_KEY = 'example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx';

/** What `test/conformance/wire-vectors.ts` says of the COSE, HPKE, CBOR and Wycheproof vectors. */
interface WireVectors {
  readonly groups: readonly { readonly name: string; readonly equal: number; readonly total: number }[];
  readonly skipped: readonly { readonly name: string; readonly reason: string; readonly count: number }[];
  readonly problems: readonly string[];
}

/** Compares tree proofs, tile logs, notes, checkpoints and Sigsum cases, and what `wire/` encodes and seals. */
export async function run(dir: string): Promise<TopicResult> {
  const folder = join(dir, topic);
  const tally = new Tally();
  const parts: [string, (folder: string, tally: Tally) => void | Promise<void>][] = [
    ['rfc6962-proofs.json', proofCases],
    ['tlog-tiles/log', tileCases],
    ['transparency-formats/checkpoint.json', checkpointCases],
    ['transparency-formats/note-verifier.json', noteCases],
    ['sigsum/checkpoint.json', sigsumCases],
  ];
  for (const [path, compare] of parts) {
    if (existsSync(join(folder, path))) await compare(folder, tally);
  }
  await wireCases(dir, tally);
  return tally.result(topic);
}

const bytes = (base64: string | null | undefined) => new Uint8Array(Buffer.from(base64 ?? '', 'base64'));

/** One case of rfc6962-proofs.json; which fields are there says which kind it is. */
interface ProofCase {
  readonly _path: string;
  readonly wantErr: boolean;
  readonly proof: readonly string[] | null;
  readonly leafIdx?: number;
  readonly treeSize?: number;
  readonly start?: number;
  readonly end?: number;
  readonly size?: number;
  readonly size1?: number;
  readonly size2?: number;
  readonly root?: string;
  readonly leafHash?: string;
  readonly root1?: string;
  readonly root2?: string;
}

function proofCases(folder: string, tally: Tally): void {
  const cases: ProofCase[] = JSON.parse(readFileSync(join(folder, 'rfc6962-proofs.json'), 'utf8'));
  for (const one of cases) tally.compare('proofs', one._path, verdictOf(one), !one.wantErr);
}

function verdictOf(one: ProofCase): boolean {
  const path = (one.proof ?? []).map(bytes);
  const [root, leaf, root1, root2] = [one.root, one.leafHash, one.root1, one.root2].map(bytes) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  if (one.treeSize !== undefined) return verifyInclusion(sha256Tree, one.leafIdx!, one.treeSize, leaf, path, root);
  if (one.size1 !== undefined) return verifyConsistency(sha256Tree, one.size1, one.size2!, root1, root2, path);
  if (one.leafIdx !== undefined) {
    return verifySubtreeInclusion(sha256Tree, one.leafIdx, one.start!, one.end!, leaf, path, root);
  }
  return verifySubtreeConsistency(sha256Tree, one.start!, one.end!, one.size!, root1, root2, path);
}

function tilesKey(folder: string): string {
  const readme = join(folder, 'README.md');
  const text = existsSync(readme) ? readFileSync(readme, 'utf8') : '';
  return /[^\s`+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*/.exec(text)?.[0] ?? TILES_KEY;
}

/** Roots from the entry bundles, hashes of the tiles, signatures of the checkpoints, proofs of our own between them. */
async function tileCases(folder: string, tally: Tally): Promise<void> {
  const log = join(folder, 'tlog-tiles/log');
  const key = parseVerifierKey(tilesKey(folder), nodeCrypto);
  for (const name of readdirSync(log).filter((file) => file.startsWith('checkpoint.'))) {
    const checkpoint = parseCheckpoint(readFileSync(join(log, name), 'utf8'));
    const entries = readEntries(join(log, 'tile/entries'), checkpoint.size);
    const range = emptyRange();
    const nodes = new Map<string, Uint8Array>();
    for (const entry of entries) {
      appendLeaf(range, sha256Tree.leaf(entry), sha256Tree, (level, index, hash) =>
        nodes.set(`${level}/${index}`, hash),
      );
    }
    const node = (level: number, index: number) => nodes.get(`${level}/${index}`)!;
    const signed = await verifyCheckpoint(checkpoint, [key], nodeCrypto);
    const root =
      Buffer.from(rootFromRange(range, sha256Tree)).equals(checkpoint.root) && range.size === checkpoint.size;
    const again = Buffer.from(rootFromRange(rangeOf(range.size, node), sha256Tree)).equals(checkpoint.root);
    tally.compare('checkpoints', `tlog-tiles ${name}`, `${signed} ${root} ${again}`, 'true true true');
    const tile = entries.map((_, i) => Buffer.from(node(0, i)));
    tally.compare('tiles', `tlog-tiles ${name}`, Buffer.concat(tile).toString('hex'), readTile(log, checkpoint.size));
    for (const [i, entry] of entries.entries()) {
      const path = inclusionProof(i, range.size, node, sha256Tree);
      const included = verifyInclusion(sha256Tree, i, range.size, sha256Tree.leaf(entry), path, checkpoint.root);
      tally.compare('entries', `tlog-tiles ${name}, entry ${i}`, included, true);
    }
  }
}

/** Hashes or entries of a full tile, C2SP tlog-tiles. */
const TILE_WIDTH = 256;

/** Paths of the level-0 tiles of a tree: `x001/234` is tile 1234, `…p/W` a partial one of W. */
function tilePaths(folder: string, size: number): string[] {
  return Array.from({ length: Math.ceil(size / TILE_WIDTH) }, (_, tile) => {
    const digits = String(tile).padStart(Math.ceil(String(tile).length / 3) * 3, '0');
    const parts = digits.match(/.{3}/g)!.map((part, i, all) => (i === all.length - 1 ? part : `x${part}`));
    const width = Math.min(TILE_WIDTH, size - tile * TILE_WIDTH);
    return join(folder, ...parts) + (width < TILE_WIDTH ? `.p/${width}` : '');
  });
}

function readTile(log: string, size: number): string {
  return Buffer.concat(tilePaths(join(log, 'tile/0'), size).map((path) => readFileSync(path))).toString('hex');
}

/** Entry bundles: entries, each with its length as big-endian u16 before it. */
function readEntries(folder: string, size: number): Uint8Array[] {
  const entries: Uint8Array[] = [];
  for (const path of tilePaths(folder, size)) {
    const bundle = readFileSync(path);
    for (let at = 0; at < bundle.length; ) {
      const length = bundle.readUInt16BE(at);
      entries.push(bundle.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
  }
  return entries;
}

interface BodyCase {
  readonly desc?: string;
  readonly input: string;
  readonly wantErr?: boolean;
  readonly want?: { readonly origin: string; readonly size: number; readonly hash_text: string };
  readonly wantRest?: string;
}

function checkpointCases(folder: string, tally: Tally): void {
  const file = join(folder, 'transparency-formats/checkpoint.json');
  const { marshal, unmarshal, extended } = JSON.parse(readFileSync(file, 'utf8')) as {
    marshal: { origin: string; size: number; hash_text: string; want: string }[];
    unmarshal: BodyCase[];
    extended: BodyCase[];
  };
  for (const { origin, size, hash_text, want } of marshal) {
    const text = formatCheckpointBody({ origin, size, root: Buffer.from(hash_text), rest: '' });
    tally.compare('notes', `checkpoint of ${origin}`, text, want);
  }
  for (const one of [...unmarshal, ...extended]) {
    const body = refusedOr(() => parseCheckpointBody(one.input));
    const came =
      body === null
        ? 'refused'
        : `${body.origin} ${body.size} ${Buffer.from(body.root).toString()} ${JSON.stringify(body.rest)}`;
    const { origin, size, hash_text } = one.want ?? {};
    const wanted = one.wantErr ? 'refused' : `${origin} ${size} ${hash_text} ${JSON.stringify(one.wantRest ?? '')}`;
    tally.compare('notes', one.desc ?? one.input.split('\n')[0]!, came, wanted);
  }
}

interface KeyCase {
  readonly name: string;
  readonly key: string;
  readonly note?: string;
  readonly wantErr: boolean;
}

/** Signature type of RFC 6962 tree heads in notes (static-ct-api): for CT logs, not for units. */
const TYPE_TREE_HEAD = 5;

async function noteCases(folder: string, tally: Tally): Promise<void> {
  const file = join(folder, 'transparency-formats/note-verifier.json');
  const { groups } = JSON.parse(readFileSync(file, 'utf8')) as { groups: Record<string, KeyCase[]> };
  for (const one of [...(groups.newVerifier ?? []), ...(groups.newECDSAVerifier ?? [])]) {
    if (bytes(one.key.split('+').slice(2).join('+'))[0] === TYPE_TREE_HEAD) {
      tally.unsupported('RFC 6962 tree head signatures in notes', 1);
      continue;
    }
    const key = refusedOr(() => parseVerifierKey(one.key, nodeCrypto));
    tally.compare('notes', `key: ${one.name}`, key === null, one.wantErr);
  }
  for (const one of groups.openNoteECDSA ?? []) {
    const opened = refusedOr(() => ({ key: parseVerifierKey(one.key, nodeCrypto), note: parseNote(one.note!) }));
    const ok = opened !== null && (await verifyNote(opened.note, [opened.key], nodeCrypto)).ok;
    tally.compare('notes', `note: ${one.name}`, ok, !one.wantErr);
  }
  // Units hold their keys in an anchor: a private key never stands in a text of its own.
  tally.unsupported('Go note signer keys', groups.signerFromEd25519Key?.length ?? 0);
}

/** null where a typed error refused it. */
function refusedOr<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof TollgateError) return null;
    throw error;
  }
}

async function wireCases(dir: string, tally: Tally): Promise<void> {
  const module = new URL('../wire-vectors.ts', import.meta.url);
  if (!existsSync(module)) {
    tally.unsupported('COSE, HPKE, CBOR and Wycheproof vectors', 1);
    return;
  }
  const { checkWireVectors }: { checkWireVectors: (dir: string) => WireVectors | Promise<WireVectors> } = await import(
    module.href
  );
  const { groups, skipped, problems } = await checkWireVectors(dir);
  for (const { name, equal, total } of groups) tally.add(name, equal, total);
  for (const { name, reason, count } of skipped) tally.unsupported(`${name} (${reason})`, count);
  for (const problem of problems) tally.problem(problem);
}
