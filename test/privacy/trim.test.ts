import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createOperation, type OperationSpec } from '#privacy';
import { distance } from '#privacy/operations/trim';
import { info, type Row, resources } from './parts.ts';

const S = 1e9;
const STEP = 1e-7;

/** A trip whose ignition a test turns. */
class Ignition {
  ended = 0;
  on = true;
  metresPerSecond = Number.NaN;
  isOn = () => this.on;
  speed = () => this.metresPerSecond;
  off() {
    this.on = false;
    this.ended++;
  }
}

function held(trim: { timeMs: number; metres: number }, kind: 'position' | 'speed', trip: Ignition) {
  const spec = (axis: 'latitude' | 'longitude' | null): OperationSpec => ({ kind: 'raw', trim: { ...trim, axis } });
  const inputs =
    kind === 'speed'
      ? [{ info: info(), operation: spec(null) }]
      : [
          { info: info({ f: STEP }), operation: spec('latitude') },
          { info: info({ f: STEP }), operation: spec('longitude') },
        ];
  const op = createOperation(inputs[0]!.operation, inputs, resources({ trip }));
  const left: Row[] = [];
  const out = { row: (timeNs: number, cells: Float64Array) => left.push({ timeNs, cells: [...cells] }) };
  return {
    left,
    push: (seconds: number, ...cells: number[]) =>
      op.push(
        seconds * S,
        Float64Array.from(cells),
        Uint8Array.from(cells, () => 1),
        out,
      ),
    finish: () => op.finish(out),
  };
}

interface Place {
  readonly latitude: number;
  readonly longitude: number;
}

/** A drive at 1 Hz near a place: headings wander, speeds up to 40 m/s, on whole steps of 1e-7 degree. */
const drives = fc
  .tuple(
    fc.integer({ min: -80, max: 80 }),
    fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: -60, max: 60 })), {
      minLength: 50,
      maxLength: 250,
    }),
  )
  .map(([latitude, steps]) => {
    let [at, heading]: [Place, number] = [{ latitude: latitude * 1e7, longitude: 130_000_000 }, 0];
    const stretch = Math.cos((latitude * Math.PI) / 180);
    return steps.map(([metres, turn]) => {
      heading += (turn * Math.PI) / 180;
      at = {
        latitude: at.latitude + Math.round((metres * Math.cos(heading) * 1e7) / 111_200),
        longitude: at.longitude + Math.round((metres * Math.sin(heading) * 1e7) / 111_200 / stretch),
      };
      return at;
    });
  });

const between = (a: Place, b: Place) =>
  distance(a.latitude * STEP, a.longitude * STEP, b.latitude * STEP, b.longitude * STEP);

/** Samples of a drive that are neither before it left the circle round its start nor after it came into that of its end. */
function middle(drive: readonly Place[], metres: number): readonly [first: number, last: number] {
  const first = drive.findIndex((place) => between(place, drive[0]!) >= metres);
  const last = drive.findLastIndex((place) => between(place, drive.at(-1)!) >= metres);
  return [first < 0 ? drive.length : first, last];
}

describe('the ends of a trip', () => {
  it('do not leave: nothing before the circle round the start was left, nothing after that round the end was entered', () => {
    let released = 0;
    fc.assert(
      fc.property(drives, fc.integer({ min: 50, max: 500 }), (drive, metres) => {
        const trip = new Ignition();
        const { left, push } = held({ timeMs: 0, metres }, 'position', trip);
        for (const [i, { latitude, longitude }] of drive.entries()) push(i, latitude, longitude);
        trip.off();
        for (let i = 0; i < 50; i++) push(drive.length + i, drive.at(-1)!.latitude, drive.at(-1)!.longitude);
        const [first, last] = middle(drive, metres);
        for (const { timeNs } of left) {
          expect(timeNs / S).toBeGreaterThanOrEqual(first);
          expect(timeNs / S).toBeLessThanOrEqual(last);
        }
        released += left.length;
      }),
      { numRuns: 200, seed: 21, endOnFailure: true },
    );
    expect(released).toBeGreaterThan(1000);
  });

  it('do not leave where the power fails on the way: what waited is gone and the trip begins anew', () => {
    fc.assert(
      fc.property(drives, fc.integer({ min: 50, max: 300 }), fc.nat(249), (drive, metres, cut) => {
        const at = cut % drive.length;
        const parts = [drive.slice(0, at), drive.slice(at)].map((part, which) => {
          const { left, push } = held({ timeMs: 0, metres }, 'position', new Ignition());
          for (const [i, { latitude, longitude }] of part.entries())
            push(i + (which === 0 ? 0 : at), latitude, longitude);
          return left;
        });
        const [first, last] = middle(drive, metres);
        for (const { timeNs } of parts.flat()) {
          expect(timeNs / S).toBeGreaterThanOrEqual(first);
          expect(timeNs / S).toBeLessThanOrEqual(last);
        }
      }),
      { numRuns: 150, seed: 22, endOnFailure: true },
    );
  });

  it('of a time do not leave: neither the first nor the last minute', () => {
    const trip = new Ignition();
    const { left, push } = held({ timeMs: 60_000, metres: 0 }, 'speed', trip);
    for (let i = 0; i <= 300; i++) push(i, i);
    trip.off();
    trip.on = true;
    for (let i = 301; i <= 400; i++) push(i, i);
    const seconds = left.map(({ timeNs }) => timeNs / S);
    expect(seconds[0]).toBeGreaterThanOrEqual(60);
    expect(seconds.filter((at) => at <= 300).at(-1)).toBe(240);
    // The next trip has ends of its own: of 301 to 400 none is a minute from both.
    expect(seconds.filter((at) => at > 300)).toEqual([]);
  });

  it('of a way driven do not leave, by the speed; an unknown speed covers no way', () => {
    const trip = new Ignition();
    trip.metresPerSecond = 10;
    const { left, push } = held({ timeMs: 0, metres: 500 }, 'speed', trip);
    for (let i = 0; i <= 200; i++) push(i, i);
    trip.metresPerSecond = Number.NaN;
    for (let i = 201; i <= 400; i++) push(i, i);
    const seconds = left.map(({ timeNs }) => timeNs / S);
    expect([seconds[0], seconds.at(-1)]).toEqual([51, 150]);
  });

  it('do not leave with the end of the stream, nor while the ignition is unknown', () => {
    const trip = new Ignition();
    const { left, push, finish } = held({ timeMs: 10_000, metres: 0 }, 'speed', trip);
    for (let i = 0; i <= 15; i++) push(i, i);
    finish();
    expect(left.map(({ timeNs }) => timeNs / S)).toEqual([]);
    trip.on = false;
    for (let i = 16; i <= 100; i++) push(i, i);
    expect(left).toEqual([]);
  });

  it('are not given away by one wrong position', () => {
    const { left, push } = held({ timeMs: 0, metres: 100 }, 'position', new Ignition());
    for (let i = 0; i < 40; i++) push(i, 520_000_000 + i * 1000, 130_000_000);
    const before = left.length;
    // Somewhere else, and "no fix" as 0, 0.
    for (let i = 40; i < 50; i++) push(i, i % 2 === 0 ? 0 : 530_000_000, i % 2 === 0 ? 0 : 130_000_000);
    expect(left.length).toBe(before);
  });

  it('cost the oldest samples where a stand lasts longer than the ring: it is bounded', () => {
    const { left, push } = held({ timeMs: 0, metres: 100 }, 'position', new Ignition());
    let seconds = 0;
    const drive = (metres: number) => {
      for (let i = 0; i < metres / 10; i++) {
        at += 900;
        push(seconds++, at, 130_000_000);
      }
    };
    let at = 520_000_000;
    drive(300);
    for (let i = 0; i < 20_000; i++) push(seconds++, at, 130_000_000);
    drive(400);
    const stood = left.filter(({ cells }) => cells[0] === at - 36_000).length;
    expect(stood).toBeLessThan(16_385);
    expect(stood).toBeGreaterThan(10_000);
  });
});
