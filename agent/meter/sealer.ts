import { encodeMeter, type LeafTime, type MeterRecord, meterHash, meterLeaf, signMeter } from '#wire';
import type { DurableStore, MeterRow } from '../store/contract.ts';
import type { BookEntry, MeterBook } from './book.ts';
import { counterKey, type MeterTerms } from './terms.ts';

const MS_PER_HOUR = 3_600_000;
/** Counters of hours that were sealed this long ago go from the store. */
const KEPT_HOURS = 24;

export interface SealerParts {
  readonly store: Pick<DurableStore, 'meter' | 'budget' | 'forgetBudget' | 'leaf' | 'commit'>;
  readonly book: MeterBook;
  readonly algorithm: number;
  readonly keyId: Uint8Array;
  readonly sign: (message: Uint8Array) => Promise<Uint8Array>;
  readonly now: () => LeafTime;
  /** 16 bytes of chance. */
  readonly salt: () => Uint8Array;
}

type Counted = Omit<MeterRecord, 'part' | 'previous'>;

/**
 * Turns counters of the store into meter records: each is what was counted since the last of its hour, signed, chained to
 * the record before, and a leaf of the ledger. The leaf comes first: a power cut between the two leaves a leaf without a
 * record, never a record without a leaf, and the counters are sealed again.
 */
export class MeterSealer {
  readonly #parts: SealerParts;
  #hour = Number.NaN;

  constructor(parts: SealerParts) {
    this.#parts = parts;
  }

  /** Seals hours that are over, once each hour; cheap when none is. */
  async tick(): Promise<void> {
    const { now } = this.#parts;
    const hour = hourOf(now());
    if (hour === this.#hour) return;
    this.#hour = hour;
    await this.seal((one) => one !== hour);
    this.#forget(hour);
  }

  /** Seals what is not sealed yet of the hours that fit; all without a choice. */
  async seal(fits: (hour: number) => boolean = () => true): Promise<void> {
    const { store, book, algorithm, keyId, sign, now, salt: fresh } = this.#parts;
    await store.commit();
    const sealed = book.sealed.map(({ record }) => record);
    const entries: BookEntry[] = [];
    let { previous } = book;
    for (const row of await store.meter()) {
      if (!fits(row.hour)) continue;
      const before = sealed.filter((record) => sameKey(record, row));
      const counted = lessThan(this.#counted(row), before);
      if (counted === null) continue;
      const record: MeterRecord = { ...counted, part: before.length, previous };
      const encoded = encodeMeter(record);
      const salt = fresh();
      entries.push({ salt, signed: await signMeter(encoded, algorithm, keyId, sign), encoded, record });
      store.leaf(meterLeaf(now(), salt, encoded, record.hour));
      previous = meterHash(encoded);
    }
    if (entries.length === 0) return;
    await store.commit();
    await book.append(entries);
  }

  #counted(row: MeterRow): Counted {
    const { store, book } = this.#parts;
    const terms = book.terms.filter((one) => sameAgreement(one, row));
    const of = (one: MeterTerms, what: string) => store.budget(counterKey(row.hour, one.id, what));
    const sum = (what: string) => terms.reduce((total, one) => total + of(one, what), 0);
    const map = (entries: readonly (readonly [string, number])[]) => {
      const all = new Map<string, number>();
      for (const [name, count] of entries) if (count > 0) all.set(name, (all.get(name) ?? 0) + count);
      return all;
    };
    const { agreement, recipient, purpose, action, hour, records, samples, bytes, denied } = row;
    return {
      ...{ agreement, recipient, purpose, action, hour, records, samples, bytes, denied },
      fields: new Map(Object.entries(row.fields)),
      activeMs: sum('ms'),
      allowed: sum('in'),
      transforms: map(terms.flatMap((one) => one.operations.map((name, i) => [name, of(one, `o${i}`)] as const))),
      algorithms: map(terms.map((one) => [one.algorithm, of(one, 'r')] as const)),
      duties: map(terms.flatMap((one) => one.duties.map((duty) => [duty, of(one, 'r')] as const))),
      policies: map(terms.map((one) => [one.policy, of(one, 'r')] as const)),
    };
  }

  #forget(hour: number): void {
    const { store, book } = this.#parts;
    for (const { record } of book.sealed) {
      if (record.hour < 0 || record.hour >= hour - KEPT_HOURS || record.hour < hour - 4 * KEPT_HOURS) continue;
      for (const one of book.terms.filter((terms) => sameAgreement(terms, record))) {
        for (const what of ['r', 'ms', 'in', ...one.operations.map((_, i) => `o${i}`)])
          store.forgetBudget(counterKey(record.hour, one.id, what));
      }
    }
  }
}

export function hourOf({ utcMs, boottimeMs }: LeafTime): number {
  return utcMs === null ? -1 - Math.floor(boottimeMs / MS_PER_HOUR) : Math.floor(utcMs / MS_PER_HOUR);
}

const sameAgreement = (
  a: Pick<MeterRecord, 'agreement' | 'recipient' | 'purpose'>,
  b: Pick<MeterRecord, 'agreement' | 'recipient' | 'purpose'>,
): boolean => a.agreement === b.agreement && a.recipient === b.recipient && a.purpose === b.purpose;

export function sameKey(
  a: Pick<MeterRecord, 'agreement' | 'recipient' | 'purpose' | 'action' | 'hour'>,
  b: typeof a,
): boolean {
  return sameAgreement(a, b) && a.action === b.action && a.hour === b.hour;
}

const NUMBERS = ['records', 'samples', 'bytes', 'denied', 'activeMs', 'allowed'] as const;
const MAPS = ['fields', 'transforms', 'algorithms', 'duties', 'policies'] as const;

/** What was counted beyond the parts that are sealed; null where that is nothing. */
function lessThan(counted: Counted, before: readonly MeterRecord[]): Counted | null {
  const rest = { ...counted };
  for (const name of NUMBERS) rest[name] = Math.max(0, rest[name] - before.reduce((sum, one) => sum + one[name], 0));
  for (const name of MAPS) {
    const left = [...rest[name]].map(([key, count]): [string, number] => {
      return [key, count - before.reduce((sum, one) => sum + (one[name].get(key) ?? 0), 0)];
    });
    rest[name] = new Map(left.filter(([, count]) => count > 0));
  }
  return NUMBERS.some((name) => rest[name] > 0) ? rest : null;
}
