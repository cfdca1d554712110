import { TollgateError } from '#contracts';
import type { ReceiverStore, StreamId } from './contract.ts';

/** Something that a person must look at; holds no signal value. */
export interface ReceiverAlarm {
  readonly error: TollgateError;
  /** Name of the unit's ledger key; empty where nobody knows whose message it was. */
  readonly unit: string;
  /** Empty where the message had no readable topic. */
  readonly pseudonym: string;
  /** base64url; empty where the message had no readable topic. */
  readonly stream: string;
  /** The record, as far as the message names one. */
  readonly seq: number | null;
}

/** Where an alarm is. */
export interface Place extends StreamId {
  readonly unit?: string;
}

/** Alarms of one code that are told in a minute; the next one says how many were not. */
export const TOLD_A_MINUTE = 60;
const MINUTE_MS = 60_000;

/**
 * Counts alarms and tells them. A stranger may cause as many as the broker lets him: of one code so many are told in a
 * minute. Those that an operator must act upon are stored, once over all processes, and told whenever they are new.
 */
export class Alarms {
  readonly #tell: (alarm: ReceiverAlarm) => void;
  readonly #now: () => number;
  readonly #store: ReceiverStore;
  readonly #mostAMinute: number;
  readonly #told = new Map<string, { sinceMs: number; told: number; untold: number }>();
  /** All of them, told or not. */
  count = 0;

  constructor(
    store: ReceiverStore,
    tell: (alarm: ReceiverAlarm) => void,
    now: () => number,
    mostAMinute = TOLD_A_MINUTE,
  ) {
    this.#store = store;
    this.#tell = tell;
    this.#now = now;
    this.#mostAMinute = mostAMinute;
  }

  /** Told unless too many of its code were told within a minute. */
  raise(place: Place, error: TollgateError, seq: number | null): void {
    this.count++;
    const now = this.#now();
    const known = this.#told.get(error.code) ?? { sinceMs: now, told: 0, untold: 0 };
    this.#told.set(error.code, known);
    let told = error;
    if (now - known.sinceMs >= MINUTE_MS) {
      if (known.untold > 0) {
        const text = `${error.message} (and ${known.untold} more of this kind that were not told)`;
        told = new TollgateError(error.code, text, { place: error.place, cause: error });
      }
      Object.assign(known, { sinceMs: now, told: 0, untold: 0 });
    }
    if (known.told >= this.#mostAMinute) {
      known.untold++;
      return;
    }
    known.told++;
    this.#out(place, told, seq);
  }

  /**
   * Stored; told where it is new.
   *
   * @param key alarms of one key are one alarm
   */
  async lasting(
    place: Place,
    error: TollgateError,
    seq: number | null,
    key: string,
    evidence: readonly string[] = [],
  ): Promise<void> {
    const { unit = '', pseudonym } = place;
    const stream = Buffer.from(place.stream).toString('base64url');
    const { code, message } = error;
    if (!(await this.#store.alarm({ key: `${code} ${key}`, code, unit, pseudonym, stream, seq, message, evidence })))
      return;
    this.count++;
    this.#out(place, error, seq);
  }

  #out({ unit = '', pseudonym, stream }: Place, error: TollgateError, seq: number | null): void {
    this.#tell({ error, unit, pseudonym, stream: Buffer.from(stream).toString('base64url'), seq });
  }
}
