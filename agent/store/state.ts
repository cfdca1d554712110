import { TollgateError } from '#contracts';
import { type LeafView, readLeaf } from '#ledger';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { Ack } from './contract.ts';
import type { Connection } from './database.ts';
import type { BudgetSum, MeterSum } from './group.ts';
import { HotTable } from './hot.ts';
import { type Outside, unpackLeaves } from './leaf-blocks.ts';
import { LedgerTable } from './ledger-table.ts';
import { MeterTable, Names } from './meter-table.ts';
import { Outbox } from './outbox.ts';
import { type StreamState, Streams } from './streams.ts';
import { KIND_RECORD } from './tables.ts';

/**
 * All that the store knows: the tables, and in memory what the groups in `hot` add to them. The writer changes it; a
 * reader beside the agent makes one of its own and reads it.
 */
export class State {
  readonly names: Names;
  readonly meter: MeterTable;
  readonly ledger: LedgerTable;
  readonly streams: Streams;
  readonly outbox: Outbox;
  readonly hot: HotTable;
  acked = 0;
  evicted = 0;
  readonly #file: string;
  readonly #statements;
  /** Newest answer of each stream since the last fold, and proofs whose PUBACK came. */
  readonly #acks = new Map<number, { upto: number; state: number; signed: Uint8Array }>();
  readonly #told = new Set<number>();
  readonly #budgets = new Map<string, BudgetSum>();
  /** What the open group adds, as `hot` will have it. */
  readonly #out = new ByteWriter();
  readonly #counts = new ByteWriter();
  #firstLeaf = 0;
  /** Newest leaves of streams before the open group, which its leaves are packed against. */
  readonly #before = new Map<number, Uint8Array>();
  readonly #outside: Outside = {
    of: (key) => {
      const id = this.streams.byKey(key)?.id;
      const leaf = id === undefined ? undefined : this.#before.get(id);
      return leaf === undefined ? null : { id: id!, leaf };
    },
    byId: (id) => {
      const { lastBytes, lastLeaf } = this.streams.byId(id);
      return lastBytes ?? this.ledger.leaf(lastLeaf);
    },
  };
  #firstRow = 0;

  constructor(db: Connection, file: string) {
    this.#file = file;
    this.names = new Names(db);
    this.meter = new MeterTable(db, this.names);
    this.ledger = new LedgerTable(db, file);
    this.streams = new Streams(db);
    this.outbox = new Outbox(db, this.streams);
    this.hot = new HotTable(db);
    const pluck = (sql: string) => db.prepare(sql).pluck();
    this.#statements = {
      totals: db
        .prepare(
          `SELECT s.acked + ifnull((SELECT sum(acked) FROM progress), 0), s.evicted + ifnull((SELECT sum(evicted) FROM progress), 0)
           FROM state s`,
        )
        .raw(),
      budget: db.prepare(
        'INSERT INTO budget VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = value + excluded.value',
      ),
      forgetBudget: db.prepare('DELETE FROM budget WHERE key = ?'),
      budgets: db.prepare('SELECT key, value FROM budget').raw(),
      told: db.prepare('UPDATE evicted SET told = 1 WHERE proof = ?'),
      ackedUpto: pluck('SELECT upto FROM ack WHERE stream = ?'),
      keepAck: db.prepare('INSERT OR REPLACE INTO ack VALUES (?, ?, ?, ?)'),
    };
  }

  /**
   * Reads everything anew.
   *
   * @throws {TollgateError} TG_STORE_CORRUPT, TG_STORE_LEDGER
   */
  load(): void {
    try {
      this.#load();
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new TollgateError('TG_STORE_CORRUPT', cause.message, { place: { file: this.#file }, cause });
    }
  }

  #load(): void {
    this.names.load();
    this.meter.load();
    this.ledger.load();
    this.streams.load();
    this.outbox.load();
    this.#acks.clear();
    this.#told.clear();
    this.#budgets.clear();
    this.#before.clear();
    const [acked, evicted] = this.#statements.totals.get() as [number, number];
    this.acked = acked;
    this.evicted = evicted;
    for (const { body } of this.hot.load(this.#file)) this.#replay(new ByteReader(body));
    this.outbox.resume();
  }

  /** A group begins. */
  open(): void {
    this.#firstLeaf = this.ledger.size;
    this.#firstRow = this.outbox.nextId;
    this.#counts.reset();
    this.#before.clear();
  }

  /** Within a transaction: the sums of the group. */
  count(meter: readonly MeterSum[], budgets: readonly BudgetSum[]): void {
    this.meter.add(meter, this.#counts);
    this.#counts.varint(budgets.length);
    for (const { key, reset, add } of budgets) {
      this.#counts
        .text(key)
        .varint(reset ? 1 : 0)
        .varint(add);
      this.#spend(key, reset, add);
    }
  }

  #spend(key: string, reset: boolean, add: number): void {
    const sum = this.#budgets.get(key);
    if (sum === undefined) this.#budgets.set(key, { key, reset, add });
    else {
      sum.reset ||= reset;
      sum.add = reset ? add : sum.add + add;
    }
  }

  /**
   * Within a transaction: makes the group durable as one row of `hot`. Every row that it added must be of one of its
   * record leaves, in their order.
   *
   * @returns false where it has no place there
   */
  keepHot(): boolean {
    const packed = this.ledger.packedSince(this.#firstLeaf, this.#outside);
    const out = this.#out.reset();
    out
      .varint(this.#firstLeaf)
      .varint(this.#firstRow)
      .varint(this.ledger.size - this.#firstLeaf)
      .blob(packed);
    for (const payload of this.outbox.payloadsSince(this.#firstRow)) out.blob(payload);
    out.bytes(this.#counts.view());
    return this.hot.write(out.view());
  }

  #replay(from: ByteReader): void {
    this.#before.clear();
    const firstLeaf = from.varint();
    this.outbox.nextId = from.varint();
    const count = from.varint();
    const leaves = unpackLeaves(from.blob(), count, this.#outside);
    if (firstLeaf !== this.ledger.size) throw new RangeError(`leaf ${firstLeaf} follows ${this.ledger.size} leaves`);
    for (const leaf of leaves) {
      const view = readLeaf(leaf);
      const index = this.ledger.append(leaf, view);
      if (view.record === null) continue;
      const stream = this.streams.byName(view.record.stream);
      if (stream === null) throw new RangeError(`leaf ${index} is of a stream that is not there`);
      this.recorded(stream, view, index);
      this.outbox.insert(KIND_RECORD, stream, view.record.seq, index, from.blob().slice());
    }
    this.meter.replay(from);
    for (let left = from.varint(); left > 0; left--) this.#spend(from.text(), from.varint() === 1, from.varint());
  }

  /** A record of a stream became leaf `index`. */
  recorded(stream: StreamState, { record }: LeafView, index: number): void {
    if (stream.nextSeq === 0) stream.firstLeaf = index;
    else if (!this.#before.has(stream.id)) {
      this.#before.set(stream.id, stream.lastBytes ?? this.ledger.leaf(stream.lastLeaf));
    }
    stream.lastBytes = this.ledger.leaf(index);
    stream.lastLeaf = index;
    stream.nextSeq = record!.seq + 1;
    this.streams.touch(stream);
  }

  /** A receiver answered; what it deletes goes from the file with the next fold. */
  ack({ uptoSeq, missing, state, signed }: Ack, stream: StreamState): void {
    const newest = this.#acks.get(stream.id)?.upto ?? this.#statements.ackedUpto.get(stream.id);
    const stale = typeof newest === 'number' && uptoSeq < newest;
    if (state === 'proven') stream.provenSeq = Math.max(stream.provenSeq, uptoSeq);
    else {
      // An old answer that comes again names holes that were filled since.
      const left = this.outbox.acked(stream, uptoSeq, new Set(missing), !stale);
      stream.acked += left;
      this.acked += left;
    }
    if (!stale) this.#acks.set(stream.id, { upto: uptoSeq, state: state === 'proven' ? 2 : 1, signed });
    this.streams.touch(stream);
  }

  /** The PUBACK of a proof came: the next one needs to name its evicted records no more. */
  told(proof: number): void {
    this.#told.add(proof);
  }

  /** Whether a fold would write something that no other row holds. */
  get unfolded(): boolean {
    return this.hot.waiting > 0 || this.outbox.changes > 0 || this.#acks.size > 0 || this.#told.size > 0;
  }

  /** Within a transaction: writes all that is in memory only. */
  fold(): void {
    // What leaves makes room for what comes.
    this.outbox.fold();
    this.ledger.fold();
    this.meter.fold();
    this.streams.fold();
    for (const [stream, { upto, state, signed }] of this.#acks) {
      this.#statements.keepAck.run(stream, upto, state, signed);
    }
    for (const proof of this.#told) this.#statements.told.run(proof);
    for (const { key, reset, add } of this.#budgets.values()) {
      if (reset) this.#statements.forgetBudget.run(key);
      if (add > 0) this.#statements.budget.run(key, add);
    }
    this.#acks.clear();
    this.#told.clear();
    this.#budgets.clear();
    this.hot.fold(this.outbox.nextId);
  }

  /** Counters of budgets, with what is not in the table yet. */
  budgets(): [key: string, value: number][] {
    const values = new Map(this.#statements.budgets.all() as [string, number][]);
    for (const { key, reset, add } of this.#budgets.values()) {
      const value = (reset ? 0 : (values.get(key) ?? 0)) + add;
      if (value > 0) values.set(key, value);
      else values.delete(key);
    }
    return [...values];
  }
}
