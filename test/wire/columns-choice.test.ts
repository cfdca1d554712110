import { describe, expect, it } from 'vitest';
import { BitCoder } from '#wire/columns/coder';
import { ColumnCodec } from '#wire/columns/column';
import { HEAD_SLOTS, startHead } from '#wire/columns/head';
import { COLUMN_COUNTERS } from '#wire/columns/record';
import { NODES } from '#wire/columns/residuals';

/** What the codec keeps to itself: which form it takes, and by which plan. */
interface Inside {
  choose: (values: Int32Array, rows: number, count: number, present: Uint8Array | null) => number;
  readonly plan: { reference: number; predictor: number; level: number };
  readonly ramp: { step: number };
}

const ROWS = [50, 500];
const FORMS = { predicted: 0, constant: 1, dictionary: 2, packed: 3 } as const;
const coder = new BitCoder(COLUMN_COUNTERS, NODES, HEAD_SLOTS);

/** Bytes of 20 equal columns, so that the end of a record does not hide what one of them costs. */
function bytes(values: readonly number[], act: (inside: Inside) => void): number {
  const times = Int32Array.from(values, (_, i) => 20 * i);
  const codec = new ColumnCodec(coder, [{ rows: values.length, times, errors: new Int32Array(values.length) }]);
  act(codec as unknown as Inside);
  coder.startWriting(new Uint8Array(1 << 20));
  startHead(coder);
  codec.startRecord();
  for (let copy = 0; copy < COPIES; copy++) {
    codec.startGroup(0, values.length);
    const column = codec.next(values.length);
    values.forEach((value, i) => {
      column.values[i] = value;
    });
    codec.code(column, values.length, values.length, null);
  }
  return coder.finish() / COPIES;
}
const COPIES = 20;

const own = (inside: Inside): void => {
  const { choose } = inside;
  inside.choose = (...args) => {
    const form = choose.apply(inside, args);
    // A copy would always be the cheapest reference: each column stands for itself here.
    if (inside.plan.reference !== 0) {
      const copy = [...args] as Parameters<Inside['choose']>;
      (inside as unknown as { earlier: unknown[] }).earlier.length = 0;
      return choose.apply(inside, copy);
    }
    return form;
  };
};
const forced =
  (form: number, predictor = 0, level = 0) =>
  (inside: Inside): void => {
    inside.choose = () => {
      Object.assign(inside.plan, { reference: 0, predictor, level });
      inside.ramp.step = 0;
      return form;
    };
  };

let state = 7;
const dice = () => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
  return (state >>> 0) / 2 ** 32;
};
const make = (rows: number, next: (i: number) => number) => Array.from({ length: rows }, (_, i) => Math.round(next(i)));
const normal = () => dice() + dice() + dice() + dice() - 2;

/** Signals as buses have them. */
const SIGNALS: readonly [string, (rows: number) => number[]][] = [
  ['a slow walk', (rows) => { let v = 500; return make(rows, () => (v += normal())); }],
  ['a fast walk', (rows) => { let v = 500; return make(rows, () => (v += normal() * 30)); }],
  ['a straight line', (rows) => make(rows, (i) => 3 * i)],
  ['a curve', (rows) => make(rows, (i) => 4000 * Math.sin(i / 20))],
  ['noise around a mean', (rows) => make(rows, () => 300 + normal() * 6)],
  ['white noise of eight bits', (rows) => make(rows, () => dice() * 255)],
  ['white noise of sixteen bits', (rows) => make(rows, () => dice() * 65_535)],
  ['two states', (rows) => make(rows, (i) => (Math.floor(i / 9) % 2) * 200)],
  ['five states far apart', (rows) => make(rows, () => [0, 9000, -70, 40_000, 333][Math.floor(dice() * 5)]!)],
  ['long holds', (rows) => make(rows, (i) => 77 * Math.floor(i / 23))],
  ['a trembling level', (rows) => make(rows, () => 80 + (dice() < 0.3 ? 1 : 0))],
]; // biome-ignore format: a table

describe.each(ROWS)('the form that is chosen for %i rows', (rows) => {
  it.each(SIGNALS)('of %s costs at most a tenth or a byte more than the cheapest of all', (_what, signal) => {
    const values = signal(rows);
    const chosen = bytes(values, own);
    const all: number[] = [];
    for (let predictor = 0; predictor < 4; predictor++)
      for (let level = 0; level < 8; level++) all.push(bytes(values, forced(FORMS.predicted, predictor, level)));
    if (new Set(values).size <= 16 && new Set(values).size > 1) all.push(bytes(values, forced(FORMS.dictionary)));
    all.push(bytes(values, forced(FORMS.packed)));
    expect(chosen).toBeLessThanOrEqual(Math.max(1.1 * Math.min(...all), Math.min(...all) + 1));
  });
});
