import type { Connection } from './database.ts';
import type { MeterSum } from './group.ts';

/** Ids kept in memory before they are asked for again; a key lasts an hour. */
const MOST_KEYS = 1_000;

/** Exact counters, updated in the transaction that commits what they count. */
export class MeterTable {
  readonly #names: Names;
  readonly #keys = new Map<string, number>();
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

  /** After a transaction that was rolled back: its new keys do not exist. */
  reload(): void {
    this.#keys.clear();
  }

  add(sum: MeterSum): void {
    const id = this.#id(sum);
    this.#add.run(id, sum.records, sum.samples, sum.bytes, sum.denied);
    for (const [name, samples] of Object.entries(sum.fields)) this.#addField.run(id, this.#names.id(name), samples);
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

  reload(): void {
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
