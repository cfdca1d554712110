import { TollgateError } from '#contracts';
import {
  appendLeaf,
  type CompactRange,
  consistencyProof,
  emptyRange,
  inclusionProof,
  type LeafView,
  type NodeSink,
  parseCheckpoint,
  rangeOf,
  rootAt,
  rootFromRange,
  sha256Tree,
} from '#ledger';
import type { Connection } from './database.ts';
import { type Outside, packLeaves, unpackLeaves } from './leaf-blocks.ts';
import { nodePosition } from './tables.ts';

const HASH_BYTES = 32;
/** Nodes below this level are computed from the hashes of the leaves. */
export const TILE_LEVEL = 8;
export const TILE_LEAVES = 2 ** TILE_LEVEL;

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

interface Tile {
  readonly index: number;
  /** 32 bytes a leaf; complete or as far as there are leaves. */
  readonly hashes: Uint8Array;
}

interface Block {
  readonly first: number;
  readonly leaves: readonly Uint8Array[];
}

/**
 * The unit's ledger: leaves in blocks, the hashes of 256 leaves as one tile when it is full, and the nodes above. What was
 * appended since the last fold is in memory (and in `hot`). Pruned leaves leave the nodes that later proofs need.
 */
export class LedgerTable {
  readonly #file: string;
  readonly #statements;
  #range: CompactRange = emptyRange();
  /** Leaves since the last fold, and the number of the first. */
  #tail: Uint8Array[] = [];
  readonly #views: LeafView[] = [];
  #tailFirst = 0;
  /** Hashes of the leaves of the tile that is not full. */
  #open = new Uint8Array(TILE_LEAVES * HASH_BYTES);
  /** Full tiles and upper nodes that are not in the tables yet. */
  #newTiles: Tile[] = [];
  readonly #newNodes = new Map<number, readonly [level: number, index: number, hash: Uint8Array]>();
  #block: Block | null = null;
  #tile: Tile | null = null;
  checkpointSize = 0;
  /** Leaves below are gone. */
  pruned = 0;

  constructor(db: Connection, file: string) {
    this.#file = file;
    const pluck = (sql: string) => db.prepare(sql).pluck();
    this.#statements = {
      insertBlock: db.prepare('INSERT INTO leaf_block VALUES (?, ?, ?)'),
      insertTile: db.prepare('INSERT INTO tile VALUES (?, ?)'),
      insertNode: db.prepare('INSERT INTO node VALUES (?, ?, ?, ?)'),
      insertCheckpoint: db.prepare('INSERT OR REPLACE INTO checkpoint VALUES (?, ?)'),
      block: db
        .prepare('SELECT first, count, leaves FROM leaf_block WHERE first <= ? ORDER BY first DESC LIMIT 1')
        .raw(),
      size: pluck('SELECT first + count FROM leaf_block ORDER BY first DESC LIMIT 1'),
      tile: pluck('SELECT hashes FROM tile WHERE idx = ?'),
      node: pluck('SELECT hash FROM node WHERE pos = ?'),
      newest: db.prepare('SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1').raw(),
      pruned: pluck('SELECT pruned FROM state'),
      dropBlocks: db.prepare('DELETE FROM leaf_block WHERE first + count <= ?'),
      tiles: pluck('SELECT idx FROM tile WHERE idx < ?'),
      dropTile: db.prepare('DELETE FROM tile WHERE idx = ?'),
      nodes: db.prepare('SELECT pos, level, idx FROM node WHERE pos < ?').raw(),
      dropNode: db.prepare('DELETE FROM node WHERE pos = ?'),
      dropCheckpoints: db.prepare('DELETE FROM checkpoint WHERE size < ?'),
      setPruned: db.prepare('UPDATE state SET pruned = ?'),
    };
  }

  /** The tree as it is in the tables, without what is in `hot`. */
  load(): void {
    this.#newTiles = [];
    this.#newNodes.clear();
    this.#block = this.#tile = null;
    this.#tail = [];
    this.#views.length = 0;
    this.pruned = this.#statements.pruned.get() as number;
    const size = (this.#statements.size.get() as number | undefined) ?? this.pruned;
    this.#tailFirst = size;
    this.#range = { size, peaks: [] };
    const open = size - (size % TILE_LEAVES);
    for (let index = open; index < size; index++) {
      this.#open.set(sha256Tree.leaf(this.leaf(index)), (index - open) * HASH_BYTES);
    }
    this.#range = rangeOf(size, this.node);
    const newest = this.#statements.newest.get() as [number, string] | undefined;
    this.checkpointSize = newest?.[0] ?? 0;
  }

  /**
   * The quick check of every start: the newest checkpoint signs this tree, and the newest leaves are those of its nodes.
   *
   * @throws {TollgateError} TG_STORE_LEDGER
   */
  check(): void {
    const { size } = this;
    const full = Math.floor(size / TILE_LEAVES) - 1;
    if (full >= 0 && (full + 1) * TILE_LEAVES > this.pruned) {
      for (let index = full * TILE_LEAVES; index < (full + 1) * TILE_LEAVES; index++) {
        if (index < this.pruned || same(sha256Tree.leaf(this.leaf(index)), this.node(0, index))) continue;
        throw wrong(`leaf ${index} does not have the hash that is kept for it`, this.#file);
      }
      if (!same(this.#above(this.#tileAt(full).hashes, 0, TILE_LEAVES), this.node(TILE_LEVEL, full))) {
        throw wrong(`the hashes of the leaves from ${full * TILE_LEAVES} on are not those of their node`, this.#file);
      }
    }
    const newest = this.#statements.newest.get();
    if (newest === undefined) return;
    const [signedSize, note] = newest as [number, string];
    if (signedSize > size) throw wrong(`a checkpoint signs ${signedSize} leaves, there are ${size}`, this.#file);
    this.#agree(note, signedSize);
  }

  get size(): number {
    return this.#range.size;
  }

  /** Leaves that a fold would write. */
  get unfolded(): number {
    return this.#tail.length;
  }

  root(): Uint8Array {
    return rootFromRange(this.#range, sha256Tree);
  }

  /** Adds a leaf, in memory, and keeps its bytes; the caller makes it durable (`hot`) or folds. */
  append(leaf: Uint8Array, view: LeafView): number {
    const index = this.#range.size;
    const hash = sha256Tree.leaf(leaf);
    const place = index % TILE_LEAVES;
    this.#open.set(hash, place * HASH_BYTES);
    appendLeaf(this.#range, hash, sha256Tree, this.#sink);
    this.#tail.push(leaf);
    this.#views.push(view);
    if (place === TILE_LEAVES - 1) {
      this.#newTiles.push({ index: Math.floor(index / TILE_LEAVES), hashes: this.#open });
      this.#open = new Uint8Array(TILE_LEAVES * HASH_BYTES);
    }
    return index;
  }

  readonly #sink: NodeSink = (level, index, hash) => {
    if (level >= TILE_LEVEL) this.#newNodes.set(nodePosition(level, index), [level, index, hash]);
  };

  /** Leaves from `first` on, which must be unfolded, packed. */
  packedSince(first: number, outside: Outside): Uint8Array {
    const at = first - this.#tailFirst;
    return packLeaves(this.#tail.slice(at), this.#views.slice(at), outside);
  }

  /** Within a transaction: writes what is in memory into the tables. */
  fold(): void {
    if (this.#tail.length > 0) {
      this.#statements.insertBlock.run(this.#tailFirst, this.#tail.length, packLeaves(this.#tail, this.#views));
    }
    for (const { index, hashes } of this.#newTiles) this.#statements.insertTile.run(index, hashes);
    for (const [pos, [level, index, hash]] of this.#newNodes) this.#statements.insertNode.run(pos, level, index, hash);
    this.#tailFirst += this.#tail.length;
    this.#tail = [];
    this.#views.length = 0;
    this.#newTiles = [];
    this.#newNodes.clear();
  }

  leaf(index: number): Uint8Array {
    const leaf = index >= this.#tailFirst ? this.#tail[index - this.#tailFirst] : this.#stored(index);
    if (leaf !== undefined && index >= this.pruned) return leaf;
    throw wrong(`leaf ${index} is not there`, this.#file);
  }

  #stored(index: number): Uint8Array | undefined {
    const known = this.#block;
    if (known !== null && index >= known.first && index < known.first + known.leaves.length) {
      return known.leaves[index - known.first];
    }
    const row = this.#statements.block.get(index) as [number, number, Uint8Array] | undefined;
    if (row === undefined || index >= row[0] + row[1]) return undefined;
    const [first, count, packed] = row;
    try {
      this.#block = { first, leaves: unpackLeaves(packed, count) };
    } catch (cause) {
      throw new TollgateError('TG_STORE_CORRUPT', `the leaves from ${first} on do not unpack`, {
        place: { file: this.#file },
        cause,
      });
    }
    return this.#block.leaves[index - first];
  }

  /** A complete node, from the tables, the tiles or memory. */
  readonly node = (level: number, index: number): Uint8Array => {
    if (level < TILE_LEVEL) {
      const width = 2 ** level;
      const tile = this.#tileAt(Math.floor((index * width) / TILE_LEAVES));
      return this.#above(tile.hashes, (index * width) % TILE_LEAVES, width);
    }
    const pos = nodePosition(level, index);
    const hash = this.#newNodes.get(pos)?.[2] ?? this.#statements.node.get(pos);
    if (hash instanceof Uint8Array) return hash;
    throw wrong(`node ${index} of level ${level} is not there`, this.#file);
  };

  #tileAt(index: number): Tile {
    if (index === Math.floor(this.#range.size / TILE_LEAVES)) return { index, hashes: this.#open };
    if (this.#tile?.index === index) return this.#tile;
    const hashes =
      this.#newTiles.find((tile) => tile.index === index)?.hashes ?? (this.#statements.tile.get(index) as unknown);
    if (!(hashes instanceof Uint8Array) || hashes.length !== TILE_LEAVES * HASH_BYTES) {
      throw wrong(`the hashes of the leaves from ${index * TILE_LEAVES} on are not there`, this.#file);
    }
    this.#tile = { index, hashes };
    return this.#tile;
  }

  /** Root of `width` leaf hashes, a power of two. */
  #above(hashes: Uint8Array, first: number, width: number): Uint8Array {
    if (width === 1) return hashes.slice(first * HASH_BYTES, (first + 1) * HASH_BYTES);
    const half = width / 2;
    return sha256Tree.node(this.#above(hashes, first, half), this.#above(hashes, first + half, half));
  }

  /** That the first `from` leaves of the tree of `size` are the tree of `from`, RFC 9162 §2.1.4. */
  consistency(from: number, size: number): Uint8Array[] {
    return consistencyProof(from, size, this.node, sha256Tree);
  }

  path(index: number, size: number): Uint8Array[] {
    return inclusionProof(index, size, this.node, sha256Tree);
  }

  /**
   * Within a transaction, after a fold: the leaves below go, and of the tree below only what later proofs need stays: the
   * root of each complete subtree that no proof has to look into. Proofs of other leaves, and consistency from any of
   * `sizes` and from any size that is not below, keep working.
   *
   * @param below a multiple of 256, at most the size of the newest checkpoint
   * @param sizes trees that somebody was shown, and may be led on from
   */
  prune(below: number, sizes: readonly number[]): void {
    const splits = [...sizes, below];
    const lookedInto = (first: number, end: number) => splits.some((size) => size > first && size < end);
    this.#statements.dropBlocks.run(below);
    for (const index of this.#statements.tiles.all(below / TILE_LEAVES) as number[]) {
      if (!lookedInto(index * TILE_LEAVES, (index + 1) * TILE_LEAVES)) this.#statements.dropTile.run(index);
    }
    for (const [pos, level, index] of this.#statements.nodes.all(nodePosition(0, below)) as number[][]) {
      const width = 2 ** (level! + 1);
      const first = Math.floor((index! * 2 ** level!) / width) * width;
      if (first + width <= below && !lookedInto(first, first + width)) this.#statements.dropNode.run(pos);
    }
    this.#statements.dropCheckpoints.run(below);
    this.#statements.setPruned.run(below);
    this.pruned = below;
    this.#block = this.#tile = null;
  }

  /**
   * Within a transaction: keeps a signed note.
   *
   * @throws {TollgateError} TG_STORE_LEDGER when it signs another tree
   */
  checkpoint(size: number, note: string): void {
    this.#agree(note, size);
    this.#statements.insertCheckpoint.run(size, note);
    this.checkpointSize = Math.max(this.checkpointSize, size);
  }

  #agree(note: string, size: number): void {
    const signed = parseCheckpoint(note);
    if (signed.size === size && same(signed.root, rootAt(size, this.node, sha256Tree))) return;
    throw wrong(`the tree of ${size} leaves is not the one that its checkpoint signs`, this.#file);
  }
}

function wrong(message: string, file: string): TollgateError {
  return new TollgateError('TG_STORE_LEDGER', message, { place: { file } });
}
