import type { DocumentVersion, MeterDelta, RecordEntry, StreamEntry } from './contract.ts';

/**
 * A group: what one transaction commits. Entries lie one after the other in one buffer that is handed to the worker
 * thread without a copy; their order is the order of the leaves.
 *
 * Little-endian: kind u8 · number of the stream u32 · seq u32 · bytes of the first part u32 · of the second u32 · both
 * parts. Parts: of a stream its 8 bytes ‖ description as JSON, and the session; of a record the payload, and the leaf; of a
 * leaf the leaf, and nothing.
 */
const ENTRY_STREAM = 1;
const ENTRY_RECORD = 2;
const ENTRY_LEAF = 3;
const HEADER_BYTES = 17;
const FIRST_BYTES = 64 * 1024;

/** What the streams of a group say of themselves. */
export type StreamInfo = Omit<StreamEntry, 'session'>;

/** Sum of the meter deltas of one key in one group. */
export interface MeterSum {
  readonly agreement: string;
  readonly recipient: string;
  readonly purpose: string;
  readonly action: string;
  readonly hour: number;
  records: number;
  samples: number;
  bytes: number;
  denied: number;
  readonly fields: Record<string, number>;
}

/** What a group does to one counter: starts it anew where its period was over, then adds. */
export interface BudgetSum {
  readonly key: string;
  reset: boolean;
  add: number;
}

export interface Group {
  /** Transferred; comes back with the answer. */
  bytes: ArrayBuffer;
  readonly length: number;
  readonly entries: number;
  readonly meter: readonly MeterSum[];
  /** Names that streams carry for the first time: (number of the stream, name). */
  readonly fields: readonly (readonly [number, string])[];
  /** Agreements whose streams begin here: their spool keys must be there. */
  readonly agreements: readonly string[];
  readonly sessions: number;
  readonly budgets: readonly BudgetSum[];
  readonly documents: readonly DocumentVersion[];
}

export interface GroupVisitor {
  stream(ref: number, info: StreamInfo, session: Uint8Array): void;
  record(ref: number, seq: number, payload: Uint8Array, leaf: Uint8Array): void;
  leaf(leaf: Uint8Array): void;
}

const NOTHING = new Uint8Array(0);

/** Collects a group; used again for the next one. */
export class GroupBuilder {
  records = 0;
  entries = 0;
  length = 0;
  #buffer = new ArrayBuffer(FIRST_BYTES);
  #bytes = new Uint8Array(this.#buffer);
  #view = new DataView(this.#buffer);
  #meter = new Map<string, MeterSum>();
  #fields: [number, string][] = [];
  #agreements = new Set<string>();
  #sessions = 0;
  #budgets = new Map<string, BudgetSum>();
  #documents: DocumentVersion[] = [];

  stream(ref: number, entry: StreamEntry): void {
    const { session, ...info } = entry;
    const { stream, ...rest } = info;
    const description = Buffer.concat([stream, Buffer.from(JSON.stringify(rest))]);
    this.#add(ENTRY_STREAM, ref, 0, description, session);
    this.#agreements.add(entry.agreement);
    this.#sessions++;
  }

  record(ref: number, { seq, payload, leaf, meter }: RecordEntry): void {
    this.#add(ENTRY_RECORD, ref, seq, payload, leaf);
    this.#meterUp(meter);
    this.records++;
  }

  leaf(leaf: Uint8Array): void {
    this.#add(ENTRY_LEAF, 0, 0, leaf, NOTHING);
  }

  field(ref: number, name: string): void {
    this.#fields.push([ref, name]);
  }

  budget(key: string, add: number): void {
    this.#budget(key).add += add;
  }

  forgetBudget(key: string): void {
    const sum = this.#budget(key);
    sum.reset = true;
    sum.add = 0;
    this.entries++;
  }

  #budget(key: string): BudgetSum {
    let sum = this.#budgets.get(key);
    if (sum === undefined) {
      sum = { key, reset: false, add: 0 };
      this.#budgets.set(key, sum);
    }
    return sum;
  }

  document(version: DocumentVersion): void {
    this.#documents.push(version);
    this.entries++;
  }

  /** What was collected; the builder is empty afterwards and goes on in `spare` where there is one. */
  take(spare?: ArrayBuffer): Group {
    const group: Group = {
      bytes: this.#buffer,
      length: this.length,
      entries: this.entries,
      meter: [...this.#meter.values()],
      fields: this.#fields,
      agreements: [...this.#agreements],
      sessions: this.#sessions,
      budgets: [...this.#budgets.values()],
      documents: this.#documents,
    };
    this.#use(spare ?? new ArrayBuffer(FIRST_BYTES));
    this.records = this.entries = this.length = this.#sessions = 0;
    this.#meter = new Map();
    this.#fields = [];
    this.#agreements = new Set();
    this.#budgets = new Map();
    this.#documents = [];
    return group;
  }

  #meterUp(delta: MeterDelta): void {
    const { agreement, recipient, purpose, action, hour } = delta;
    const key = `${hour}\0${agreement}\0${recipient}\0${purpose}\0${action}`;
    let sum = this.#meter.get(key);
    if (sum === undefined) {
      sum = { agreement, recipient, purpose, action, hour, records: 0, samples: 0, bytes: 0, denied: 0, fields: {} };
      this.#meter.set(key, sum);
    }
    sum.records += delta.records;
    sum.samples += delta.samples;
    sum.bytes += delta.bytes;
    sum.denied += delta.denied;
    for (const name in delta.fields) sum.fields[name] = (sum.fields[name] ?? 0) + delta.fields[name]!;
  }

  #add(kind: number, ref: number, seq: number, first: Uint8Array, second: Uint8Array): void {
    const end = this.length + HEADER_BYTES + first.length + second.length;
    if (end > this.#bytes.length) this.#grow(end);
    const at = this.length;
    this.#bytes[at] = kind;
    this.#view.setUint32(at + 1, ref, true);
    this.#view.setUint32(at + 5, seq, true);
    this.#view.setUint32(at + 9, first.length, true);
    this.#view.setUint32(at + 13, second.length, true);
    this.#bytes.set(first, at + HEADER_BYTES);
    this.#bytes.set(second, at + HEADER_BYTES + first.length);
    this.length = end;
    this.entries++;
  }

  #grow(needed: number): void {
    this.#use(this.#buffer.transfer(Math.max(needed, this.#buffer.byteLength * 2)));
  }

  #use(buffer: ArrayBuffer): void {
    this.#buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
  }
}

/** Shows each entry of a group in order; the bytes are views of the group's buffer. */
export function readGroup(group: Group, visitor: GroupVisitor): void {
  const bytes = new Uint8Array(group.bytes, 0, group.length);
  const view = new DataView(group.bytes);
  for (let at = 0; at < group.length; ) {
    const ref = view.getUint32(at + 1, true);
    const start = at + HEADER_BYTES;
    const middle = start + view.getUint32(at + 9, true);
    const end = middle + view.getUint32(at + 13, true);
    const first = bytes.subarray(start, middle);
    const second = bytes.subarray(middle, end);
    if (bytes[at] === ENTRY_RECORD) visitor.record(ref, view.getUint32(at + 5, true), first, second);
    else if (bytes[at] === ENTRY_LEAF) visitor.leaf(first);
    else visitor.stream(ref, streamInfo(first), second);
    at = end;
  }
}

const STREAM_BYTES = 8;

function streamInfo(bytes: Uint8Array): StreamInfo {
  const text = Buffer.from(bytes.subarray(STREAM_BYTES)).toString();
  const rest = JSON.parse(text) as Omit<StreamInfo, 'stream'>;
  return { ...rest, stream: bytes.slice(0, STREAM_BYTES) };
}
