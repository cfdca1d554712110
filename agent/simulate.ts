import { type JsonWebKey, randomBytes } from 'node:crypto';
import { type FrameSource, TollgateError } from '#contracts';
import type { Denial, Plan } from '#policies';
import { ALG_EDDSA } from '#wire';
import { FrameClock } from './clock.ts';
import { NO_TRANSPORTS, type TransportCounts, transportCounts } from './counts.ts';
import type { Documents } from './documents.ts';
import { filterOf } from './lanes.ts';
import { pathOf } from './path.ts';
import { Pipeline } from './pipeline.ts';
import type { Appended, Budget, RecordEntry, Store } from './store/index.ts';

/*
 * The path of a unit over a store that keeps nothing: what a drive would have let out, counted to the byte. Records are
 * sealed, for keys that are made for the occasion and forgotten, so that their sizes are those of a unit.
 */

/** One signal of one campaign. */
export interface SimulatedField {
  readonly campaign: string;
  readonly recipient: string;
  readonly purpose: string;
  readonly agreement: string;
  readonly signal: string;
  readonly rule: string;
  /** As `PlannedSignal`. */
  readonly operation: Plan['streams'][number]['signals'][number]['operation'];
  /** Values that would have left. */
  readonly samples: number;
  /** Samples that the gate kept back, by rule and constraint. */
  readonly keptBack: readonly { readonly rule: string; readonly constraint: string; readonly count: number }[];
}

/** One stream: records are of all its signals, so bytes are counted here. */
export interface SimulatedStream {
  readonly campaign: string;
  readonly recipient: string;
  readonly purpose: string;
  readonly agreement: string;
  readonly records: number;
  /** Of sealed records, and of the session that goes before them. */
  readonly bytes: number;
  /** Records that a budget refused, of all streams that share it. */
  readonly overBudget: number;
}

export interface Simulation {
  readonly frames: number;
  readonly transports: TransportCounts;
  readonly fields: readonly SimulatedField[];
  readonly streams: readonly SimulatedStream[];
  /** Signals that no sample of would have left, each with rule and constraint. */
  readonly denials: readonly Denial[];
  readonly raised: readonly string[];
}

export interface SimulateOptions {
  readonly documents: Documents;
  /** One for each channel, in their order. Each is opened once. */
  readonly sources: readonly FrameSource[];
  readonly bootId: Uint8Array;
  /** A public X25519 key, for sealing; nobody holds its other half. */
  readonly recipientKey: JsonWebKey;
  /** Called between two batches with the frames so far. */
  readonly onProgress?: (frames: number) => void;
}

/** Counts what a unit would queue, and keeps none of it. */
class CountingStore implements Store {
  readonly totals = new Map<string, { records: number; bytes: number; fields: Map<string, number> }>();
  readonly #streams = new Map<string, string>();
  readonly #budgets = new Map<string, number>();
  /** Refusals by key of the budget. */
  readonly refused = new Map<string, number>();

  of(key: string) {
    let total = this.totals.get(key);
    if (total === undefined) {
      total = { records: 0, bytes: 0, fields: new Map() };
      this.totals.set(key, total);
    }
    return total;
  }

  begin({ stream, recipient, agreement, campaign, session }: Parameters<Store['begin']>[0]): void {
    const key = keyOf({ recipient, agreement, campaign });
    this.#streams.set(hex(stream), key);
    this.of(key).bytes += session.length;
  }

  admits(budgets: readonly Budget[]): boolean {
    const full = budgets.find(({ key, add, limit }) => (this.#budgets.get(key) ?? 0) + add > limit);
    if (full !== undefined) this.refused.set(full.key, (this.refused.get(full.key) ?? 0) + 1);
    return full === undefined;
  }

  append({ stream, payload, meter }: RecordEntry, budgets: readonly Budget[] = []): Appended {
    if (!this.admits(budgets)) return 'refused';
    for (const { key, add } of budgets) this.#budgets.set(key, (this.#budgets.get(key) ?? 0) + add);
    const total = this.of(this.#streams.get(hex(stream))!);
    total.records++;
    total.bytes += payload.length;
    for (const [name, count] of Object.entries(meter.fields))
      total.fields.set(name, (total.fields.get(name) ?? 0) + count);
    return 'queued';
  }

  leaf(): void {}
  async commit(): Promise<void> {}
  async head() {
    return { size: 0, root: new Uint8Array(32) };
  }
  async checkpoint(): Promise<void> {}
  async proofs() {
    return [];
  }
  async proof(): Promise<void> {}
  async take() {
    return [];
  }
  async pubacked(): Promise<void> {}
  async ack(): Promise<void> {}
  async requeue(): Promise<number> {
    return 0;
  }
  async ready(): Promise<void> {}
  async stats(): Promise<never> {
    throw new TollgateError('TG_STORE_IO', 'a simulation keeps no statistics of a store');
  }
  async close(): Promise<void> {}
}

/**
 * Plays sources through gate, operations and sealing, and says field by field what would have left.
 *
 * @throws {TollgateError} what the sources throw
 */
export async function simulate(options: SimulateOptions): Promise<Simulation> {
  const { documents, sources, bootId, recipientKey } = options;
  const { plan } = documents;
  const store = new CountingStore();
  const clock = new FrameClock(false);
  const context = {
    store,
    clock,
    bootId,
    tenant: 'simulation',
    pseudonym: randomBytes(16).toString('base64url'),
    // Sizes only: an Ed25519 signature has 64 bytes whatever it signs.
    sign: async () => new Uint8Array(64),
    algorithm: ALG_EDDSA,
    keyId: new Uint8Array(4),
    recipientKey: () => recipientKey,
    onSealed: () => undefined,
  };
  const { path } = pathOf(plan, documents.channels, context, null);
  const { lanes, gate, streams, heard, ignition } = path;
  const pipeline = new Pipeline({
    lanes,
    gate,
    streams,
    heard,
    ignition,
    clock,
    onIgnitionOff: () => path.trip.end(),
    onTimeJump: () => undefined,
  });
  const kept = new Map<string, { stream: number; signal: number; rule: string; constraint: string; count: number }>();
  const collect = () => {
    for (const denial of gate.drainDenials()) {
      const key = JSON.stringify([denial.stream, denial.signal, denial.rule, denial.constraint]);
      const before = kept.get(key);
      if (before === undefined) kept.set(key, { ...denial });
      else before.count += denial.count;
    }
  };
  let turn = Promise.resolve();
  const play = async (source: FrameSource, channel: number) => {
    await source.open((batch) => {
      turn = turn.then(async () => {
        await pipeline.pass(pipeline.decode(batch, channel));
        collect();
        options.onProgress?.(pipeline.counts.frames);
      });
      return turn;
    }, filterOf(lanes));
    await source.ended;
  };
  await Promise.all(sources.map(play));
  await turn;
  await pipeline.finish();
  collect();
  const frames = pipeline.counts.frames + sources.reduce((sum, one) => sum + one.skipped(), 0);
  const transports = transportCounts(lanes, NO_TRANSPORTS);
  return { frames, transports, ...report(plan, store, [...kept.values()]) };
}

function report(
  plan: Plan,
  store: CountingStore,
  kept: readonly { stream: number; signal: number; rule: string; constraint: string; count: number }[],
): Omit<Simulation, 'frames' | 'transports'> {
  const fields = plan.streams.flatMap((stream, s) =>
    stream.signals.map(({ signal, operation, rule }, i): SimulatedField => {
      const { campaign, recipient, purpose, agreement } = stream;
      return {
        campaign,
        recipient,
        purpose,
        agreement,
        signal: signal.name,
        rule,
        operation,
        samples: store.of(keyOf(stream)).fields.get(signal.name) ?? 0,
        keptBack: kept
          .filter((one) => one.stream === s && one.signal === i)
          .map(({ rule: by, constraint, count }) => ({ rule: by, constraint, count })),
      };
    }),
  );
  const streams = plan.streams.map((stream): SimulatedStream => {
    const { campaign, recipient, purpose, agreement } = stream;
    const { records, bytes } = store.of(keyOf(stream));
    const keys = new Set(stream.budgets.map((budget) => `${budget.agreement} ${budget.key}`));
    const overBudget = [...keys].reduce((sum, key) => sum + (store.refused.get(key) ?? 0), 0);
    return { campaign, recipient, purpose, agreement, records, bytes, overBudget };
  });
  return { fields, streams, denials: plan.denials, raised: plan.raised };
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
const keyOf = ({ recipient, agreement, campaign }: { recipient: string; agreement: string; campaign: string }) =>
  JSON.stringify([recipient, agreement, campaign]);
