import { NO_TIMING, type Schema, type SchemaColumn, type Table, type Timing } from '#wire/schema';
import type { DriveColumn } from './drive.ts';

/** A record's worth of a drive: tables as the codec takes them and the span they cover. */
export interface Cut {
  /** Where its span begins, ms. */
  readonly fromMs: number;
  /** Its first sample, as the agent starts a record, ms. */
  readonly t0Ms: number;
  readonly tables: Table[];
  readonly samples: number;
}

/** Every signal of the drive, or those named `Message.Signal`; one group a message. */
export function pick(drive: readonly DriveColumn[], names: readonly string[] | null): DriveColumn[] {
  if (names === null) return [...drive];
  return drive
    .map(({ message, timesUs, raw }) => {
      const kept = message.signals
        .map((signal, s) => ({ signal, s }))
        .filter(({ signal }) => names.includes(`${message.name}.${signal.name}`));
      return {
        message: { ...message, signals: kept.map(({ signal }) => signal) },
        timesUs,
        raw: kept.map(({ s }) => raw[s]!),
      };
    })
    .filter(({ raw }) => raw.length > 0);
}

/** Keeps a row when at least `everyMs` passed since the one kept before. */
export function decimate(drive: readonly DriveColumn[], everyMs: number): DriveColumn[] {
  return drive.map(({ message, timesUs, raw }) => {
    const kept: number[] = [];
    timesUs.forEach((time, i) => {
      if (kept.length === 0 || time - timesUs[kept.at(-1)!]! >= everyMs * 1000) kept.push(i);
    });
    return { message, timesUs: kept.map((i) => timesUs[i]!), raw: raw.map((values) => kept.map((i) => values[i]!)) };
  });
}

/** @param timing where records are expected, as the agent tells it */
export function schemaOf(drive: readonly DriveColumn[], timing: Timing = NO_TIMING): Schema {
  return {
    agreement: { uid: 'urn:uuid:00000000-0000-4000-8000-000000000001', hash: new Uint8Array(32) },
    bootId: new Uint8Array(8),
    utcOffsetMs: null,
    utcErrorMs: null,
    utcSource: 'log',
    timing,
    groups: drive.map(({ message }) => ({
      windowMs: 0,
      columns: message.signals.map(
        ({ name, factor, offset, signed, float }): SchemaColumn => ({
          signal: `dbc:${message.name}.${name}`,
          result: 'raw',
          unit: '',
          f: factor,
          o: offset,
          factor: 1,
          offset: 0,
          type: float ?? 'int',
          signed,
        }),
      ),
    })),
  };
}

/** Records of `recordMs` over [fromMs, toMs), by arrival time. */
export function cut(
  drive: readonly DriveColumn[],
  recordMs: number,
  fromMs: number,
  toMs: number,
  ticksPerMs: 1 | 10 = 1,
): Cut[] {
  const cuts: Cut[] = [];
  const at = drive.map(() => 0);
  for (let startMs = fromMs; startMs + recordMs <= toMs; startMs += recordMs) {
    let samples = 0;
    const tables = drive.map(({ timesUs, raw }, g): Table => {
      let from = at[g]!;
      while (from < timesUs.length && timesUs[from]! < startMs * 1000) from++;
      let to = from;
      while (to < timesUs.length && timesUs[to]! < (startMs + recordMs) * 1000) to++;
      at[g] = to;
      samples += (to - from) * raw.length;
      return {
        rows: to - from,
        timesMs: Float64Array.from(timesUs.slice(from, to), (us) => Math.floor((us * ticksPerMs) / 1000) / ticksPerMs),
        columns: raw.map((values) => ({ values: Float64Array.from(values.slice(from, to)), present: null })),
      };
    });
    if (samples === 0) continue;
    const firsts = tables.filter(({ rows }) => rows > 0).map(({ timesMs }) => timesMs[0]!);
    const t0Ms = Math.floor(Math.min(...firsts));
    cuts.push({ fromMs: startMs, t0Ms, tables, samples });
  }
  return cuts;
}
