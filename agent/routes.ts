import type { Operation, OperationSpec, SignalInfo } from '#contracts';
import { CellReader, type MessageLayout, type RowLayout } from '#decoders';
import type { PlannedSignal, StreamPlan } from '#policies';
import { createOperation } from '#privacy';
import type { SchemaColumn, SchemaGroup } from '#wire';
import type { UnitResources } from './resources.ts';
import { RowBuffer } from './rows.ts';
import { throttled } from './throttle.ts';

/**
 * One operation of one stream on one message: which cells of a decoded row it takes and where its rows go.
 * The arrays are scratch, filled anew for each row.
 */
export interface Route {
  readonly stream: number;
  /** What reads each input from the cells of a row, and its signal of the stream plan. */
  readonly cells: readonly CellReader[];
  readonly signals: Int32Array;
  readonly values: Float64Array;
  readonly admitted: Uint8Array;
  /** Handed on to the route of the next plan where the stream goes on: open windows are not cut. */
  operation: Operation;
  out: RowBuffer;
  readonly group: RouteGroup;
}

/** What the columns of a route are in the record. */
export interface RouteGroup {
  readonly schema: SchemaGroup;
  /** Columns of the buffer that are columns of the record, and the buffer's column of their low words (−1: none). */
  readonly columns: readonly number[];
  readonly lowOf: readonly number[];
  /** Privacy loss of one value, millionths; 0 where no noise is added: what is told exactly is told. */
  readonly lossMicro: number;
  /** The signal names, each with one column that counts its samples. */
  readonly fields: readonly { readonly name: string; readonly column: number }[];
}

/** A route of the next plan takes over what is open of the one so far. */
export function adopt(route: Route, from: Route): void {
  route.operation = from.operation;
  route.out = from.out;
}

/** Routes of one message, in the order of the plan's streams. */
export function routesOf(message: MessageLayout, streams: readonly StreamPlan[], resources: UnitResources): Route[] {
  return streams.flatMap((stream, index) => {
    const groups = new Map<string, { plan: OperationSpec; members: Member[] }>();
    for (const [signal, planned] of stream.signals.entries()) {
      const cell = message.signals.find(({ signal: info }) => info.dbcName === planned.signal.dbcName);
      if (cell === undefined || planned.signal.channel !== message.channel) continue;
      const key = groupKey(planned.operation);
      const group = groups.get(key) ?? { plan: planned.operation, members: [] };
      for (const [word, reader] of CellReader.of(cell).entries()) {
        group.members.push({ signal, reader, planned, low: word === 1 });
      }
      groups.set(key, group);
    }
    return [...groups.values()].map(({ plan, members }) => route(index, stream, plan, members, resources));
  });
}

/** Routes by message index of a decoder. */
export function routeTable(layout: RowLayout, streams: readonly StreamPlan[], resources: UnitResources): Route[][] {
  return layout.messages.map((message) => routesOf(message, streams, resources));
}

interface Member {
  readonly signal: number;
  readonly reader: CellReader;
  readonly planned: PlannedSignal;
  /** The low word of a wide signal. */
  readonly low: boolean;
}

/** Signals of one message share an operation when its parameters are equal; both axes of a position are one operation. */
function groupKey(plan: OperationSpec): string {
  return JSON.stringify(plan, (key, value: unknown) => (key === 'axis' ? undefined : value));
}

function route(
  stream: number,
  { recipient, ticksPerMs }: StreamPlan,
  plan: OperationSpec,
  members: readonly Member[],
  resources: UnitResources,
): Route {
  const inputs = members.map(({ planned }) => ({ info: planned.signal, operation: planned.operation }));
  const operation = throttled(
    createOperation(plan, inputs, resources.of(recipient)),
    inputs.map(({ info }) => withDeadband(info, plan.deadband)),
  );
  return {
    stream,
    cells: members.map(({ reader }) => reader),
    signals: Int32Array.from(members, ({ signal }) => signal),
    values: new Float64Array(members.length),
    admitted: new Uint8Array(members.length),
    operation,
    out: new RowBuffer(operation.columns.length, ticksPerMs ?? 1),
    group: groupOf(plan, operation, members),
  };
}

/** The campaign's deadband where it is the wider one. */
function withDeadband(info: SignalInfo, deadband: number | undefined): SignalInfo {
  return deadband === undefined ? info : { ...info, deadband: Math.max(deadband, info.deadband ?? 0) };
}

function groupOf(plan: OperationSpec, operation: Operation, members: readonly Member[]): RouteGroup {
  const columns: number[] = [];
  const lowOf: number[] = [];
  const schema: SchemaColumn[] = [];
  const fields = new Map<string, number>();
  for (const [column, { input, result }] of operation.columns.entries()) {
    const { planned, low } = members[input]!;
    if (low) continue;
    columns.push(column);
    lowOf.push(planned.signal.type === 'wide' && result !== 'pseudonym' ? column + 1 : -1);
    schema.push(schemaColumn(planned.signal, result));
    if (!fields.has(planned.signal.name)) fields.set(planned.signal.name, column);
  }
  return {
    schema: { windowMs: 'windowMs' in plan ? plan.windowMs : 0, columns: schema },
    columns,
    lowOf,
    lossMicro: plan.kind === 'noise' ? plan.epsilonMicro : 0,
    fields: [...fields].map(([name, column]) => ({ name, column })),
  };
}

/** One ten-millionth of a degree, the unit of a cloaked position. */
const CLOAK_STEP = 1e-7;

function schemaColumn(signal: SignalInfo, result: SchemaColumn['result']): SchemaColumn {
  const { name, unit, f, o, factor, offset, type, signed } = signal;
  const exact = { f: 1, o: 0, factor: 1, offset: 0, type: 'int', signed: true } as const;
  if (result === 'count') return { signal: name, result, unit: '', ...exact, signed: false };
  // A pseudonym is nobody's number: it has neither unit nor scale.
  if (result === 'pseudonym') return { signal: name, result, unit: '', ...exact, signed: false };
  // Noise goes below 0 and beyond what the signal can hold.
  if (result === 'noised') return { signal: name, result, unit, f, o, factor, offset, type, signed: true };
  if (result === 'cell') return { signal: name, result, unit, ...exact, f: CLOAK_STEP };
  if (result === 'mean') return { signal: name, result, unit, f, o, factor, offset, type: 'float64', signed: true };
  // A sum of n samples is not one sample: its physical value needs n times the offsets, so it stays a raw sum.
  if (result === 'sum') return { signal: name, result, unit: '', ...exact, type: type === 'int' ? 'int' : 'float64' };
  return { signal: name, result, unit, f, o, factor, offset, type, signed };
}
