import { createHash } from 'node:crypto';
import { operationText, type StreamPlan } from '#policies';
import { encodeCbor } from '#wire';
import type { Budget } from '../store/contract.ts';

/** Under what a stream's records leave: with it a counter of the store says more than a number. */
export interface MeterTerms {
  /** 11 characters of base64url: 8 bytes of the hash of all below. */
  readonly id: string;
  readonly agreement: string;
  readonly recipient: string;
  readonly purpose: string;
  /** Operations in words, each once. */
  readonly operations: readonly string[];
  /** Hex of SHA-256 over what is done with each signal. */
  readonly algorithm: string;
  readonly duties: readonly string[];
  /** Hex of the agreement's hash. */
  readonly policy: string;
}

/** What a record adds to the counters beside its `MeterDelta`. */
export interface MeterCounts {
  readonly activeMs: number;
  readonly allowed: number;
  /** Samples of each operation, in the order of `operations`. */
  readonly samples: readonly number[];
}

const S = 1000;

export function termsOf(plan: StreamPlan): MeterTerms {
  const signals = plan.signals.map(({ signal, operation }) => [signal.dbcName, JSON.stringify(operation)]);
  signals.sort(([a], [b]) => (a! < b! ? -1 : 1));
  const sha256 = (value: Uint8Array) => createHash('sha256').update(value).digest();
  const operations = [...new Set(plan.signals.map(({ operation }) => operationText(operation)))].sort();
  const algorithm = sha256(encodeCbor(signals)).toString('hex');
  const policy = Buffer.from(plan.agreementHash).toString('hex');
  const duties = [
    ...new Set(plan.duties.map(({ action, withinMs }) => `${action} within ${Math.ceil(withinMs / S)} s`)),
  ];
  const { agreement, recipient, purpose } = plan;
  const whole = encodeCbor([agreement, recipient, purpose, operations, algorithm, duties.sort(), policy]);
  const id = sha256(whole).subarray(0, 8).toString('base64url');
  return { id, agreement, recipient, purpose, operations, algorithm, duties, policy };
}

/** A counter of the store for one hour of these terms: `m/<hour>/<id>/<what>`; short, a commit writes it. */
export function counterKey(hour: number, id: string, what: string): string {
  return `m/${hour}/${id}/${what}`;
}

/**
 * What a record takes beside the budgets of its agreement: counters without a limit, that go up in the transaction which
 * commits the record.
 */
export class StreamMeter {
  readonly terms: MeterTerms;
  readonly #operationOf: ReadonlyMap<string, number>;
  #hour = Number.NaN;
  #entries: { key: string; add: number; limit: number }[] = [];

  constructor(plan: StreamPlan) {
    this.terms = termsOf(plan);
    this.#operationOf = new Map(
      plan.signals.map(({ signal, operation }) => [
        signal.name,
        this.terms.operations.indexOf(operationText(operation)),
      ]),
    );
  }

  /** One array for all records of the stream. */
  takes(hour: number, activeMs: number, allowed: number, fields: Readonly<Record<string, number>>): readonly Budget[] {
    const { id, operations } = this.terms;
    if (hour !== this.#hour) {
      this.#hour = hour;
      const what = ['r', 'ms', 'in', ...operations.map((_, i) => `o${i}`)];
      this.#entries = what.map((one) => ({ key: counterKey(hour, id, one), add: 0, limit: Number.MAX_SAFE_INTEGER }));
    }
    const [records, active, passed, ...samples] = this.#entries;
    records!.add = 1;
    active!.add = activeMs;
    passed!.add = allowed;
    for (const one of samples) one.add = 0;
    for (const name in fields) samples[this.#operationOf.get(name)!]!.add += fields[name]!;
    return this.#entries;
  }
}
