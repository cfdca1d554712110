import type {
  Ack,
  Appended,
  OutboxRow,
  ProofMaterial,
  RecordEntry,
  RowState,
  Store,
  StoreStats,
  StreamEntry,
} from '../../agent/store/contract.ts';

interface Row extends OutboxRow {
  state: RowState;
  pubackedAt: number;
}

/** The outbox of the contract without a disk: states as the real one has them, to test the uplink alone. */
export class MemoryStore implements Store {
  readonly rows = new Map<number, Row>();
  readonly acks: Ack[] = [];
  readonly #streams = new Map<string, StreamEntry>();
  readonly #now: () => number;
  #waiters: (() => void)[] = [];
  #nextId = 1;
  #acked = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  begin(entry: StreamEntry): void {
    this.#streams.set(hex(entry.stream), entry);
    this.#add({ kind: 'session', seq: -1, topic: `${entry.topic}/s`, retain: true, payload: entry.session }, entry);
  }

  append(entry: RecordEntry): Appended {
    const stream = this.#streams.get(hex(entry.stream))!;
    this.#add({ kind: 'record', seq: entry.seq, topic: stream.topic, retain: false, payload: entry.payload }, stream);
    return 'queued';
  }

  leaf(): void {}
  async commit(): Promise<void> {}
  async head() {
    return { size: 0, root: new Uint8Array(32) };
  }
  async checkpoint(): Promise<void> {}
  async proofs(): Promise<readonly ProofMaterial[]> {
    return [];
  }
  async proof(material: ProofMaterial, payload: Uint8Array): Promise<void> {
    const stream = this.#streams.get(hex(material.stream))!;
    this.#add({ kind: 'proof', seq: -1, topic: `${stream.topic}/p`, retain: false, payload }, stream);
  }

  async take(limit: number): Promise<readonly OutboxRow[]> {
    const queued = [...this.rows.values()].filter((row) => row.state === 'queued');
    queued.sort((a, b) => order(a) - order(b) || b.priority - a.priority || a.id - b.id);
    const taken = queued.slice(0, limit);
    for (const row of taken) row.state = 'inflight';
    return taken;
  }

  async pubacked(ids: readonly number[]): Promise<void> {
    for (const id of ids) {
      const row = this.rows.get(id);
      if (row === undefined) continue;
      if (row.kind === 'proof') this.rows.delete(id);
      row.state = 'pubacked';
      row.pubackedAt = this.#now();
    }
  }

  async ack(ack: Ack): Promise<void> {
    this.acks.push(ack);
    for (const row of [...this.rows.values()]) {
      if (hex(row.stream) !== hex(ack.stream) || row.kind === 'proof') continue;
      if (row.seq > ack.uptoSeq || ack.missing.includes(row.seq)) continue;
      this.rows.delete(row.id);
      this.#acked++;
    }
  }

  async requeue(olderThanMs: number): Promise<number> {
    let count = 0;
    for (const row of this.rows.values()) {
      const late = row.state === 'pubacked' && this.#now() - row.pubackedAt >= olderThanMs;
      if (row.state !== 'inflight' && !late) continue;
      row.state = 'queued';
      count++;
    }
    return count;
  }

  ready(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  async stats(): Promise<StoreStats> {
    const count = (state: RowState) => [...this.rows.values()].filter((row) => row.state === state).length;
    return {
      queued: count('queued'),
      inflight: count('inflight'),
      pubacked: count('pubacked'),
      acked: this.#acked,
      evicted: 0,
      bytes: 0,
      commits: 0,
      head: await this.head(),
      checkpointSize: 0,
    };
  }

  async close(): Promise<void> {}

  #add(row: Pick<Row, 'kind' | 'seq' | 'topic' | 'retain' | 'payload'>, stream: StreamEntry): void {
    const { pseudonym, priority } = stream;
    const id = this.#nextId++;
    this.rows.set(id, { ...row, id, pseudonym, priority, stream: stream.stream, state: 'queued', pubackedAt: 0 });
    for (const wake of this.#waiters.splice(0)) wake();
  }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const order = (row: Row) => (row.kind === 'session' ? 0 : 1);
