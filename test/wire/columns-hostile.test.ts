import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { decodeRecord, encodeRecord, MAX_CELLS, MAX_RECORD_BYTES } from '#wire/columns/index';
import type { ColumnType, Schema, Table } from '#wire/schema';

const TYPES: ColumnType[][] = [['int', 'int', 'wide'], ['float64', 'float32', 'int'], ['int']];

const schema: Schema = {
  agreement: { uid: 'urn:uuid:00000000-0000-4000-8000-000000000001', hash: new Uint8Array(32) },
  bootId: new Uint8Array(8),
  utcOffsetMs: null,
  utcErrorMs: null,
  utcSource: 'log',
  groups: TYPES.map((types) => ({
    windowMs: 0,
    columns: types.map((type) => ({
      signal: 'dbc:M.S',
      result: 'raw',
      unit: '',
      f: 1,
      o: 0,
      factor: 1,
      offset: 0,
      type,
      signed: false,
    })),
  })),
};

/** xorshift32. */
function dice(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

function sample(roll: (below: number) => number): Uint8Array {
  const tables = TYPES.map((types): Table => {
    const rows = roll(30);
    let time = 1000;
    return {
      rows,
      timesMs: Float64Array.from({ length: rows }, () => {
        time += roll(4) === 0 ? 21 : 20;
        return time;
      }),
      columns: types.map((type) => ({
        values: Float64Array.from({ length: rows }, (_, i) => (type === 'float64' ? Math.fround(i / 7) : i + roll(3))),
        ...(type === 'wide' ? { low: Float64Array.from({ length: rows }, () => roll(2 ** 31)) } : {}),
        present: roll(3) === 0 ? Uint8Array.from({ length: rows }, () => (roll(4) === 0 ? 0 : 1)) : null,
      })),
    };
  });
  return encodeRecord(schema, new Uint8Array(8), 1000, tables.map(withFloat32));
}

/** Column 1 of group 1 must hold float32 values. */
function withFloat32(table: Table, g: number): Table {
  if (g !== 1) return table;
  return {
    ...table,
    columns: table.columns.map((c, i) => (i === 1 ? { ...c, values: c.values.map(Math.fround) } : c)),
  };
}

/** Opens bytes of a stranger: either tables of bounded size or an error of ours. */
function open(bytes: Uint8Array): 'opened' | 'refused' {
  try {
    const { tables, samples } = decodeRecord(schema, bytes);
    expect(tables.reduce((sum, { rows, columns }) => sum + rows * (columns.length + 1), 0)).toBeLessThanOrEqual(
      MAX_CELLS,
    );
    expect(samples).toBeLessThanOrEqual(MAX_CELLS);
    return 'opened';
  } catch (error) {
    if (!(error instanceof TollgateError)) throw error;
    expect(error.code).toMatch(/^TG_WIRE_RECORD_(MALFORMED|TOO_LARGE)$/);
    return 'refused';
  }
}

describe('a reader of records', () => {
  it('answers every changed byte with tables or an error of ours', () => {
    const roll = dice(7);
    const until = performance.now() + 3000;
    let refused = 0;
    for (let n = 0; n < 4000 && performance.now() < until; n++) {
      const bytes = sample(roll);
      for (let k = roll(3); k >= 0; k--) bytes[roll(bytes.length)] = roll(256);
      if (open(bytes) === 'refused') refused++;
    }
    expect(refused).toBeGreaterThan(100);
  });

  it('refuses a record cut short anywhere, and one with bytes behind it', () => {
    const bytes = sample(dice(3));
    for (let length = 0; length < bytes.length; length++) expect(open(bytes.subarray(0, length))).toBe('refused');
    expect(open(Uint8Array.of(...bytes, 0))).toBe('refused');
  });

  it('refuses columns with a zero added at their end, which would decode the same', () => {
    const bytes = encodeRecord(
      schema,
      new Uint8Array(8),
      0,
      TYPES.map((types) => empty(types.length)),
    );
    expect(open(bytes)).toBe('opened');
    const roll = dice(11);
    const whole = sample(roll);
    // Array head, version, hash, time: the length of the columns stands at 14 or 15.
    const at = whole.indexOf(0x58, 11);
    expect(at).toBeGreaterThan(0);
    const length = whole[at + 1]!;
    const cut = (columns: Uint8Array): Uint8Array =>
      Uint8Array.of(...whole.subarray(0, at + 1), columns.length, ...columns, ...whole.subarray(at + 2 + length));
    const columns = whole.subarray(at + 2, at + 2 + length);
    expect(open(cut(columns))).toBe('opened');
    expect(open(cut(Uint8Array.of(...columns, 0)))).toBe('refused');
  });

  it('survives random columns of every length', () => {
    const roll = dice(99);
    const until = performance.now() + 1500;
    for (let n = 0; n < 1500 && performance.now() < until; n++) {
      const columns = Uint8Array.from({ length: roll(200) }, () => (roll(3) === 0 ? 255 * roll(2) : roll(256)));
      open(short(columns));
    }
  });

  it('unfolds all zeros and all ones only as far as a record goes', () => {
    for (const byte of [0, 255]) open(short(new Uint8Array(200).fill(byte)));
    const large = new Uint8Array(MAX_RECORD_BYTES).fill(255);
    const head = Buffer.from('8501480000000000000000005a00020000', 'hex');
    open(Uint8Array.from([...head, ...large, 1]));
  });

  it.each([
    ['another version', '850248000000000000000000401801'],
    ['a hash of seven bytes', '850147000000000000000040 00'],
    ['a number in a longer form than it needs', '850148000000000000000018004000'],
    ['an indefinite array', '9f014800000000000000000040'],
    ['an array of six', '86014800000000000000000040000000'],
    ['a length beyond the end', '8501480000000000000000005bffffffffffffffff00'],
    ['a text for the columns', '850148000000000000000000600000'],
  ])('refuses %s', (_, hex) => {
    expect(open(Buffer.from(hex.replace(' ', ''), 'hex'))).toBe('refused');
  });
});

const empty = (columns: number): Table => ({
  rows: 0,
  timesMs: new Float64Array(0),
  columns: Array.from({ length: columns }, () => ({ values: new Float64Array(0), present: null })),
});

/** Random columns of up to 255 bytes in a frame that is right. */
function short(columns: Uint8Array): Uint8Array {
  const length = columns.length < 24 ? [0x40 | columns.length] : [0x58, columns.length];
  return Uint8Array.of(0x85, 1, 0x48, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...length, ...columns, 1);
}
