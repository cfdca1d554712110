import type { Operation, ResultColumn, RowSink, SignalInfo, TrimSpec, TripWatch } from '#contracts';
import type { OperationInput } from '../contract.ts';
import { nanoseconds } from '../slots.ts';

/**
 * Holds back the ends of a trip: its first samples are dropped, later ones wait in a ring of bounded size until samples
 * that came after them show that the trip went on. When the ignition goes off, is unknown, or the power fails, what waits
 * is forgotten. When the ring is full the oldest sample is forgotten: a stand of an hour costs data, never privacy.
 *
 * Of a position, the end of a trip is all that came after the last moment at which the vehicle was farther than `metres`
 * from where it stopped. A sample waits until the vehicle is twice as far from it: two points of one circle are never so
 * far apart. So the beginning does not leave either where the power failed within its circle. Of other signals, `metres` are metres driven.
 */
export function trimmed(operation: Operation, inputs: readonly OperationInput[], trip: TripWatch): Operation {
  const spec = inputs.find(({ operation: { trim } }) => trim !== undefined)?.operation.trim;
  return spec === undefined ? operation : new Trim(operation, inputs, spec, trip);
}

/** Rows that wait at most: 27 minutes at 10 Hz. */
const MOST_ROWS = 16_384;
const FIRST_ROWS = 256;
/** The least radius of curvature of WGS 84 (along the meridian, at the equator), m: distances come out too short. */
const RADIUS_M = 6_335_439;
const RADIANS = Math.PI / 180;
/** One position that is wrong must not end the wait: so many in a row have to lie far away. */
const CONFIRM = 3;
/** What moves faster than this between two samples is an error of the receiver, m/s, beside this much scatter, m. */
const FASTEST_M_PER_S = 100;
const SCATTER_M = 30;
const NS_PER_S = 1e9;
/** After such a silence the trip is another one, ns. */
const SILENCE_NS = 60e9;

class Trim implements Operation {
  readonly name: string;
  readonly columns: readonly ResultColumn[];
  readonly #inner: Operation;
  readonly #trip: TripWatch;
  readonly #inputs: number;
  readonly #timeNs: number;
  readonly #metres: number;
  /** Inputs of the axes; −1: distances are driven ones. */
  readonly #latitude: number = -1;
  readonly #longitude: number = -1;
  readonly #infos: readonly SignalInfo[];
  /** A ring of rows: time, the inputs, where (degrees) or how far (m in the first of both). */
  #times = new Float64Array(FIRST_ROWS);
  #cells: Float64Array;
  #admitted: Uint8Array;
  #places = new Float64Array(FIRST_ROWS * 2);
  #head = 0;
  #rows = 0;
  readonly #row: Float64Array;
  readonly #flags: Uint8Array;
  /** Of the trip: its number, when it began (NaN: not yet), whether its beginning lies behind. */
  #number = -1;
  #beganNs = Number.NaN;
  #away = false;
  readonly #start = new Float64Array(2);
  /** The newest places, as pairs, and how many of the trip there are. */
  readonly #newest = new Float64Array(CONFIRM * 2);
  #seen = 0;
  #lastNs = Number.NaN;
  #driven = 0;
  #forgotten = 0;

  constructor(inner: Operation, inputs: readonly OperationInput[], { timeMs, metres }: TrimSpec, trip: TripWatch) {
    this.name = inner.name;
    this.columns = inner.columns;
    this.#inner = inner;
    this.#trip = trip;
    this.#inputs = inputs.length;
    this.#timeNs = nanoseconds(timeMs);
    this.#metres = metres;
    this.#infos = inputs.map(({ info }) => info);
    const at = (axis: 'latitude' | 'longitude') => inputs.findIndex(({ operation }) => operation.trim?.axis === axis);
    if (metres > 0 && at('latitude') >= 0 && at('longitude') >= 0) {
      this.#latitude = at('latitude');
      this.#longitude = at('longitude');
    }
    this.#cells = new Float64Array(FIRST_ROWS * inputs.length);
    this.#admitted = new Uint8Array(FIRST_ROWS * inputs.length);
    this.#row = new Float64Array(inputs.length);
    this.#flags = new Uint8Array(inputs.length);
  }

  /** Samples that did not leave because the ring was full. */
  get forgotten(): number {
    return this.#forgotten;
  }

  push(timeNs: number, cells: Float64Array, admitted: Uint8Array, out: RowSink): void {
    if (!this.#goesOn(timeNs)) return;
    const newest = (this.#seen % CONFIRM) * 2;
    if (!this.#place(timeNs, cells, admitted, newest)) return;
    if (this.#seen === 0) {
      this.#beganNs = timeNs;
      this.#start[0] = this.#newest[newest]!;
      this.#start[1] = this.#newest[newest + 1]!;
    }
    this.#seen++;
    this.#lastNs = timeNs;
    if (!this.#away) {
      this.#away = timeNs - this.#beganNs >= this.#timeNs && this.#isFar(this.#start, 0);
      // The sample that tells so may lie on the edge: it goes on with the next.
      return;
    }
    this.#keep(timeNs, cells, admitted, newest);
    this.#release(timeNs, out);
  }

  advance(timeNs: number, out: RowSink): void {
    if (this.#number !== this.#trip.ended) this.#forget();
    // What waits belongs to windows that must stay open for it.
    this.#inner.advance(this.#rows === 0 ? timeNs : Math.min(timeNs, this.#times[this.#head]!), out);
  }

  finish(out: RowSink): void {
    this.#forget();
    this.#inner.finish(out);
  }

  /** Whether the ignition is known to be on; a trip that ended meanwhile takes what waits with it. */
  #goesOn(timeNs: number): boolean {
    const isOn = this.#trip.isOn(timeNs);
    if (isOn && this.#number === this.#trip.ended && !(timeNs - this.#lastNs > SILENCE_NS)) return true;
    this.#forget();
    return isOn;
  }

  #forget(): void {
    this.#cells.fill(0);
    this.#places.fill(0);
    this.#newest.fill(0);
    this.#start.fill(0);
    this.#head = 0;
    this.#rows = 0;
    this.#number = this.#trip.ended;
    this.#away = false;
    this.#seen = 0;
    this.#driven = 0;
    this.#lastNs = Number.NaN;
  }

  /** Where the row is, into `#newest`; false where that is unknown or cannot be. */
  #place(timeNs: number, cells: Float64Array, admitted: Uint8Array, newest: number): boolean {
    const seconds = this.#seen === 0 ? 0 : (timeNs - this.#lastNs) / NS_PER_S;
    if (this.#latitude < 0) {
      const speed = this.#metres === 0 ? 0 : this.#trip.speed(timeNs);
      // Unknown speed: no way is known to be covered.
      if (speed > 0 && seconds > 0) this.#driven += speed * seconds;
      this.#newest[newest] = this.#driven;
      return true;
    }
    if (admitted[this.#latitude] !== 1 || admitted[this.#longitude] !== 1) return false;
    const latitude = degrees(this.#infos[this.#latitude]!, cells[this.#latitude]!);
    const longitude = degrees(this.#infos[this.#longitude]!, cells[this.#longitude]!);
    // "No fix" comes as a value out of range, NaN, or the zero of both axes.
    if (!(Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180) || (latitude === 0 && longitude === 0)) return false;
    if (this.#seen > 0) {
      const last = ((this.#seen - 1) % CONFIRM) * 2;
      const moved = distance(this.#newest[last]!, this.#newest[last + 1]!, latitude, longitude);
      if (moved > FASTEST_M_PER_S * Math.max(0, seconds) + SCATTER_M) return false;
    }
    this.#newest[newest] = latitude;
    this.#newest[newest + 1] = longitude;
    return true;
  }

  /** Whether each of the newest places lies outside every circle that holds a place. */
  #isFar(places: Float64Array, at: number): boolean {
    if (this.#metres === 0) return true;
    if (this.#latitude < 0) return this.#driven - places[at]! >= this.#metres;
    if (this.#seen < CONFIRM) return false;
    for (let i = 0; i < CONFIRM * 2; i += 2) {
      if (distance(places[at]!, places[at + 1]!, this.#newest[i]!, this.#newest[i + 1]!) < 2 * this.#metres)
        return false;
    }
    return true;
  }

  #release(timeNs: number, out: RowSink): void {
    while (this.#rows > 0) {
      const head = this.#head;
      const since = timeNs - this.#times[head]!;
      if (since < this.#timeNs || !this.#isFar(this.#places, head * 2)) return;
      for (let i = 0; i < this.#inputs; i++) {
        this.#row[i] = this.#cells[head * this.#inputs + i]!;
        this.#flags[i] = this.#admitted[head * this.#inputs + i]!;
      }
      this.#head = (head + 1) % this.#times.length;
      this.#rows--;
      this.#inner.push(this.#times[head]!, this.#row, this.#flags, out);
    }
  }

  #keep(timeNs: number, cells: Float64Array, admitted: Uint8Array, newest: number): void {
    if (this.#rows === this.#times.length) this.#makeRoom();
    const row = (this.#head + this.#rows) % this.#times.length;
    this.#times[row] = timeNs;
    for (let i = 0; i < this.#inputs; i++) {
      const there = admitted[i] === 1;
      this.#cells[row * this.#inputs + i] = there ? cells[i]! : 0;
      this.#admitted[row * this.#inputs + i] = there ? 1 : 0;
    }
    this.#places[row * 2] = this.#newest[newest]!;
    this.#places[row * 2 + 1] = this.#newest[newest + 1]!;
    this.#rows++;
  }

  /** Twice the rows, up to the bound; then the oldest goes. */
  #makeRoom(): void {
    const rows = this.#times.length;
    if (rows === MOST_ROWS) {
      this.#head = (this.#head + 1) % rows;
      this.#rows--;
      this.#forgotten++;
      return;
    }
    const turned = <A extends Float64Array | Uint8Array>(from: A, to: A, width: number): A => {
      to.set(from.subarray(this.#head * width));
      to.set(from.subarray(0, this.#head * width), (rows - this.#head) * width);
      return to;
    };
    this.#times = turned(this.#times, new Float64Array(rows * 2), 1);
    this.#cells = turned(this.#cells, new Float64Array(rows * 2 * this.#inputs), this.#inputs);
    this.#admitted = turned(this.#admitted, new Uint8Array(rows * 2 * this.#inputs), this.#inputs);
    this.#places = turned(this.#places, new Float64Array(rows * 4), 2);
    this.#head = 0;
  }
}

/** Great-circle distance, m, never longer than the way over the ellipsoid (haversine, least radius). */
export function distance(latitude: number, longitude: number, toLatitude: number, toLongitude: number): number {
  const north = Math.sin(((toLatitude - latitude) * RADIANS) / 2);
  const east = Math.sin(((toLongitude - longitude) * RADIANS) / 2);
  const h = north * north + Math.cos(latitude * RADIANS) * Math.cos(toLatitude * RADIANS) * east * east;
  return 2 * RADIUS_M * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** The physical value in four IEEE steps, as everywhere. */
function degrees({ f, o, factor, offset }: SignalInfo, raw: number): number {
  return (raw * f + o) * factor + offset;
}
