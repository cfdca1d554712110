import type { Schema, SchemaColumn, Table } from '#wire/schema';
import type { DriveColumn } from './drive.ts';

/** A record's worth of a drive: tables as the codec takes them and the span they cover. */
export interface Cut {
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

export function schemaOf(drive: readonly DriveColumn[]): Schema {
  return {
    agreement: { uid: 'urn:uuid:00000000-0000-4000-8000-000000000001', hash: new Uint8Array(32) },
    bootId: new Uint8Array(8),
    utcOffsetMs: null,
    utcErrorMs: null,
    utcSource: 'log',
    groups: drive.map(({ message }) => ({
      windowMs: 0,
      columns: message.signals.map(
        ({ name, factor, offset, signed }): SchemaColumn => ({
          signal: `dbc:${message.name}.${name}`,
          result: 'raw',
          unit: '',
          f: factor,
          o: offset,
          factor: 1,
          offset: 0,
          type: 'int',
          signed,
        }),
      ),
    })),
  };
}

/** Records of `recordMs` over [fromMs, toMs), by arrival time. */
export function cut(drive: readonly DriveColumn[], recordMs: number, fromMs: number, toMs: number): Cut[] {
  const cuts: Cut[] = [];
  const at = drive.map(() => 0);
  for (let t0Ms = fromMs; t0Ms + recordMs <= toMs; t0Ms += recordMs) {
    let samples = 0;
    const tables = drive.map(({ timesUs, raw }, g): Table => {
      let from = at[g]!;
      while (from < timesUs.length && timesUs[from]! < t0Ms * 1000) from++;
      let to = from;
      while (to < timesUs.length && timesUs[to]! < (t0Ms + recordMs) * 1000) to++;
      at[g] = to;
      samples += (to - from) * raw.length;
      return {
        rows: to - from,
        timesMs: Float64Array.from(timesUs.slice(from, to), (us) => Math.floor(us / 1000)),
        columns: raw.map((values) => ({ values: Float64Array.from(values.slice(from, to)), present: null })),
      };
    });
    cuts.push({ t0Ms, tables, samples });
  }
  return cuts;
}
