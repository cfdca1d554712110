import type { ByteReader, ByteWriter } from './bytes.ts';
import type { Connection } from './database.ts';
import type { MeterSum } from './group.ts';

/** Ids kept in memory before they are asked for again; a key lasts an hour. */
const MOST_KEYS = 1_000;

/** What was counted for one key since the last fold. */
interface Pending {
  records: number;
  samples: number;
  bytes: number;
  denied: number;
  readonly fields: Map<number, number>;
}

/**
 * Exact counters: what a group adds is durable with the group (in `hot`), and goes into the tables with a fold. Keys and
 * names are in the tables from their first use on.
 */
export class MeterTable {
  readonly #names: Names;
  readonly #keys = new Map<string, number>();
  readonly #pending = new Map<number, Pending>();
  readonly #findKey;
  readonly #insertKey;
  readonly #add;
  readonly #addField;

  constructor(db: Connection, names: Names) {
    this.#names = names;
    this.#findKey = db
      .prepare(
        'SELECT id FROM meter_key WHERE hour = ? AND agreement = ? AND recipient = ? AND purpose = ? AND action = ?',
      )
      .pluck();
    this.#insertKey = db.prepare(
      'INSERT INTO meter_key (hour, agreement, recipient, purpose, action) VALUES (?, ?, ?, ?, ?)',
    );
    this.#add = db.prepare(
      `INSERT INTO meter VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET records = records + excluded.records,
       samples = samples + excluded.samples, bytes = bytes + excluded.bytes, denied = denied + excluded.denied`,
    );
    this.#addField = db.prepare(
      `INSERT INTO meter_field VALUES (?, ?, ?)
       ON CONFLICT (meter, field) DO UPDATE SET samples = samples + excluded.samples`,
    );
  }

  /** As the tables are: after a transaction that was rolled back its new keys do not exist. */
  load(): void {
    this.#keys.clear();
    this.#pending.clear();
  }

  /** Within a transaction: a group's sums, in memory and described in `out`. */
  add(sums: readonly MeterSum[], out: ByteWriter): void {
    out.varint(sums.length);
    for (const sum of sums) {
      const id = this.#id(sum);
      const { records, samples, bytes, denied } = sum;
      const fields = Object.entries(sum.fields).map(([name, count]) => [this.#names.id(name), count] as const);
      out.varint(id).varint(records).varint(samples).varint(bytes).varint(denied).varint(fields.length);
      for (const [field, count] of fields) out.varint(field).varint(count);
      this.#count(id, records, samples, bytes, denied, fields);
    }
  }

  /** What `add` described. */
  replay(from: ByteReader): void {
    for (let left = from.varint(); left > 0; left--) {
      const id = from.varint();
      const [records, samples, bytes, denied] = [from.varint(), from.varint(), from.varint(), from.varint()];
      const fields: (readonly [number, number])[] = [];
      for (let more = from.varint(); more > 0; more--) fields.push([from.varint(), from.varint()]);
      this.#count(id, records, samples, bytes, denied, fields);
    }
  }

  #count(
    id: number,
    records: number,
    samples: number,
    bytes: number,
    denied: number,
    fields: readonly (readonly [number, number])[],
  ): void {
    let sum = this.#pending.get(id);
    if (sum === undefined) {
      sum = { records: 0, samples: 0, bytes: 0, denied: 0, fields: new Map() };
      this.#pending.set(id, sum);
    }
    sum.records += records;
    sum.samples += samples;
    sum.bytes += bytes;
    sum.denied += denied;
    for (const [field, count] of fields) sum.fields.set(field, (sum.fields.get(field) ?? 0) + count);
  }

  /** Within a transaction. */
  fold(): void {
    for (const [id, { records, samples, bytes, denied, fields }] of this.#pending) {
      this.#add.run(id, records, samples, bytes, denied);
      for (const [field, count] of fields) this.#addField.run(id, field, count);
    }
    this.#pending.clear();
  }

  /** What is not in the tables yet, for a reader that cannot fold. */
  pending(): ReadonlyMap<number, Pending> {
    return this.#pending;
  }

  #id({ hour, agreement, recipient, purpose, action }: MeterSum): number {
    const key = `${hour}\0${agreement}\0${recipient}\0${purpose}\0${action}`;
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    const found = this.#findKey.get(hour, agreement, recipient, purpose, action);
    const id =
      typeof found === 'number'
        ? found
        : Number(this.#insertKey.run(hour, agreement, recipient, purpose, action).lastInsertRowid);
    if (this.#keys.size >= MOST_KEYS) this.#keys.clear();
    this.#keys.set(key, id);
    return id;
  }
}

/** Names of signals as small numbers. */
export class Names {
  readonly #ids = new Map<string, number>();
  readonly #find;
  readonly #insert;

  constructor(db: Connection) {
    this.#find = db.prepare('SELECT id FROM name WHERE name = ?').pluck();
    this.#insert = db.prepare('INSERT INTO name (name) VALUES (?)');
  }

  load(): void {
    this.#ids.clear();
  }

  id(name: string): number {
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    const found = this.#find.get(name);
    const id = typeof found === 'number' ? found : Number(this.#insert.run(name).lastInsertRowid);
    if (this.#ids.size >= MOST_KEYS) this.#ids.clear();
    this.#ids.set(name, id);
    return id;
  }
}
