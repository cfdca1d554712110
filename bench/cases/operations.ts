import { randomFillSync } from 'node:crypto';
import type { RowSink, SignalInfo } from '#contracts';
import { createOperation, type OperationResources, type OperationSpec } from '#privacy';

/**
 * Nanoseconds and bytes of heap a value of each operation, fed one signal (a position: two) at 10 Hz; `raw` is the
 * baseline of the same run. Argument: rows (1,000,000).
 */
export const name = 'operations';

const ROWS = 1_000_000;
const STEP_NS = 100e6;
const INFO: SignalInfo = {
  name: 'Vehicle.Speed',
  dbcName: 'dbc:Motion.Speed',
  ...{ channel: 0, message: 'Motion', signal: 'Speed', id: 1, unit: 'km/h', f: 0.01, o: 0, factor: 1, offset: 0 },
  ...{ type: 'int', signed: false, bits: 16 },
};
const RESOURCES: OperationResources = {
  random: (into) => void randomFillSync(into),
  pseudonymKey: new Uint8Array(32),
  utcOffsetMs: () => 0,
  trip: { ended: 0, isOn: () => true, speed: () => 10 },
};
const TRIM = { timeMs: 60_000, metres: 300, axis: null } as const;
const SPECS: Readonly<Record<string, OperationSpec>> = {
  raw: { kind: 'raw' },
  decimate: { kind: 'decimate', periodMs: 1000 },
  aggregate: { kind: 'aggregate', windowMs: 1000, results: ['min', 'max', 'mean', 'count'] },
  precision: { kind: 'raw', step: 5 },
  trim: { kind: 'raw', trim: TRIM },
  pseudonymise: { kind: 'pseudonymise', rotateMs: 3_600_000, periodMs: 0 },
  'noise, 10 s': { kind: 'noise', windowMs: 10_000, epsilonMicro: 500_000, range: [0, 200] },
};

function feed(spec: OperationSpec, rows: number): { nsARow: number; bytesARow: number } {
  const operation = createOperation(spec, [{ info: INFO, operation: spec }], RESOURCES);
  let sent = 0;
  const out: RowSink = { row: () => void sent++ };
  const cells = new Float64Array(1);
  const admitted = Uint8Array.of(1);
  const play = (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      cells[0] = spec.kind === 'pseudonymise' ? 42 : (i * 7) % 20_000;
      operation.push(i * STEP_NS, cells, admitted, out);
    }
  };
  play(0, rows / 10);
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  const begun = process.cpuUsage();
  play(rows / 10, rows);
  const { user, system } = process.cpuUsage(begun);
  const grown = Math.max(0, process.memoryUsage().heapUsed - before);
  const fed = rows * 0.9;
  return { nsARow: round(((user + system) * 1000) / fed), bytesARow: round(grown / fed) };
}

export async function run(args: string[]): Promise<object> {
  const rows = Number(args[0] ?? ROWS);
  const found = Object.entries(SPECS).map(([operation, spec]) => ({ operation, ...feed(spec, rows) }));
  const base = found[0]!.nsARow;
  return { rows, operations: found.map((one) => ({ ...one, toRaw: round(one.nsARow / base) })) };
}

const round = (value: number) => Number(value.toFixed(2));
