import type { Operation, SignalInfo } from '#contracts';
import { createOperation, type OperationSpec } from '#privacy';

export interface Row {
  readonly timeNs: number;
  readonly cells: readonly (number | null)[];
}

export function info(change: Partial<SignalInfo> = {}): SignalInfo {
  return {
    name: 'Vehicle.Speed',
    dbcName: 'dbc:Motion.Speed',
    channel: 0,
    message: 'Motion',
    signal: 'Speed',
    id: 1,
    unit: '',
    f: 1,
    o: 0,
    factor: 1,
    offset: 0,
    type: 'int',
    signed: true,
    bits: 32,
    ...change,
  };
}

export function operation(spec: OperationSpec, infos: readonly SignalInfo[] = [info()]): Operation {
  return createOperation(
    spec,
    infos.map((one) => ({ info: one, operation: spec })),
  );
}

/** Pushes rows (null: not admitted or not present) and returns what came out, copied. */
export function run(op: Operation, rows: readonly Row[], finish = true): Row[] {
  const out: Row[] = [];
  const sink = {
    row(timeNs: number, cells: Float64Array, present: Uint8Array) {
      out.push({ timeNs, cells: op.columns.map((_, i) => (present[i] === 1 ? cells[i]! : null)) });
    },
  };
  for (const { timeNs, cells } of rows) {
    op.push(
      timeNs,
      Float64Array.from(cells, (cell) => cell ?? 12345),
      Uint8Array.from(cells, (cell) => (cell === null ? 0 : 1)),
      sink,
    );
  }
  if (finish) op.finish(sink);
  return out;
}

export const rowsOf = (...rows: readonly (readonly [ms: number, ...cells: (number | null)[]])[]): Row[] =>
  rows.map(([ms, ...cells]) => ({ timeNs: ms * 1e6, cells }));
