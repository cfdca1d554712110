import { TollgateError } from '#contracts';
import {
  appendLeaf,
  type CompactRange,
  consistencyProof,
  inclusionProof,
  type NodeReader,
  type NodeSink,
  parseCheckpoint,
  rangeOf,
  rootAt,
  rootFromRange,
  sha256Tree,
} from '#ledger';
import { type Connection, value } from './database.ts';
import { nodePosition } from './tables.ts';

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

/** The unit's ledger in its tables: leaves and complete nodes are rows that never change. */
export class LedgerTable {
  readonly #db: Connection;
  readonly #file: string;
  readonly #insertLeaf;
  readonly #insertNode;
  readonly #insertCheckpoint;
  readonly #leaf;
  readonly #node: NodeReader;
  readonly #sink: NodeSink;
  #range: CompactRange;
  checkpointSize = 0;

  /** @throws {TollgateError} TG_STORE_LEDGER */
  constructor(db: Connection, file: string) {
    this.#db = db;
    this.#file = file;
    this.#insertLeaf = db.prepare('INSERT INTO leaf VALUES (?, ?)');
    this.#insertNode = db.prepare('INSERT INTO node VALUES (?, ?, ?, ?)');
    this.#insertCheckpoint = db.prepare('INSERT OR REPLACE INTO checkpoint VALUES (?, ?)');
    this.#leaf = db.prepare('SELECT leaf FROM leaf WHERE idx = ?').pluck();
    this.#node = nodeReader(db, file);
    this.#sink = (level, index, hash) => this.#insertNode.run(nodePosition(level, index), level, index, hash);
    this.#range = this.#read();
  }

  /** Takes the tree from the tables again, after a transaction that was rolled back. */
  reload(): void {
    this.#range = this.#read();
  }

  get size(): number {
    return this.#range.size;
  }

  root(): Uint8Array {
    return rootFromRange(this.#range, sha256Tree);
  }

  /** Within a transaction: adds a leaf and the nodes that it completes. */
  append(leaf: Uint8Array): number {
    const index = appendLeaf(this.#range, sha256Tree.leaf(leaf), sha256Tree, this.#sink);
    this.#insertLeaf.run(index, leaf);
    return index;
  }

  leaf(index: number): Uint8Array {
    const leaf = this.#leaf.get(index);
    if (leaf instanceof Uint8Array) return leaf;
    throw wrong(`leaf ${index} is not there`, this.#file);
  }

  /** That the first `from` leaves of the tree of `size` are the tree of `from`, RFC 9162 §2.1.4. */
  consistency(from: number, size: number): Uint8Array[] {
    return consistencyProof(from, size, this.#node, sha256Tree);
  }

  path(index: number, size: number): Uint8Array[] {
    return inclusionProof(index, size, this.#node, sha256Tree);
  }

  /**
   * Within a transaction: keeps a signed note.
   *
   * @throws {TollgateError} TG_STORE_LEDGER when it signs another tree
   */
  checkpoint(size: number, note: string): void {
    this.#agree(note, size);
    this.#insertCheckpoint.run(size, note);
    this.checkpointSize = Math.max(this.checkpointSize, size);
  }

  /** Recomputes the head from the last complete nodes and compares it with the last leaf and the newest checkpoint. */
  #read(): CompactRange {
    const last = value(this.#db, 'SELECT max(idx) FROM leaf');
    const size = typeof last === 'number' ? last + 1 : 0;
    const range = rangeOf(size, this.#node);
    if (size > 0 && !same(sha256Tree.leaf(this.leaf(size - 1)), this.#node(0, size - 1))) {
      throw wrong(`leaf ${size - 1} does not have the hash that is kept for it`, this.#file);
    }
    this.checkpointSize = 0;
    const newest = this.#db.prepare('SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1').raw().get();
    if (newest === undefined) return range;
    const [signedSize, note] = newest as [number, string];
    if (signedSize > size) throw wrong(`a checkpoint signs ${signedSize} leaves, there are ${size}`, this.#file);
    this.#agree(note, signedSize);
    this.checkpointSize = signedSize;
    return range;
  }

  #agree(note: string, size: number): void {
    const signed = parseCheckpoint(note);
    if (signed.size === size && same(signed.root, rootAt(size, this.#node, sha256Tree))) return;
    throw wrong(`the tree of ${size} leaves is not the one that its checkpoint signs`, this.#file);
  }
}

/** Complete nodes as the table keeps them. */
export function nodeReader(db: Connection, file: string): NodeReader {
  const statement = db.prepare('SELECT hash FROM node WHERE pos = ?').pluck();
  return (level, index) => {
    const hash = statement.get(nodePosition(level, index));
    if (hash instanceof Uint8Array) return hash;
    throw wrong(`node ${index} of level ${level} is not there`, file);
  };
}

function wrong(message: string, file: string): TollgateError {
  return new TollgateError('TG_STORE_LEDGER', message, { place: { file } });
}
