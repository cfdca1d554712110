import { randomBytes } from 'node:crypto';
import { createGate, type Gate, type Plan } from '#policies';
import { DenialLog } from './denials.ts';
import type { Channel } from './documents.ts';
import { contextSignalsOf, type Lane, lanesOf } from './lanes.ts';
import { Trip, type UnitResources, unitResources } from './resources.ts';
import { OutStream, type StreamContext } from './stream.ts';

/** What one plan makes of the pipeline. Another plan makes another path, which takes over what goes on. */
export interface Path {
  readonly plan: Plan;
  readonly lanes: readonly Lane[];
  readonly gate: Gate;
  readonly streams: readonly OutStream[];
  readonly denials: DenialLog;
  /** Of each context signal when it was heard, boottime ns, and its value: (NaN, …) before the first. */
  readonly heard: Float64Array;
  /** Number of the ignition among the context signals; −1 where no rule asks for it or it is assumed. */
  readonly ignition: number;
  /** What operations know of the trip; goes on under every plan. */
  readonly trip: Trip;
  readonly resources: UnitResources;
}

/**
 * The path of a plan. A stream that the plans have in common goes on with its open record, its windows and its session;
 * a value of context that was heard stays heard.
 *
 * @param before the path so far, null at the start
 * @returns the path, and the streams that end with the one before
 */
export function pathOf(
  plan: Plan,
  channels: readonly Channel[],
  context: StreamContext,
  before: Path | null,
): { readonly path: Path; readonly ended: readonly OutStream[] } {
  const trip = before?.trip ?? new Trip();
  const resources = before?.resources ?? unitResources(context.pseudonymSecret ?? randomBytes(32), context.clock, trip);
  const lanes = lanesOf(plan, channels, before?.lanes ?? [], resources);
  const routes = lanes.flatMap((lane) => lane.routes.flat());
  const kept = new Set<OutStream>();
  const streams = plan.streams.map((streamPlan, index) => {
    const own = routes.filter((route) => route.stream === index);
    const running = before?.streams.find((stream) => stream.goesOn(streamPlan, own));
    if (running === undefined) return new OutStream(streamPlan, own, context);
    running.takeOver(streamPlan, own);
    kept.add(running);
    return running;
  });
  const gate = createGate(plan);
  const heard = hearAgain(plan, gate, before);
  trip.follow(plan, heard);
  const denials = new DenialLog(plan, before?.denials.total);
  const ended = (before?.streams ?? []).filter((stream) => !kept.has(stream));
  return { path: { plan, lanes, gate, streams, denials, heard, ignition: ignitionOf(plan), trip, resources }, ended };
}

function ignitionOf({ context }: Plan): number {
  const source = context.find(({ operand, kind }) => operand === 'auto:ignition' && kind === 'signal');
  return source?.kind === 'signal' ? source.index : -1;
}

/** Tells a new gate what the one before knew: otherwise every gated sample were lost until each signal came again. */
function hearAgain(plan: Plan, gate: Gate, before: Path | null): Float64Array {
  const signals = contextSignalsOf(plan);
  const heard = new Float64Array(signals.length * 2).fill(Number.NaN);
  if (before === null) return heard;
  const known = contextSignalsOf(before.plan);
  const values = signals.flatMap((signal, index) => {
    const old = known.findIndex(({ dbcName }) => dbcName === signal.dbcName);
    const timeNs = old < 0 ? Number.NaN : before.heard[2 * old]!;
    return Number.isNaN(timeNs) ? [] : [{ index, timeNs, value: before.heard[2 * old + 1]! }];
  });
  values.sort((a, b) => a.timeNs - b.timeNs);
  for (const { index, timeNs, value } of values) {
    gate.context(index, timeNs, value);
    heard[2 * index] = timeNs;
    heard[2 * index + 1] = value;
  }
  return heard;
}
