import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createRecordDecoder,
  createRecordEncoder,
  decodeRecord,
  encodeRecord,
  MAX_RECORD_BYTES,
  MAX_ROWS,
} from '#wire/columns/index';
import type { ColumnType, Schema, SchemaColumn, Table, TableColumn } from '#wire/schema';

const HASH = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

function column(type: ColumnType, signed = true): SchemaColumn {
  return { signal: 'dbc:M.S', result: 'raw', unit: '', f: 1, o: 0, factor: 1, offset: 0, type, signed };
}

function schema(...groups: ColumnType[][]): Schema {
  return {
    agreement: { uid: 'urn:uuid:00000000-0000-4000-8000-000000000001', hash: new Uint8Array(32) },
    bootId: new Uint8Array(8),
    utcOffsetMs: null,
    utcErrorMs: null,
    utcSource: 'log',
    groups: groups.map((types) => ({ windowMs: 0, columns: types.map((type) => column(type)) })),
  };
}

const cells = (values: readonly number[], present: readonly number[] | null = null): TableColumn => ({
  values: Float64Array.from(values),
  present: present === null ? null : Uint8Array.from(present),
});

const table = (timesMs: readonly number[], ...columns: TableColumn[]): Table => ({
  rows: timesMs.length,
  timesMs: Float64Array.from(timesMs),
  columns,
});

const steps = (count: number, make: (i: number) => number): number[] =>
  Array.from({ length: count }, (_, i) => make(i));

/** What must come back: absent cells are 0, a presence that is all ones is null, a NaN is a NaN. */
function expectSame(got: readonly Table[], put: readonly Table[]): void {
  expect(got.length).toBe(put.length);
  put.forEach(({ rows, timesMs, columns }, g) => {
    const there = got[g]!;
    expect(there.rows).toBe(rows);
    expect(there.timesMs).toEqual(timesMs.slice(0, rows));
    columns.forEach(({ values, low, present }, c) => {
      const back = there.columns[c]!;
      const gaps = present?.slice(0, rows).includes(0) === true ? present.slice(0, rows) : null;
      expect(back.present).toEqual(gaps);
      const kept = (cell: number, i: number): number => (gaps !== null && gaps[i] === 0 ? 0 : cell);
      expect(Object.is(back.values.length, rows)).toBe(true);
      for (let i = 0; i < rows; i++) {
        if (!Object.is(back.values[i], kept(values[i]!, i))) throw new Error(`group ${g} column ${c} row ${i} differs`);
      }
      if (low !== undefined) expect(back.low).toEqual(low.slice(0, rows).map(kept));
    });
  });
}

function roundTrip(form: Schema, t0Ms: number, tables: readonly Table[]): Uint8Array {
  const bytes = encodeRecord(form, HASH, t0Ms, tables);
  const record = decodeRecord(form, bytes);
  expect(record.t0Ms).toBe(t0Ms);
  expect(record.schemaHash8).toEqual(HASH);
  expectSame(record.tables, tables);
  return bytes;
}

const float32 = fc.float().map((value) => Math.fround(value));
const CELL: Record<ColumnType, fc.Arbitrary<number>> = {
  int: fc.oneof(
    fc.integer({ min: -3, max: 3 }),
    fc.integer({ min: 0, max: 65_535 }),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.constantFrom(2 ** 27, 2 ** 27 - 1, -(2 ** 27), -(2 ** 27) - 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER),
  ),
  wide: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  float32: fc.oneof(
    float32,
    fc.integer({ min: -9, max: 9 }),
    fc.constantFrom(-0, Number.NaN, Number.POSITIVE_INFINITY),
  ),
  float64: fc.oneof(
    fc.double(),
    fc.tuple(fc.integer(), fc.integer({ min: 1, max: 1100 })).map(([p, q]) => p / q),
    fc.constantFrom(-0, 0, Number.NaN, Number.NEGATIVE_INFINITY, Number.MIN_VALUE, Number.MAX_VALUE),
  ),
};

/** Columns that repeat, count, wander or jump, as buses have them, beside what is merely random. */
function valuesOf(type: ColumnType, rows: number): fc.Arbitrary<number[]> {
  const free = fc.array(CELL[type], { minLength: rows, maxLength: rows });
  const few = fc.uniqueArray(CELL[type], { minLength: 1, maxLength: 17 }).chain((words) => {
    return fc.array(fc.constantFrom(...words), { minLength: rows, maxLength: rows });
  });
  if (type !== 'int') return fc.oneof(free, few);
  const walk = fc
    .tuple(
      fc.integer({ min: -1000, max: 1000 }),
      fc.array(fc.integer({ min: -9, max: 9 }), { minLength: rows, maxLength: rows }),
    )
    .map(([start, moves]) => {
      let value = start;
      return moves.map((move) => {
        value += move;
        return value;
      });
    });
  const counting = fc.integer({ min: 2, max: 300 }).map((modulus) => steps(rows, (i) => i % modulus));
  return fc.oneof(free, few, walk, counting);
}

function columnOf(type: ColumnType, rows: number): fc.Arbitrary<TableColumn> {
  const presence = fc.option(fc.array(fc.constantFrom(0, 1, 1), { minLength: rows, maxLength: rows }));
  const low = fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: rows, maxLength: rows });
  return fc.tuple(valuesOf(type, rows), presence, low).map(([values, present, words]) => {
    const one = cells(values, present);
    return type === 'wide' ? { ...one, low: Float64Array.from(words) } : one;
  });
}

function tableOf(types: readonly ColumnType[], t0Ms: number): fc.Arbitrary<Table> {
  const gap = fc.oneof(fc.constantFrom(10, 20, 20, 21), fc.integer({ min: 0, max: 100_000 }));
  return fc.array(gap, { maxLength: 40 }).chain((gaps) => {
    let time = t0Ms;
    const times = gaps.map((one) => {
      time += one;
      return time;
    });
    return fc
      .tuple(...types.map((type) => columnOf(type, times.length)))
      .map((columns): Table => table(times, ...columns));
  });
}

const anyTypes = fc.array(
  fc.array(fc.constantFrom<ColumnType>('int', 'int', 'wide', 'float32', 'float64'), { maxLength: 4 }),
  {
    maxLength: 4,
  },
);

describe('a record', () => {
  it('gives back every table that a schema allows, to the bit', () => {
    const any = anyTypes.chain((types) =>
      fc
        .tuple(fc.integer({ min: 0, max: 2 ** 43 }), fc.constant(schema(...types)))
        .chain(([t0, form]) =>
          fc.tuple(fc.constant(form), fc.constant(t0), fc.tuple(...types.map((one) => tableOf(one, t0)))),
        ),
    );
    fc.assert(
      fc.property(any, ([form, t0, tables]) => {
        roundTrip(form, t0, tables);
      }),
      { numRuns: 400, seed: 20_261 },
    );
  });

  it('is the same bytes from the same tables, whatever the encoder wrote before', () => {
    const form = schema(['int', 'float64'], ['int']);
    const encoder = createRecordEncoder(form);
    const make = (shift: number): Table[] => [
      table(
        steps(50, (i) => i * 20),
        cells(steps(50, (i) => (i * i + shift) % 97)),
        cells(steps(50, (i) => i / 3 + shift)),
      ),
      table(
        steps(10, (i) => i * 100),
        cells(steps(10, (i) => i + shift)),
      ),
    ];
    const alone = encodeRecord(form, HASH, 0, make(3));
    encoder.encode(HASH, 0, make(1));
    encoder.encode(HASH, 0, make(2));
    expect(encoder.encode(HASH, 0, make(3))).toEqual(alone);
  });

  it('is these bytes, as long as the format and its trained tables stand', () => {
    const times = [60_003, 60_013, 60_024, 60_033, 60_043];
    const put = [
      table(times, cells([500, 503, 505, 508, 512]), cells([2.5, 0, 1 / 3, 2, 0.1], [1, 0, 1, 1, 1])),
      table([60_500], { ...cells([-2]), low: Float64Array.of(7) }),
    ];
    const bytes = roundTrip(schema(['int', 'float64'], ['wide']), 60_000, put);
    expect(Buffer.from(bytes).toString('hex')).toBe(
      '840148010203040506070819ea60581ccd2fa1a10162178920a17c37cb00d189e7a001c8e3b682034db7d175',
    );
  });

  it('keeps counters whatever they count by, where they start again and where a frame is lost', () => {
    const counted = (count: number, first: number, step: number, modulus: number) =>
      steps(count, (i) => (first + i * step) % modulus);
    const columns = [
      counted(60, 3, 1, 16),
      counted(60, 14, 1, 15),
      counted(60, 250, 1, 256),
      counted(60, 0, 7, 65_536),
      counted(60, 9, 2, 3 * 2 ** 20),
      counted(60, 2 ** 27 - 61, 1, 2 ** 27),
      counted(60, 2 ** 27 - 30, 1, 2 ** 27),
      counted(60, 2 ** 27 - 59, 1, 2 ** 28),
      counted(60, 0, 15, 16),
      counted(60, 1, 1, 2),
      steps(60, (i) => (i < 30 ? i : i + 1) % 16),
      steps(60, (i) => (i % 16 === 7 ? 0 : i % 16)),
      steps(60, (i) => -1 - i),
    ];
    const times = steps(60, (i) => 20 * i);
    for (const values of columns) roundTrip(schema(['int']), 0, [table(times, cells(values))]);
    const gaps = steps(60, (i) => (i % 7 === 0 ? 0 : 1));
    let at = 0;
    const present = gaps.map((there) => (there === 1 ? at++ % 16 : 0));
    roundTrip(schema(['int']), 0, [table(times, cells(present, gaps))]);
    const any = fc.tuple(fc.nat(300), fc.integer({ min: 1, max: 300 }), fc.integer({ min: 2, max: 300 }), fc.nat(40));
    fc.assert(
      fc.property(any, ([first, step, modulus, count]) => {
        const values = counted(count, first, step, modulus);
        roundTrip(schema(['int']), 0, [
          table(
            steps(count, (i) => i),
            cells(values),
          ),
        ]);
      }),
      { seed: 15 },
    );
  });

  it('keeps floats that move smoothly, in less than half of their bytes, wherever they lie', () => {
    const single = (values: number[]) => values.map(Math.fround);
    const sine = (scale: number, about: number) => steps(100, (i) => about + scale * Math.sin(i / 15));
    const position = steps(100, (i) => 48.1371 + i * 1.3e-7);
    const size = (type: 'float32' | 'float64', values: number[]) =>
      roundTrip(schema([type]), 0, [
        table(
          steps(values.length, (i) => 10 * i),
          cells(values),
        ),
      ]).length;
    expect(size('float64', position)).toBeLessThan(100 * 4);
    expect(size('float32', single(sine(0.02, 0.25)))).toBeLessThan(100 * 2.2);
    for (const scale of [1e-300, 1, 1e300]) {
      size('float64', sine(scale, 0));
      size('float64', sine(scale, -3 * scale));
    }
    for (const scale of [1e-38, 1e-44, 1, 1e38]) {
      size('float32', single(sine(scale, 0)));
      size('float32', single(sine(scale, -2 * scale)));
    }
    size('float64', [0, -0, 5e-324, -5e-324, 0]);
    size('float64', [Number.MAX_VALUE, Number.POSITIVE_INFINITY, Number.MAX_VALUE]);
    // Neighbours in order whose low words carry, and values as far apart as a difference may be.
    const bits = (high: number, low: number) => {
      const view = new DataView(new ArrayBuffer(8));
      view.setUint32(0, high);
      view.setUint32(4, low);
      return view.getFloat64(0);
    };
    size(
      'float64',
      steps(60, (i) => bits(0x4048_0000 + (i >> 1), i % 2 === 0 ? 0xffff_ffff : 1)),
    );
    size(
      'float64',
      steps(60, (i) => (i % 2 === 0 ? bits(0x4000_0000, 1) : bits(0x401f_ffff, 0xffff_ffff))),
    );
    size(
      'float64',
      steps(60, (i) => (i % 2 === 0 ? bits(0x4000_0000, 0) : bits(0x4020_0000, 0))),
    );
    size(
      'float64',
      steps(60, (i) => bits(0xc000_0000 + i, 0xffff_fff0 + (i % 16))),
    );
  });

  it('writes an alive counter of a second in at most three bytes', () => {
    const times = steps(100, (i) => 10 * i);
    const size = (...columns: number[][]) =>
      encodeRecord(schema(columns.map(() => 'int' as const)), HASH, 0, [
        table(times, ...columns.map((one) => cells(one))),
      ]).length;
    for (const modulus of [4, 15, 16, 256]) {
      const values = steps(100, (i) => (i + 3) % modulus);
      expect(size(values) - size(), `${modulus}`).toBeLessThanOrEqual(3);
    }
  });

  it('tells times to 100 µs where its schema does', () => {
    const fine = (...types: ColumnType[][]): Schema => ({
      ...schema(...types),
      timing: { ticksPerMs: 10, baseMs: 0, stepMs: 0 },
    });
    // Each is the double nearest to its decimal text.
    const late = 90_071_992_547_409.1;
    roundTrip(fine(['int'], []), 60_000, [
      table([60_003.1, 60_013.1, 60_023.2, 60_033, 60_043.9], cells([1, 2, 3, 4, 5])),
      table([60_000.1, 60_003.3, 60_003.3]),
    ]);
    roundTrip(fine([]), 90_071_992_547_409, [table([late, late + 0.9])]);
    const tenths = fc.array(fc.integer({ min: 0, max: 40_000 }), { maxLength: 60 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 }), tenths, (t0Ms, ticks) => {
        const times = ticks.sort((a, b) => a - b).map((tick) => (t0Ms * 10 + tick) / 10);
        roundTrip(fine([]), t0Ms, [table(times)]);
      }),
      { seed: 100 },
    );
    expect(() => encodeRecord(fine([]), HASH, 0, [table([0.05])])).toThrow(
      expect.objectContaining({ code: 'TG_WIRE_RECORD_VALUE' }),
    );
  });

  it('keeps the bits of a clock at 100 µs that it keeps at 1 ms: a finer tick costs little where the clock is exact', () => {
    const times = steps(100, (i) => i * 20);
    const coarse = encodeRecord(schema([]), HASH, 0, [table(times)]);
    const fine = encodeRecord({ ...schema([]), timing: { ticksPerMs: 10, baseMs: 0, stepMs: 0 } }, HASH, 0, [
      table(times),
    ]);
    expect(fine.length - coarse.length).toBeLessThanOrEqual(2);
  });

  it('keeps times at the ends of what a record spans', () => {
    const far = 2 ** 28;
    roundTrip(schema([]), far, [table([0, 0, far, 2 * far])]);
    roundTrip(schema([], []), far, [table([0, 2 * far]), table([0, 1, far, 2 * far, 2 * far])]);
  });

  it('leaves the tables that it is given as they were', () => {
    const put = [table([0, 5, 9], cells([1.5, Number.NaN, 7], [1, 0, 1]))];
    const copy = structuredClone(put);
    encodeRecord(schema(['float64']), HASH, 0, put);
    expect(put).toEqual(copy);
  });

  it('keeps −0, NaN and infinities of floats', () => {
    const odd = [-0, 0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** -149];
    roundTrip(schema(['float32', 'float64']), 0, [
      table(
        steps(6, (i) => i),
        cells(odd),
        cells(odd),
      ),
    ]);
  });

  it('takes tables whose arrays are longer than their rows', () => {
    const long = { rows: 2, timesMs: Float64Array.of(1, 2, 0, 0), columns: [cells([4, 5, 6, 7], [1, 1, 0, 0])] };
    const { tables, samples } = decodeRecord(schema(['int']), encodeRecord(schema(['int']), HASH, 0, [long]));
    expect(samples).toBe(2);
    expectSame(tables, [long]);
  });

  it('counts the values that are present', () => {
    const put = [table([0, 1, 2], cells([1, 2, 3], [1, 0, 0]), cells([1, 1, 1])), table([], cells([]))];
    const form = schema(['int', 'int'], ['int']);
    expect(decodeRecord(form, encodeRecord(form, HASH, 0, put)).samples).toBe(4);
  });

  it('keeps rows that came before its start, and windows that begin there', () => {
    roundTrip(schema(['int']), 10_000, [table([9000, 10_000, 11_000], cells([1, 2, 3]))]);
  });

  it('holds the largest table that fits', () => {
    const rows = MAX_ROWS;
    const put = table(
      steps(rows, (i) => i * 10),
      cells(steps(rows, (i) => i % 1000)),
    );
    const bytes = roundTrip(schema(['int']), 0, [put]);
    expect(bytes.length).toBeLessThan(MAX_RECORD_BYTES);
  });
});

describe('the size of a record', () => {
  const size = (form: Schema, ...tables: Table[]): number => roundTrip(form, 0, tables).length;
  const clock = steps(1000, (i) => i * 10);
  /** Around the columns stand the version, the hash, the time, two lengths. */
  const FRAME = 18;

  it('is a handful of bytes for constants on a steady clock', () => {
    expect(
      size(
        schema(['int', 'int', 'float64']),
        table(clock, cells(clock.map(() => 7)), cells(clock.map(() => -40_000)), cells(clock.map(() => 0.5))),
      ),
    ).toBeLessThan(FRAME + 24);
  });

  it('is as small for what grows steadily', () => {
    expect(size(schema(['int']), table(clock, cells(clock.map((t) => 3 * t + 5))))).toBeLessThan(FRAME + 20);
  });

  it('does not grow with the distance between two values that alternate', () => {
    const far = size(schema(['int']), table(clock, cells(clock.map((t) => (t % 30 === 0 ? 65_535 : 1)))));
    expect(far).toBeLessThan(FRAME + 45);
  });

  it('does not pay again and again for a counter that wraps', () => {
    expect(size(schema(['int']), table(clock, cells(steps(1000, (i) => i % 16))))).toBeLessThan(FRAME + 75);
  });

  it('is about the width of the range for what nothing predicts', () => {
    let state = 1;
    const noise = clock.map(() => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 22;
    });
    expect(size(schema(['int']), table(clock, cells(noise)))).toBeLessThan(FRAME + 20 + (1000 * 10) / 8);
  });

  it('is that of one column where a second differs from it by a constant', () => {
    let state = 1;
    const wild = clock.map(() => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 20;
    });
    const one = size(schema(['int']), table(clock, cells(wild)));
    const two = size(schema(['int'], ['int']), table(clock, cells(wild)), table(clock, cells(wild.map((v) => v + 9))));
    expect(two).toBeLessThan(one + 24);
  });

  it('is that of sums and counts for means', () => {
    const means = steps(60, (i) => (30_000 + ((i * 7919) % 3000)) / 50);
    expect(
      size(
        schema(['float64']),
        table(
          steps(60, (i) => i * 1000),
          cells(means),
        ),
      ),
    ).toBeLessThan(FRAME + 130);
  });
});

describe('an encoder that is given what no column can hold', () => {
  const one = (type: ColumnType, value: number): (() => Uint8Array) => {
    return () => encodeRecord(schema([type]), HASH, 0, [table([0], cells([value]))]);
  };

  it.each([
    ['a fraction in whole numbers', one('int', 0.5)],
    ['a whole number of 54 bits', one('int', 2 ** 53)],
    ['a NaN in whole numbers', one('int', Number.NaN)],
    ['a double in float32', one('float32', 0.1)],
    ['a wide column without low words', one('wide', 1)],
    ['fewer columns than the schema', () => encodeRecord(schema(['int']), HASH, 0, [table([0])])],
    ['fewer groups than the schema', () => encodeRecord(schema(['int']), HASH, 0, [])],
    ['a time between two ms', () => encodeRecord(schema([]), HASH, 0, [table([0.5])])],
    ['times that run backwards', () => encodeRecord(schema([]), HASH, 0, [table([2, 1])])],
    ['a start between two ms', () => encodeRecord(schema([]), HASH, 0.5, [table([1])])],
    ['a start before zero', () => encodeRecord(schema([]), HASH, -1, [table([1])])],
    ['a hash of another length', () => encodeRecord(schema([]), new Uint8Array(7), 0, [table([1])])],
  ])('refuses %s', (_, act) => {
    expect(act).toThrow(expect.objectContaining({ code: 'TG_WIRE_RECORD_VALUE' }));
  });

  it('takes nothing of an absent cell', () => {
    roundTrip(schema(['int', 'float32']), 0, [table([0, 1], cells([1, 2.5], [1, 0]), cells([0.1, 2], [0, 1]))]);
  });

  it('asks for shorter records where one would be too long', () => {
    const rows = MAX_ROWS + 1;
    const long = table(
      steps(rows, (i) => i),
      cells(steps(rows, () => 0)),
    );
    expect(() => encodeRecord(schema(['int']), HASH, 0, [long])).toThrow(
      expect.objectContaining({ code: 'TG_WIRE_RECORD_TOO_LARGE' }),
    );
    const wild = steps(40_000, (i) => Math.sin(i * i));
    const heavy = table(
      steps(40_000, (i) => i),
      cells(wild),
    );
    expect(() => encodeRecord(schema(['float64']), HASH, 0, [heavy])).toThrow(
      expect.objectContaining({ code: 'TG_WIRE_RECORD_TOO_LARGE' }),
    );
  });
});

describe('two streams', () => {
  it('may write and read in turns', () => {
    const forms = [schema(['int']), schema(['float64', 'int'])];
    const puts = [
      [table([0, 20, 40], cells([1, 5, 2]))],
      [table([0, 10, 20], cells([0.1, 0.2, 0.7]), cells([7, 7, 8]))],
    ];
    const encoders = forms.map((form) => createRecordEncoder(form));
    const decoders = forms.map((form) => createRecordDecoder(form));
    for (let round = 0; round < 3; round++) {
      const bytes = encoders.map((encoder, i) => encoder.encode(HASH, 0, puts[i]!));
      bytes.forEach((one, i) => {
        expectSame(decoders[i]!.decode(one).tables, puts[i]!);
      });
    }
  });
});
