/** Counters of the path; plain numbers, read by status and screens. */
export interface PathCounts {
  frames: number;
  /** Frames of ids that the plan does not know, as far as the source hands them over: never decoded. */
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
  return { frames: 0, unknown: 0, short: 0, ignored: 0, rows: 0, admitted: 0, denied: 0, timeJumps: 0 };
}
