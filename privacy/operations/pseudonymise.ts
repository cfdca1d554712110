import { createHmac } from 'node:crypto';
import { type Operation, type ResultColumn, type RowSink, type SignalInfo, TollgateError } from '#contracts';
import type { OperationDriver, OperationInput } from '../contract.ts';
import { nanoseconds, windowStart } from '../slots.ts';

/**
 * An identifier (VIN, trip number) becomes a keyed pseudonym of 52 bits: equal values of one signal are equal within a
 * period of UTC, and nothing links two periods or two recipients without the unit's secret. Where UTC is unknown the
 * period is too, and nothing leaves. What a bus carries in parts is pseudonymised part by part.
 */
export const pseudonymise: OperationDriver<'pseudonymise'> = {
  kind: 'pseudonymise',
  create: ({ rotateMs, periodMs }, inputs, { pseudonymKey, utcOffsetMs }) => {
    if (inputs.some(({ info }) => info.type !== 'int' && info.type !== 'wide')) {
      throw new TollgateError('TG_OPERATION_INPUT', 'pseudonymise takes integers, not floating point numbers');
    }
    return new Pseudonymise(pseudonymKey, rotateMs, nanoseconds(periodMs), inputs, utcOffsetMs);
  },
};

const KEY_LABEL = 'tollgate pseudonym of recipient\0';
const PERIOD_LABEL = 'tollgate pseudonym period\0';
const NS_PER_MS = 1e6;
/** Low bits of the second word that are left off: 32 + 20 bits are a whole number of any column. */
const DROPPED_BITS = 12;

/**
 * The key that the pseudonyms of one recipient come from.
 *
 * @param secret at least 16 bytes that never leave the unit
 * @param recipient DID
 */
export function recipientKey(secret: Uint8Array, recipient: string): Uint8Array {
  return new Uint8Array(createHmac('sha256', secret).update(KEY_LABEL).update(recipient).digest());
}

class Pseudonymise implements Operation {
  readonly name = 'pseudonymise';
  readonly columns: readonly ResultColumn[];
  readonly #key: Uint8Array;
  readonly #rotateMs: number;
  readonly #periodNs: number;
  readonly #utcOffsetMs: () => number | null;
  readonly #signals: readonly SignalInfo[];
  /** Of each column: when it may send again, ns, and the words whose pseudonym it holds. */
  readonly #nextNs: Float64Array;
  readonly #first: Float64Array;
  readonly #second: Float64Array;
  readonly #cells: Float64Array;
  readonly #present: Uint8Array;
  #period = Number.NaN;
  #periodKey = new Uint8Array(0);

  constructor(
    key: Uint8Array,
    rotateMs: number,
    periodNs: number,
    inputs: readonly OperationInput[],
    utcOffsetMs: () => number | null,
  ) {
    // The low word of a wide signal follows its high word and goes into the same pseudonym.
    const columns = inputs.flatMap(({ info }, input) =>
      info.type === 'wide' && isLow(inputs, input) ? [] : [{ input, result: 'pseudonym' as const }],
    );
    this.columns = columns;
    this.#key = key;
    this.#rotateMs = rotateMs;
    this.#periodNs = periodNs;
    this.#utcOffsetMs = utcOffsetMs;
    this.#signals = columns.map(({ input }) => inputs[input]!.info);
    this.#nextNs = new Float64Array(columns.length).fill(Number.NEGATIVE_INFINITY);
    this.#first = new Float64Array(columns.length).fill(Number.NaN);
    this.#second = new Float64Array(columns.length).fill(Number.NaN);
    this.#cells = new Float64Array(columns.length);
    this.#present = new Uint8Array(columns.length);
  }

  push(timeNs: number, cells: Float64Array, admitted: Uint8Array, out: RowSink): void {
    const offsetMs = this.#utcOffsetMs();
    if (offsetMs === null) return;
    const period = Math.floor((timeNs / NS_PER_MS + offsetMs) / this.#rotateMs);
    if (period !== this.#period) this.#rotate(period);
    let due = false;
    for (let column = 0; column < this.columns.length; column++) {
      const { input } = this.columns[column]!;
      const send = admitted[input] === 1 && timeNs >= this.#nextNs[column]!;
      this.#present[column] = send ? 1 : 0;
      if (!send) continue;
      due = true;
      if (this.#periodNs > 0) this.#nextNs[column] = windowStart(timeNs, this.#periodNs) + this.#periodNs;
      const second = this.#signals[column]!.type === 'wide' ? cells[input + 1]! : 0;
      if (cells[input] !== this.#first[column] || second !== this.#second[column]) {
        this.#first[column] = cells[input]!;
        this.#second[column] = second;
        this.#cells[column] = this.#pseudonym(this.#signals[column]!, cells[input]!, second);
      }
    }
    if (due) out.row(timeNs, this.#cells, this.#present);
  }

  advance(): void {}

  finish(): void {}

  #rotate(period: number): void {
    this.#period = period;
    this.#periodKey.fill(0);
    const label = `${PERIOD_LABEL}${this.#rotateMs}\0${period}`;
    this.#periodKey = new Uint8Array(createHmac('sha256', this.#key).update(label).digest());
    this.#first.fill(Number.NaN);
  }

  /** Made anew only when the value changes. */
  #pseudonym({ dbcName }: SignalInfo, first: number, second: number): number {
    const digest = createHmac('sha256', this.#periodKey).update(`${dbcName}\0${first}\0${second}`).digest();
    return digest.readUInt32BE(0) * 2 ** (32 - DROPPED_BITS) + (digest.readUInt32BE(4) >>> DROPPED_BITS);
  }
}

/** The two words of a wide signal stand beside each other, the high one first. */
function isLow(inputs: readonly OperationInput[], input: number): boolean {
  const { dbcName } = inputs[input]!.info;
  return input > 0 && inputs[input - 1]!.info.dbcName === dbcName;
}
