import { createHash, type JsonWebKey, randomBytes } from 'node:crypto';
import type { Clock } from '#contracts';
import type { StreamPlan } from '#policies';
import {
  chainStart,
  createRecordEncoder,
  encodeSchema,
  nextChain,
  openSession,
  type RecordEncoder,
  recordLeaf,
  recordTopic,
  type Schema,
  type SenderSession,
} from '#wire';
import { utcMs } from './clock.ts';
import { StreamMeter } from './meter/terms.ts';
import { adopt, type Route } from './routes.ts';
import type { Budget, DurableStore, MeterDelta, Store } from './store/contract.ts';

/** A stream ends after this time or this many records, so that no HPKE context lives longer (wire/*.cddl). */
const STREAM_MS = 3_600_000;
const STREAM_RECORDS = 2 ** 20;
const STREAM_BYTES = 8;
const MS_PER_HOUR = 3_600_000;
const NS_PER_MS = 1e6;
/** A record has at most 128 KiB; nine bytes a cell are the worst that its coder makes of one. */
const MOST_CELLS = 14_500;
/** What sealing adds to a record at most: the protected header, the number, the tag. */
const MOST_SEAL_BYTES = 64;
const NONE: ReadonlySet<Route> = new Set();

/** What every stream of a unit shares. */
export interface StreamContext {
  readonly store: Store & Partial<Pick<DurableStore, 'admits'>>;
  readonly clock: Clock;
  readonly bootId: Uint8Array;
  readonly tenant: string;
  readonly pseudonym: string;
  readonly sign: (message: Uint8Array) => Promise<Uint8Array>;
  /** COSE algorithm of the ledger key. */
  readonly algorithm: number;
  /** Note key id of the ledger key. */
  readonly keyId: Uint8Array;
  /** Public HPKE key of the recipient, JWK. */
  readonly recipientKey: (did: string) => JsonWebKey;
  readonly onSealed: () => void;
  /** What pseudonyms come from; without it one that nobody keeps. */
  readonly pseudonymSecret?: Uint8Array;
}

/** One HPKE context: from its first record to an hour, a time jump or a new plan. */
interface Epoch {
  readonly id: Uint8Array;
  readonly beganMs: number;
  readonly schema: Schema;
  readonly schemaHash: Uint8Array;
  readonly encoder: RecordEncoder;
  seq: number;
  chain: Uint8Array;
  session: SenderSession | null;
}

/** A record that is encoded and waits to be sealed. */
interface Cut {
  readonly epoch: Epoch;
  readonly t0Ms: number;
  readonly record: Uint8Array;
  readonly utcMs: number | null;
  readonly samples: number;
  readonly fields: Record<string, number>;
  readonly denied: number;
  readonly allowed: number;
  readonly activeMs: number;
  /** Privacy loss of its values, millionths. */
  readonly lossMicro: number;
}

/**
 * One (recipient, agreement, campaign): cuts records from its routes, seals them and hands them to the store.
 * Cutting is synchronous, so that a record ends exactly where its time does; sealing waits for the end of the batch.
 */
export class OutStream {
  plan: StreamPlan;
  /** Samples that the gate let pass since the last record. */
  allowed = 0;
  #routes: readonly Route[];
  readonly #context: StreamContext;
  readonly #cuts: Cut[] = [];
  #epoch: Epoch | null = null;
  /** Boottime at which the open record ends, ns; the gate to the slow path of `due`. */
  #endNs = Number.NEGATIVE_INFINITY;
  #denied = 0;
  #meter: StreamMeter;
  /** Span of the newest record: one that is cut in two is active once. */
  #activeSlot = -1;
  #over = false;
  #ended = false;
  /** Cells in the open record, counted by the buffers. */
  readonly #load = { cells: 0 };

  constructor(plan: StreamPlan, routes: readonly Route[], context: StreamContext) {
    this.plan = plan;
    this.#meter = new StreamMeter(plan);
    for (const { out } of routes) out.load = this.#load;
    this.#routes = routes;
    this.#context = context;
  }

  /** Under what its records are counted. */
  get terms(): StreamMeter['terms'] {
    return this.#meter.terms;
  }

  /** Nothing is taken for it any more: its agreement was withdrawn, or has ended. */
  get over(): boolean {
    return this.#over || this.#ended;
  }

  /** The agreement was withdrawn: what is open or waits to be sealed is forgotten, at once. */
  withdraw(): void {
    this.#over = true;
    this.#cuts.length = 0;
    for (const { out } of this.#routes) out.clear();
    this.#load.cells = 0;
  }

  /** Its consent has ended: what was taken until `timeNs` goes, nothing is taken from then on. */
  end(timeNs: number): void {
    if (this.over) return;
    this.finish(timeNs);
    this.#ended = true;
  }

  /** Whether another plan leaves this stream as it is: the same documents, the same operations, the same columns. */
  goesOn(plan: StreamPlan, routes: readonly Route[]): boolean {
    if (this.over || identity(plan) !== identity(this.plan) || routes.length !== this.#routes.length) return false;
    return routes.every(({ group }, i) => JSON.stringify(group) === JSON.stringify(this.#routes[i]!.group));
  }

  /** Goes on under a plan that `goesOn` accepted; its routes get the open windows and records of those so far. */
  takeOver(plan: StreamPlan, routes: readonly Route[]): void {
    for (const [i, route] of routes.entries()) adopt(route, this.#routes[i]!);
    this.#routes = routes;
    this.plan = plan;
    this.#meter = new StreamMeter(plan);
  }

  /** Time reaches `timeNs`: cuts the record that ends before it, or that is full. Two comparisons a frame. */
  due(timeNs: number): void {
    if (timeNs >= this.#endNs) this.#cut(timeNs);
    else if (this.#load.cells >= MOST_CELLS) this.#encode();
  }

  /** UTC jumped: what is closed goes under the old session; open windows go on into the next one, uncut. */
  renew(): void {
    this.#encode();
    this.#epoch = null;
  }

  /** The stream's samples end here (end of a source, SIGTERM): the last windows go, partial. */
  finish(timeNs: number): void {
    const partial = new Set<Route>();
    for (const route of this.#routes) {
      const { operation, out, group } = route;
      operation.advance(timeNs, out);
      const closed = out.rows;
      operation.finish(out);
      if (group.schema.windowMs > 0 && out.rows > closed) partial.add(route);
    }
    this.#encode(partial);
    this.#endNs = timeNs;
    this.#epoch = null;
  }

  /** Samples that the gate kept back; they go to the meter with the next record. */
  denied(count: number): void {
    this.#denied += count;
  }

  /** Seals what was cut and adds it to the open group of the store; waits where the store is full. */
  async flush(): Promise<void> {
    for (let cut = this.#cuts.shift(); cut !== undefined; cut = this.#cuts.shift()) await this.#seal(cut);
  }

  #cut(timeNs: number): void {
    const spanNs = this.plan.recordMs * NS_PER_MS;
    const startNs = Math.floor(timeNs / spanNs) * spanNs;
    if (this.#endNs !== Number.NEGATIVE_INFINITY) {
      for (const { operation, out } of this.#routes) operation.advance(startNs, out);
      this.#encode();
    }
    this.#endNs = startNs + spanNs;
  }

  #encode(partial: ReadonlySet<Route> = NONE): void {
    if (this.#over) return;
    const filled = this.#routes.filter(({ out }) => out.rows > 0);
    if (filled.length === 0) return;
    const t0Ms = Math.min(...filled.map(({ out }) => out.firstMs));
    const epoch = this.#epochAt(t0Ms);
    const tables = this.#routes.map((route) =>
      route.out.table(route.group.columns, route.group.lowOf, partial.has(route)),
    );
    const record = epoch.encoder.encode(epoch.schemaHash.subarray(0, 8), t0Ms, tables);
    const fields: Record<string, number> = {};
    let samples = 0;
    let lossMicro = 0;
    for (const { out, group } of filled) {
      if (group.lossMicro > 0) for (const count of out.counts) lossMicro += group.lossMicro * count;
      for (const { name, column } of group.fields) {
        fields[name] = (fields[name] ?? 0) + out.counts[column]!;
        samples += out.counts[column]!;
      }
      out.clear();
    }
    this.#load.cells = 0;
    const utc = epoch.schema.utcOffsetMs === null ? null : t0Ms + epoch.schema.utcOffsetMs;
    const slot = Math.floor(t0Ms / this.plan.recordMs);
    const activeMs = slot === this.#activeSlot ? 0 : this.plan.recordMs;
    this.#activeSlot = slot;
    const { allowed } = this;
    const counts = { samples, fields, denied: this.#denied, allowed, activeMs, lossMicro };
    this.#cuts.push({ epoch, t0Ms, record, utcMs: utc, ...counts });
    this.#denied = 0;
    this.allowed = 0;
  }

  #epochAt(t0Ms: number): Epoch {
    const epoch = this.#epoch;
    if (epoch !== null && epoch.seq + this.#cuts.length < STREAM_RECORDS && t0Ms - epoch.beganMs < STREAM_MS)
      return epoch;
    const { clock, bootId } = this.#context;
    const utc = clock.utc();
    const schema: Schema = {
      agreement: { uid: this.plan.agreement, hash: this.plan.agreementHash },
      bootId,
      utcOffsetMs: utcMs(0n, utc),
      utcErrorMs: Number.isFinite(utc.errorNs) ? Math.ceil(utc.errorNs / NS_PER_MS) : null,
      utcSource: utc.source,
      groups: this.#routes.map(({ group }) => group.schema),
      // A record every `recordMs` from the first on: each then says in one byte when it starts.
      timing: { ticksPerMs: this.plan.ticksPerMs ?? 1, baseMs: t0Ms, stepMs: this.plan.recordMs },
    };
    const id = new Uint8Array(randomBytes(STREAM_BYTES));
    this.#epoch = {
      id,
      beganMs: t0Ms,
      schema,
      schemaHash: createHash('sha256').update(encodeSchema(schema)).digest(),
      encoder: createRecordEncoder(schema),
      seq: 0,
      chain: chainStart(id),
      session: null,
    };
    return this.#epoch;
  }

  async #seal(cut: Cut): Promise<void> {
    const { epoch, t0Ms, record, utcMs, samples, fields, denied, allowed, activeMs } = cut;
    const { store, bootId } = this.#context;
    // At a limit the record is dropped before it is sealed: no number is taken, nothing is counted. A store that cannot
    // count lets nothing out that has a limit.
    const takes = this.#takes(record.length + MOST_SEAL_BYTES, cut);
    if (takes === null || (takes.length > 0 && store.admits?.(takes) !== true)) {
      this.#denied += denied + samples;
      this.allowed += allowed;
      return;
    }
    epoch.session ??= await this.#begin(epoch);
    const seq = epoch.seq++;
    const { payload, bodyHash } = await epoch.session.seal(seq, record);
    if (this.#over) return;
    epoch.chain = nextChain(epoch.chain, bodyHash);
    const { agreementTag } = epoch.session;
    const leaf = recordLeaf({
      bootId,
      boottimeMs: t0Ms,
      utcMs,
      bodyHash,
      stream: epoch.id,
      seq,
      agreementTag,
      chain: epoch.chain,
    });
    const meter: MeterDelta = {
      agreement: this.plan.agreement,
      recipient: this.plan.recipient,
      purpose: this.plan.purpose,
      action: 'distribute',
      hour: utcMs === null ? -1 - Math.floor(t0Ms / MS_PER_HOUR) : Math.floor(utcMs / MS_PER_HOUR),
      records: 1,
      samples,
      bytes: payload.length,
      fields,
      denied,
    };
    this.#context.onSealed();
    const counters = this.#meter.takes(meter.hour, activeMs, allowed, fields);
    const entry = { stream: epoch.id, seq, payload, leaf, bodyHash, meter };
    await store.append(entry, [...(this.#takes(payload.length, cut) ?? []), ...counters]);
  }

  /**
   * What a record of so many bytes takes from the budgets of its permissions; null where a budget is of a period and UTC is
   * unknown: nobody can tell of which one.
   */
  #takes(bytes: number, { lossMicro, utcMs }: Cut): readonly Budget[] | null {
    const takes: Budget[] = [];
    for (const { agreement, counts, key, limit, periodMs } of this.plan.budgets) {
      if (periodMs !== undefined && utcMs === null) return null;
      const period = periodMs === undefined ? '' : ` ${Math.floor(utcMs! / periodMs)}`;
      const add = counts === 'bytes' ? bytes : counts === 'epsilon' ? lossMicro : 1;
      takes.push({ key: `${agreement} ${key}${period}`, limit, add });
    }
    return takes;
  }

  async #begin(epoch: Epoch): Promise<SenderSession> {
    const { store, tenant, pseudonym, sign, algorithm, keyId, recipientKey } = this.#context;
    const { recipient, purpose, agreement, campaign, priority } = this.plan;
    const session = await openSession({
      recipientKey: recipientKey(recipient),
      tenant,
      pseudonym,
      stream: epoch.id,
      schema: epoch.schema,
      sign,
      algorithm,
      keyId,
    });
    const topic = recordTopic(tenant, pseudonym, epoch.id);
    store.begin({
      stream: epoch.id,
      pseudonym,
      recipient,
      purpose,
      agreement,
      campaign,
      priority,
      topic,
      session: session.message,
    });
    return session;
  }
}

/** What makes a stream another one: its documents and what is done with each signal. */
function identity(plan: StreamPlan): string {
  const { recipient, purpose, campaign, campaignVersion, agreement, agreementVersion, priority, recordMs } = plan;
  const hash = Buffer.from(plan.agreementHash).toString('hex');
  const signals = plan.signals.map(({ signal, rule: _, gate: __, ...rest }) => [signal.dbcName, rest]);
  const documents = [recipient, purpose, campaign, campaignVersion, agreement, agreementVersion, hash];
  return JSON.stringify([...documents, priority, recordMs, signals]);
}
