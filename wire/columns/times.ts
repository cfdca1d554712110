import { type BitCoder, malformed } from './coder.ts';
import { codeNumber, codeSigned, codeTree, HEAD, TREE } from './head.ts';
import { codeResidual, five, startModel, three } from './residuals.ts';

/** Periods that buses use, ms; by their number; number 15 is followed by the period itself. */
const PERIODS = [1000, 100, 50, 20, 10, 5, 25, 40, 200, 250, 500, 30, 1, 2, 0];
/** Times are whole ticks of 1 ms or 100 µs; they are kept in 1/256 of a tick while they are predicted. */
const FINE = 256;
/** Classes of start probabilities after those of the values. */
export const TIME_CLASS = 8;
/** Earlier groups whose clock may serve. */
const REFERENCES = 6;

export interface TimePlan {
  /** Beat of the sender's clock, ticks. */
  period: number;
  /** Usual number of beats from row to row. */
  beats: number;
  /** 0: a line of its own; d: the times of the d-th group before, plus an offset. */
  reference: number;
}

/** What is known of a group's times after they were coded. */
export interface TimeColumn {
  rows: number;
  /** Ticks after the record's start. */
  times: Int32Array;
  /** How far each time lay from where it was expected, 1/256 of a tick. */
  errors: Int32Array;
}

/** Predicts times one after the other; the same object serves choosing, writing and reading. */
class TimePredictor {
  private phase = 0;
  private step = 0;
  private offset = 0;
  private plan: TimePlan = { period: 0, beats: 0, reference: 0 };
  private other: TimeColumn | null = null;
  private at = 0;
  private resync = RESYNC_MS * FINE;
  /** Where the next time is expected, 1/256 of a tick. */
  expected = 0;
  /** The row of the other group nearest to it. */
  near = -1;

  /** @param ticksPerMs 1 or 10 */
  scale(ticksPerMs: number): void {
    this.resync = RESYNC_MS * ticksPerMs * FINE;
  }

  start(plan: TimePlan, first: number, other: TimeColumn | null): void {
    this.plan = plan;
    this.phase = first * FINE + FINE / 2;
    this.step = plan.period * FINE;
    this.other = other;
    this.at = 0;
    if (other !== null) {
      this.seek(first);
      this.offset = first * FINE + FINE / 2 - other.times[this.at]! * FINE;
    }
  }

  private seek(time: number): void {
    const { times, rows } = this.other!;
    let at = this.at;
    while (at + 1 < rows && Math.abs(times[at + 1]! - time) <= Math.abs(times[at]! - time)) at++;
    this.at = at;
    this.near = at;
  }

  /** Beats that lead nearest to `time`. */
  beatsTo(time: number): number {
    if (this.plan.period === 0) return 0;
    const beats = Math.floor((time * FINE + FINE / 2 - this.phase) / this.step + 0.5);
    return Math.max(beats, 0);
  }

  advance(beats: number): void {
    const line = this.phase + beats * this.step;
    if (this.other === null) {
      this.expected = line;
      return;
    }
    this.seek(Math.floor((line - this.offset) / FINE));
    this.expected = this.other.times[this.at]! * FINE + this.offset;
  }

  /** Learns from the true time; returns the error. */
  learn(time: number): number {
    const error = time * FINE + FINE / 2 - this.expected;
    if (this.other !== null) {
      this.offset += Math.floor(error / OFFSET_RATE);
      this.phase = time * FINE + FINE / 2;
      return error;
    }
    if (error > this.resync || error < -this.resync) {
      this.phase = time * FINE + FINE / 2;
    } else {
      this.phase = this.expected + Math.floor(error / PHASE_RATE);
      this.step += Math.floor(error / STEP_RATE);
      if (this.step < FINE / 2) this.step = FINE / 2;
    }
    return error;
  }
}

/** The offset to another group moves by 1/8 of the error. */
const OFFSET_RATE = 8;
/** The line moves by 1/8 of the error, its slope by 1/256 of it a beat. */
const PHASE_RATE = 8;
const STEP_RATE = 256;
/** Errors are kept within ± 16 ms: contexts see less. */
const ERROR_LIMIT = 4096;
/** Beyond two ms the sender's clock jumped: start again from the time that came. */
const RESYNC_MS = 2;

const predictor = new TimePredictor();

/** About what the times cost under a plan, bits. */
function run(column: TimeColumn, plan: TimePlan, other: TimeColumn | null): number {
  const { times, rows } = column;
  predictor.start(plan, times[0]!, other);
  let cost = 0;
  for (let i = 1; i < rows; i++) {
    const beats = predictor.beatsTo(times[i]!);
    predictor.advance(beats);
    const r = times[i]! - Math.floor(predictor.expected / FINE);
    predictor.learn(times[i]!);
    if (r !== 0) cost += 70 - 2 * Math.clz32(r < 0 ? -r : r);
    if (beats !== plan.beats) cost += 6;
  }
  return cost;
}

/** Reused from group to group. */
const plan: TimePlan = { period: 0, beats: 0, reference: 0 };
const trial: TimePlan = { period: 0, beats: 0, reference: 0 };

const usual = (period: number, ticksPerMs: number) => PERIODS.includes(period / ticksPerMs);

/** The cheapest plan for the times of group `index`. */
function choose(columns: readonly TimeColumn[], index: number, ticksPerMs: number): TimePlan {
  const column = columns[index]!;
  const { times, rows } = column;
  plan.period = 0;
  plan.beats = 0;
  plan.reference = 0;
  if (rows < 2) return plan;
  const mean = Math.round((times[rows - 1]! - times[0]!) / (rows - 1));
  const middle = times[rows >> 1]! - times[(rows >> 1) - 1]!;
  let best = Number.POSITIVE_INFINITY;
  const consider = (period: number, typical: number, reference: number, other: TimeColumn | null, extra: number) => {
    trial.period = period;
    trial.reference = reference;
    trial.beats = period === 0 ? 0 : Math.max(1, Math.round(typical / period));
    const cost = run(column, trial, other) + extra;
    if (cost < best) {
      best = cost;
      plan.period = trial.period;
      plan.beats = trial.beats;
      plan.reference = reference;
    }
  };
  consider(mean, mean, 0, null, usual(mean, ticksPerMs) ? 4 : 16);
  if (middle !== mean) consider(middle, middle, 0, null, usual(middle, ticksPerMs) ? 4 : 16);
  if (best > rows) {
    for (const ms of [10, 20, 50, 100]) {
      const period = ms * ticksPerMs;
      if (period < mean && period !== middle) consider(period, mean, 0, null, 8);
    }
  }
  if (best > 0) {
    const { period, beats } = plan;
    for (let back = 1; back <= REFERENCES && back <= index; back++) {
      const other = columns[index - back]!;
      if (other.rows < 2) continue;
      consider(period, period * beats, back, other, 6);
    }
  }
  return plan;
}

/** Length of an array for so many rows: the power of two above. */
export const roomFor = (rows: number): number => 1 << (32 - Math.clz32(Math.max(63, rows - 1)));

export function growTimes(column: TimeColumn, rows: number): void {
  if (column.times.length >= rows) return;
  column.times = new Int32Array(roomFor(rows));
  column.errors = new Int32Array(column.times.length);
}

/** Writes or reads the times of group `index`; `span` is the length of the record, ticks, `limit` the most rows it takes. */
export function codeTimes(
  coder: BitCoder,
  columns: readonly TimeColumn[],
  index: number,
  span: number,
  limit: number,
  ticksPerMs: number,
): void {
  predictor.scale(ticksPerMs);
  const column = columns[index]!;
  const plan = coder.decoding ? { period: 0, beats: 0, reference: 0 } : choose(columns, index, ticksPerMs);
  if (coder.single(column.rows === 0 ? 1 : 0, TREE.noRows) === 1) {
    column.rows = 0;
    return;
  }
  if (coder.single(column.rows === 1 ? 1 : 0, TREE.oneRow) === 1) {
    column.rows = 1;
    column.times[0] = inRange(codeSigned(coder, column.times[0]!, HEAD.firstTime));
    column.errors[0] = 0;
    return;
  }
  const known = PERIODS.indexOf(plan.period / ticksPerMs);
  const choice = codeTree(coder, known < 0 ? PERIODS.length : known, 4, TREE.period);
  plan.period = choice < PERIODS.length ? PERIODS[choice]! * ticksPerMs : codeNumber(coder, plan.period, HEAD.period);
  plan.beats = codeNumber(coder, plan.beats, HEAD.skips);
  plan.reference = codeNumber(coder, plan.reference, HEAD.timeReference);
  if (plan.reference > index || (plan.reference > 0 && columns[index - plan.reference]!.rows === 0)) {
    malformed('times refer to a group that is not there');
  }
  const other = plan.reference === 0 ? null : columns[index - plan.reference]!;
  const first = inRange(codeSigned(coder, column.times[0]!, HEAD.firstTime));
  const step = plan.period * plan.beats;
  const expectedRows = step === 0 ? 2 : Math.max(2, Math.ceil((span - first) / step));
  column.rows = codeSigned(coder, column.rows - expectedRows, HEAD.rows) + expectedRows;
  const rows = column.rows;
  if (rows < 2 || rows > limit) malformed('a group has more rows than a record may hold');
  growTimes(column, rows);
  const { times, errors } = column;
  times[0] = first;
  startModel(coder, other === null ? TIME_CLASS : TIME_CLASS + 1);
  predictor.start(plan, first, other);
  errors[0] = 0;
  let r1 = 0;
  let r2 = 0;
  let energy = 0;
  let odd = 0;
  for (let i = 1; i < rows; i++) {
    let beats = plan.beats;
    if (!coder.decoding) beats = predictor.beatsTo(times[i]!);
    const kind = odd === 0 ? HEAD.skipDelta : HEAD.skipDeltaAfter;
    beats = plan.period === 0 ? 0 : codeSigned(coder, beats - plan.beats, kind) + plan.beats;
    odd = beats === plan.beats ? 0 : 1;
    predictor.advance(beats);
    const base = Math.floor(predictor.expected / FINE);
    const fraction = (predictor.expected - base * FINE) >> 4;
    const c1 = five(r1) * 3 + three(r2);
    const c2 = 32 - Math.clz32(energy);
    let c3 = 17;
    if (other !== null) c3 = Math.max(0, Math.min(16, (other.errors[predictor.near]! >> 5) + 8));
    const r = codeResidual(coder, times[i]! - base, fraction, c1, Math.min(c2, 17), c3);
    times[i] = inRange(base + r);
    if (times[i]! < times[i - 1]!) malformed('times run backwards');
    errors[i] = Math.max(-ERROR_LIMIT, Math.min(ERROR_LIMIT, predictor.learn(base + r)));
    const size = r < 0 ? -r : r;
    energy += (Math.min(size, 4095) * 16 - energy) >> 2;
    r2 = r1;
    r1 = r;
  }
}

/** Times lie within 2^28 ticks (a day or three) of the record's start, so that no step between them leaves 31 bits. */
export const TIME_LIMIT = 2 ** 28;

function inRange(time: number): number {
  if (time > TIME_LIMIT || time < -TIME_LIMIT) malformed('a time lies outside its range');
  return time;
}
