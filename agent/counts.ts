import { sumOfCounters, type TransportCounters } from '#decoders';
import type { Lane } from './lanes.ts';

/** Counters of the path; plain numbers, read by status and screens. */
export interface PathCounts {
  /** Frames that sources handed over. */
  frames: number;
  /** Frames that sources left out because no signal in them has a decode right. */
  skipped: number;
  malformed: number;
  /** Frames handed over whose id the plan does not know: never decoded. */
  unknown: number;
  short: number;
  /** Remote and error frames. */
  ignored: number;
  rows: number;
  /** Values that passed the gate, and values that it kept back. */
  admitted: number;
  denied: number;
  timeJumps: number;
}

export function pathCounts(): PathCounts {
  return {
    frames: 0,
    skipped: 0,
    malformed: 0,
    unknown: 0,
    short: 0,
    ignored: 0,
    rows: 0,
    admitted: 0,
    denied: 0,
    timeJumps: 0,
  };
}

/** What the transports of all channels have seen since the start, and values that were a status of J1939 and none. */
export interface TransportCounts extends TransportCounters {
  readonly withheld: number;
}

export const NO_TRANSPORTS: TransportCounts = { j1939: null, isotp: null, obd: null, withheld: 0 };

/** @param before what decoders saw that are none any more */
export function transportCounts(lanes: readonly Pick<Lane, 'decoder'>[], before: TransportCounts): TransportCounts {
  return {
    ...sumOfCounters([before, ...lanes.map(({ decoder }) => decoder.counters())]),
    withheld: lanes.reduce((sum, { decoder }) => sum + decoder.withheld, before.withheld),
  };
}
