import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** Reads a candump log by a DBC, apart from the code under test: what the bench compares with comes from here. */
export interface DriveSignal {
  readonly name: string;
  readonly start: number;
  readonly size: number;
  readonly little: boolean;
  readonly signed: boolean;
  readonly factor: number;
  readonly offset: number;
  /** Where the raw value is a float; else a whole number. */
  readonly float?: 'float32' | 'float64';
}

export interface DriveMessage {
  readonly id: number;
  readonly name: string;
  readonly signals: readonly DriveSignal[];
}

/** One message of a drive: arrival in µs after the first frame of the log, raw values a signal. */
export interface DriveColumn {
  readonly message: DriveMessage;
  readonly timesUs: number[];
  readonly raw: number[][];
}

export function readDbc(text: string): DriveMessage[] {
  const messages: { id: number; name: string; signals: DriveSignal[] }[] = [];
  for (const line of text.split('\n')) {
    const message = /^BO_ (\d+) (\w+)\s*:/.exec(line);
    if (message !== null) messages.push({ id: Number(message[1]) % 2 ** 31, name: message[2]!, signals: [] });
    const signal = /^\s+SG_ (\w+)\s*: (\d+)\|(\d+)@([01])([+-]) \(([^,]+),([^)]+)\)/.exec(line);
    if (signal === null) continue;
    messages.at(-1)!.signals.push({
      name: signal[1]!,
      start: Number(signal[2]),
      size: Number(signal[3]),
      little: signal[4] === '1',
      signed: signal[5] === '-',
      factor: Number(signal[6]),
      offset: Number(signal[7]),
    });
  }
  return messages.filter(({ signals }) => signals.length > 0);
}

/** Bit by bit, as the DBC numbers bits; null where the frame is too short. */
function rawValue(payload: Uint8Array, { start, size, little, signed }: DriveSignal): number | null {
  let value = 0;
  let bit = start;
  for (let i = 0; i < size; i++) {
    const at = little ? start + size - 1 - i : bit;
    if (at >> 3 >= payload.length) return null;
    value = value * 2 + ((payload[at >> 3]! >> (at & 7)) & 1);
    bit = (bit & 7) === 0 ? bit + 15 : bit - 1;
  }
  return signed && value >= 2 ** (size - 1) ? value - 2 ** size : value;
}

/** Every message of the DBC that the log has, in the order of the DBC. Frames too short for a signal are left out. */
export function readDrive(logPath: string, dbcPath: string): DriveColumn[] {
  const file = readFileSync(logPath);
  const text = (logPath.endsWith('.gz') ? gunzipSync(file) : file).toString('latin1');
  return driveOf(text, readFileSync(dbcPath, 'latin1'));
}

/** As `readDrive`, from the text of both. */
export function driveOf(log: string, dbc: string): DriveColumn[] {
  const columns = readDbc(dbc).map((message) => ({
    message,
    timesUs: [] as number[],
    raw: message.signals.map(() => [] as number[]),
  }));
  const byId = new Map(columns.map((column) => [column.message.id, column]));
  let first: number | null = null;
  for (const line of log.split('\n')) {
    const frame = /^\((\d+)\.(\d{6})\) \S+ ([0-9A-F]+)#([0-9A-F]*)/.exec(line);
    if (frame === null) continue;
    const time = Number(frame[1]) * 1e6 + Number(frame[2]);
    first ??= time;
    const column = byId.get(Number.parseInt(frame[3]!, 16));
    if (column === undefined) continue;
    const payload = Buffer.from(frame[4]!, 'hex');
    const values = column.message.signals.map((signal) => rawValue(payload, signal));
    if (values.includes(null)) continue;
    column.timesUs.push(time - first);
    values.forEach((value, s) => {
      column.raw[s]!.push(value!);
    });
  }
  return columns.filter(({ timesUs }) => timesUs.length > 0);
}
