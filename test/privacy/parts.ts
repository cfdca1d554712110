import { createHash } from 'node:crypto';
import type { Operation, RandomFill, SignalInfo } from '#contracts';
import { createOperation, type OperationResources, type OperationSpec } from '#privacy';

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

/** What operations are given: bytes of a seeded generator, so that a test says the same each time. */
export function resources(change: Partial<OperationResources> = {}, seed = 1): OperationResources {
  const trip = { ended: 0, isOn: () => true, speed: () => Number.NaN };
  return { random: seeded(seed), pseudonymKey: new Uint8Array(32), utcOffsetMs: () => 0, trip, ...change };
}

/** SHA-256 in counter mode. */
export function seeded(seed: number): RandomFill {
  let counter = 0;
  return (into) => {
    for (let at = 0; at < into.length; at += 32) {
      const block = createHash('sha256').update(`${seed} ${counter++}`).digest();
      into.set(block.subarray(0, Math.min(32, into.length - at)), at);
    }
  };
}

export function operation(spec: OperationSpec, infos: readonly SignalInfo[] = [info()]): Operation {
  return createOperation(
    spec,
    infos.map((one) => ({ info: one, operation: spec })),
    resources(),
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
