import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { CAN_EFF_FLAG, CAN_ERR_FLAG, CAN_RTR_FLAG, type SignalInfo } from '#contracts';
import type { Database } from '#dbc/model';
import {
  createDecoder,
  createInterpreter,
  type Decoder,
  idWord,
  isShort,
  messageOf,
  physical,
  rawBigInt,
  signalInfos,
} from '#decoders';
import { batchOf, database, databases, message, numbersAt, signal, type TestFrame } from './databases.ts';

/** Rows as objects: only for tests. */
function rowsOf(decoder: Decoder, frames: readonly TestFrame[], fd?: boolean) {
  const { f64, u32, bytes, ...counts } = decoder.decode(fd === undefined ? batchOf(frames) : batchOf(frames, fd));
  const rows: { message: string; short: boolean; time: number; values: Record<string, number | bigint> }[] = [];
  for (let at = 0; at < bytes; ) {
    const layout = decoder.layout.messages[messageOf(u32, at)]!;
    const values: Record<string, number | bigint> = {};
    for (const cell of layout.signals) {
      const numbers = numbersAt(u32, at, layout, cell);
      if (numbers === null) continue;
      const { signal: info } = cell;
      values[info.signal] = info.type === 'wide' ? rawBigInt(info, ...numbers) : physical(info, ...numbers);
    }
    rows.push({ message: layout.name, short: isShort(u32, at), time: f64[at / 8]!, values });
    at += layout.rowBytes;
  }
  return { rows, counts };
}

function decoderOf(db: Database, signals: readonly SignalInfo[] = signalInfos(db)): Decoder {
  return createDecoder({ channel: 0, database: db, signals });
}

const only = (db: Database, ...names: string[]) => signalInfos(db).filter((info) => names.includes(info.signal));

describe('a decoded frame', () => {
  it('gives Intel and Motorola, signed and unsigned signals', () => {
    const db = database(
      message({
        name: 'Mix',
        signals: [
          signal({ name: 'intel', start: 0, length: 12 }),
          signal({ name: 'intelSigned', start: 12, length: 12, signed: true }),
          signal({ name: 'motorola', start: 31, length: 16, byteOrder: 'motorola', factor: 0.1, offset: -40 }),
          signal({ name: 'motorolaSigned', start: 44, length: 5, byteOrder: 'motorola', signed: true }),
        ],
      }),
    );
    const data = [0x34, 0xf2, 0xff, 0x01, 0xf4, 0x1f, 0, 0];
    expect(rowsOf(decoderOf(db), [{ id: 0x100, data, time: 5_000_000 }]).rows).toEqual([
      {
        message: 'Mix',
        short: false,
        time: 5_000_000,
        values: { intel: 0x234, intelSigned: -1, motorola: 500 * 0.1 - 40, motorolaSigned: -1 },
      },
    ]);
  });

  it('keeps all bits of integers that a double cannot hold', () => {
    const db = database(
      message({
        name: 'Wide',
        signals: [signal({ name: 'u', length: 64 }), signal({ name: 'i', length: 64, signed: true })],
      }),
    );
    const data = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    expect(rowsOf(decoderOf(db), [{ id: 0x100, data }]).rows[0]!.values).toEqual({ u: 2n ** 64n - 2n, i: -2n });
  });

  it('gives float signals as their value', () => {
    const db = database(
      message({
        name: 'Float',
        length: 12,
        signals: [
          signal({ name: 'f', length: 32, valueType: 'float32', signed: true, factor: 2 }),
          signal({ name: 'd', start: 39, length: 64, valueType: 'float64', byteOrder: 'motorola' }),
        ],
      }),
    );
    const data = new Uint8Array(12);
    const view = new DataView(data.buffer);
    view.setFloat32(0, -1.5, true);
    view.setFloat64(4, Math.PI);
    expect(rowsOf(decoderOf(db), [{ id: 0x100, data }]).rows[0]!.values).toEqual({ f: -3, d: Math.PI });
  });
});

describe('a multiplexed message', () => {
  const db = database(
    message({
      name: 'Mux',
      signals: [
        signal({ name: 'selector', length: 4, isMultiplexer: true }),
        signal({ name: 'always', start: 56 }),
        signal({ name: 'one', start: 8, multiplexer: 'selector', multiplexRanges: [{ low: 1, high: 1 }] }),
        signal({
          name: 'inner',
          start: 8,
          isMultiplexer: true,
          multiplexer: 'selector',
          multiplexRanges: [
            { low: 2, high: 3 },
            { low: 7, high: 7 },
          ],
        }),
        signal({ name: 'leaf', start: 16, multiplexer: 'inner', multiplexRanges: [{ low: 5, high: 5 }] }),
      ],
    }),
  );
  const values = (decoder: Decoder, data: number[]) => rowsOf(decoder, [{ id: 0x100, data }]).rows[0]!.values;

  it('gives the signals of the branch that is on, and no others', () => {
    const decoder = decoderOf(db);
    expect(values(decoder, [1, 9, 0, 0, 0, 0, 0, 4])).toEqual({ selector: 1, always: 4, one: 9 });
    expect(values(decoder, [3, 5, 6, 0, 0, 0, 0, 4])).toEqual({ selector: 3, always: 4, inner: 5, leaf: 6 });
    expect(values(decoder, [7, 4, 6, 0, 0, 0, 0, 4])).toEqual({ selector: 7, always: 4, inner: 4 });
    expect(values(decoder, [9, 5, 6, 0, 0, 0, 0, 4])).toEqual({ selector: 9, always: 4 });
  });

  it('reads the multiplexers of a wanted signal without giving them', () => {
    const decoder = decoderOf(db, only(db, 'leaf'));
    expect(values(decoder, [2, 5, 6, 0, 0, 0, 0, 4])).toEqual({ leaf: 6 });
    expect(values(decoder, [1, 5, 6, 0, 0, 0, 0, 4])).toEqual({});
  });

  it('never shows what an earlier row left in an absent cell', () => {
    const decoder = decoderOf(db);
    const layout = decoder.layout.messages[0]!;
    decoder.decode(batchOf([{ id: 0x100, data: [1, 9, 0, 0, 0, 0, 0, 4] }]));
    const { u32 } = decoder.decode(batchOf([{ id: 0x100, data: [0, 9, 0, 0, 0, 0, 0, 4] }]));
    const { cell } = layout.signals.find(({ signal: info }) => info.signal === 'one')!;
    expect(u32[layout.firstCell / 4 + cell]).toBe(0);
  });
});

describe('ids', () => {
  const db = database(
    message({ name: 'Standard', id: 0x123, signals: [signal({ name: 'a' })] }),
    message({ name: 'Extended', id: 0x123, extended: true, signals: [signal({ name: 'b' })] }),
  );
  const data = [7, 0, 0, 0, 0, 0, 0, 0];

  it('of 11 and of 29 bits are never mixed up', () => {
    const { rows } = rowsOf(decoderOf(db), [
      { id: 0x123, data },
      { id: (0x123 | CAN_EFF_FLAG) >>> 0, data },
    ]);
    expect(rows.map(({ message: name, values }) => [name, values])).toEqual([
      ['Standard', { a: 7 }],
      ['Extended', { b: 7 }],
    ]);
  });

  it('that the plan does not know are counted, as are remote and error frames', () => {
    const frames = [
      { id: 0x124, data },
      { id: (0x123 | CAN_RTR_FLAG) >>> 0, data: [] },
      { id: (0x4 | CAN_ERR_FLAG) >>> 0, data },
      { id: 0x123, data },
      { id: 0x123, data, channel: 1 },
    ];
    expect(rowsOf(decoderOf(db), frames).counts).toEqual({ rows: 2, unknown: 1, ignored: 2, short: 0 });
  });

  it('of another channel are unknown where a batch mixes channels', () => {
    const decoder = createDecoder({ channel: 1, database: db, signals: signalInfos(db, 1), matchChannel: true });
    const { counts } = rowsOf(decoder, [
      { id: 0x123, data },
      { id: 0x123, data, channel: 1 },
    ]);
    expect(counts).toEqual({ rows: 1, unknown: 1, ignored: 0, short: 0 });
  });

  it('are found when there are more than a perfect hash holds', () => {
    const many = database(
      ...Array.from({ length: 3000 }, (_, i) =>
        message({
          name: `m${i}`,
          id: (i * i * 7919 + 31 * i) % 0x1fff_ffff,
          extended: true,
          signals: [signal({ name: 'x' })],
        }),
      ),
    );
    const frames = many.messages.map((one, i) => ({ id: idWord(one), data: [i & 255, 0, 0, 0, 0, 0, 0, 0] }));
    const { rows } = rowsOf(decoderOf(many), [...frames, { id: (5 | CAN_EFF_FLAG) >>> 0, data }]);
    expect(rows.map(({ message: name }) => name)).toEqual(many.messages.map(({ name }) => name));
    expect(rows.every(({ values }, i) => values.x === (i & 255))).toBe(true);
  });
});

describe('a short frame', () => {
  const db = database(
    message({
      name: 'Short',
      signals: [
        signal({ name: 'a' }),
        signal({ name: 'b', start: 8, length: 16 }),
        signal({ name: 'c', start: 32, length: 32 }),
      ],
    }),
  );

  it('gives the signals that fit and is marked', () => {
    const { rows, counts } = rowsOf(decoderOf(db), [{ id: 0x100, data: [1, 2, 3, 4] }]);
    expect(rows[0]).toMatchObject({ short: true, values: { a: 1, b: 0x302 } });
    expect(counts.short).toBe(1);
  });

  it('does not read what a length byte claims beyond its slot', () => {
    const wide = database(message({ name: 'Fd', length: 64, signals: [signal({ name: 'late', start: 8 * 8 })] }));
    const { rows } = rowsOf(decoderOf(wide), [
      { id: 0x100, data: [1], length: 64 },
      { id: 0x100, data: [2], length: 64 },
    ]);
    expect(rows.map(({ short, values }) => ({ short, values }))).toEqual([
      { short: true, values: {} },
      { short: true, values: {} },
    ]);
  });

  it('is decoded whole where the message is long enough but a signal lies beyond it', () => {
    const misfit = database(
      message({ name: 'Misfit', length: 2, signals: [signal({ name: 'a' }), signal({ name: 'b', start: 12 })] }),
    );
    const { rows } = rowsOf(decoderOf(misfit), [{ id: 0x100, data: [1, 2] }]);
    expect(rows[0]).toMatchObject({ short: true, values: { a: 1 } });
    expect(rowsOf(decoderOf(misfit, only(misfit, 'a')), [{ id: 0x100, data: [1, 2] }]).rows[0]).toMatchObject({
      short: false,
    });
  });
});

describe('a batch', () => {
  const db = database(message({ name: 'M', signals: [signal({ name: 'a', length: 16 })] }));
  const frames = Array.from({ length: 100 }, (_, i) => ({
    id: i % 3 === 0 ? 0x7 : 0x100,
    data: [i, 1, 0, 0, 0, 0, 0, 0],
  }));

  it('larger than the input area is decoded in parts, in order', () => {
    const decoder = createDecoder({ channel: 0, database: db, signals: signalInfos(db), maxFrames: 7 });
    const { rows, counts } = rowsOf(decoder, frames);
    expect(rows.map(({ values }) => values.a)).toEqual(
      frames.flatMap(({ id, data }) => (id === 7 ? [] : [data[0]! + 256])),
    );
    expect(counts).toEqual({ rows: 66, unknown: 34, ignored: 0, short: 0 });
  });

  it('makes the memory grow where its rows need it', () => {
    const decoder = createDecoder({ channel: 0, database: db, signals: signalInfos(db), maxFrames: 16 });
    const many = Array.from({ length: 20_000 }, (_, i) => ({ id: 0x100, data: [i & 255, 0, 0, 0, 0, 0, 0, 0] }));
    expect(rowsOf(decoder, many).rows).toHaveLength(20_000);
  });

  it('keeps the same rows object and the same views', () => {
    const decoder = decoderOf(db);
    const first = decoder.decode(batchOf(frames));
    const { f64, u32 } = first;
    const second = decoder.decode(batchOf(frames));
    expect(second).toBe(first);
    expect(second.f64).toBe(f64);
    expect(second.u32).toBe(u32);
  });

  it('leaves no frame in the input area', () => {
    const marker = [0xa5, 0x5a, 0xc3, 0x3c, 0x99, 0x66, 0xf0, 0x0f];
    const decoder = decoderOf(db);
    decoder.decode(
      batchOf([
        { id: 0x100, data: marker },
        { id: 0x7, data: marker },
      ]),
    );
    decoder.decode(
      batchOf(
        [
          { id: 0x100, data: [...marker, ...marker] },
          { id: 0x7, data: marker },
        ],
        true,
      ),
    );
    expect(Buffer.from(decoder.memory).includes(Buffer.from(marker.slice(2)))).toBe(false);
  });

  it('may be a view into a larger buffer', () => {
    const batch = batchOf(frames);
    const bytes = new Uint8Array(batch.bytes.length + 64);
    bytes.set(batch.bytes, 5);
    const decoder = decoderOf(db);
    const { rows } = decoder.decode({ ...batch, bytes: bytes.subarray(5) });
    expect(rows).toBe(66);
  });
});

describe('the compiled decoder and the interpreter', () => {
  it('write the same rows for any database, any choice of signals and any frames', () => {
    const cases = databases.chain((db) => {
      const infos = signalInfos(db);
      const ids = db.messages.map(idWord);
      const frame = fc.record({
        id: fc.oneof(
          { weight: 6, arbitrary: fc.constantFrom(...ids) },
          {
            weight: 1,
            arbitrary: fc.constantFrom(
              ...ids.map((id) => (id ^ CAN_EFF_FLAG) >>> 0),
              ...ids.map((id) => (id | CAN_RTR_FLAG) >>> 0),
            ),
          },
        ),
        // Small first bytes, so that multiplexers often choose something.
        data: fc
          .oneof(fc.uint8Array({ maxLength: 8 }), fc.uint8Array({ minLength: 8, maxLength: 64 }))
          .map((data) => data.map((byte, i) => (i % 3 === 0 ? byte & 7 : byte))),
      });
      return fc.record({
        db: fc.constant(db),
        signals: fc.oneof(fc.constant(infos), fc.subarray(infos)),
        frames: fc.array(frame, { maxLength: 20 }),
        maxFrames: fc.constantFrom(1, 3, 64),
        form: fc.constantFrom('scalar' as const, 'simd' as const, 'grouped' as const),
      });
    });
    fc.assert(
      fc.property(cases, ({ db, signals, frames, maxFrames, form }) => {
        const input = { channel: 0, database: db, signals, maxFrames, form };
        const [compiled, slow] = [createDecoder(input), createInterpreter(input)];
        expect(compiled.layout).toEqual(slow.layout);
        for (const fd of frames.some(({ data }) => data.length > 8) ? [true] : [false, true]) {
          const a = compiled.decode(batchOf(frames, fd));
          const b = slow.decode(batchOf(frames, fd));
          const { f64: _f, u32: _u, ...counts } = a;
          expect(counts).toEqual({
            bytes: b.bytes,
            rows: b.rows,
            unknown: b.unknown,
            short: b.short,
            ignored: b.ignored,
          });
          expect(Array.from(a.u32.subarray(0, a.bytes / 4))).toEqual(Array.from(b.u32.subarray(0, b.bytes / 4)));
        }
      }),
      { numRuns: 900, seed: 20261125 },
    );
  });
});

describe('messages of every size in one batch', () => {
  // 1 to 64 cells, Intel and Motorola, signed and not, so that rows end at every place of a block of pairs.
  const messages = [1, 2, 3, 7, 8, 13, 21, 30, 31, 48, 63, 64].flatMap((count, m) => {
    const bits = Math.floor(64 / count);
    const signals = Array.from({ length: count }, (_, i) => {
      const motorola = (m + i) % 2 === 1 && bits <= 8 && 8 % bits === 0;
      const start = motorola ? i * bits + bits - 1 : i * bits;
      const order = motorola ? ('motorola' as const) : ('intel' as const);
      return signal({ name: `s${i}`, start, length: bits, byteOrder: order, signed: i % 3 === 1 });
    });
    return [message({ name: `M${count}`, id: 0x100 + m, signals })];
  });
  const db = database(...messages);
  // Unknown ids, remote frames and short frames stand between the others, and last.
  const frames = Array.from({ length: 400 }, (_, i) => ({
    id: i % 11 === 5 ? 0x7ff : i % 13 === 6 ? (0x40000100 | 0) >>> 0 : 0x100 + ((i * 7) % messages.length),
    data: Array.from(
      { length: i % 17 === 3 ? i % 8 : 8 },
      (_, byte) => (i * 37 + byte * 101 + ((i * byte) >> 2)) & 255,
    ),
  }));

  it.each(['scalar', 'simd', 'grouped'] as const)('give the same rows in the %s form as bit by bit', (form) => {
    for (const maxFrames of [1, 5, 1024]) {
      const input = { channel: 0, database: db, signals: signalInfos(db), maxFrames, form };
      const [compiled, slow] = [createDecoder(input), createInterpreter(input)];
      for (const count of [frames.length, 399, 6]) {
        const a = compiled.decode(batchOf(frames.slice(0, count)));
        const b = slow.decode(batchOf(frames.slice(0, count)));
        expect([a.rows, a.unknown, a.ignored, a.short]).toEqual([b.rows, b.unknown, b.ignored, b.short]);
        expect(Array.from(a.u32.subarray(0, a.bytes / 4))).toEqual(Array.from(b.u32.subarray(0, b.bytes / 4)));
      }
    }
  });

  it.each(['simd', 'grouped'] as const)('leave nothing of a last frame without message in the %s form', (form) => {
    const decoder = createDecoder({ channel: 0, database: db, signals: signalInfos(db), form });
    const rows = decoder.decode(
      batchOf([
        { id: 0x100, data: Array(8).fill(1) },
        { id: 0x7ff, data: Array(8).fill(0xee) },
      ]),
    );
    const behind = Array.from(rows.u32.subarray(rows.bytes / 4, rows.bytes / 4 + 512));
    expect(behind.every((word) => word === 0)).toBe(true);
    expect(Buffer.from(decoder.memory).includes(Buffer.alloc(8, 0xee))).toBe(false);
  });
});

describe('a large database', () => {
  // 1 bit to 13 bits each, so that messages have from one cell to more than two presence words hold, in classic and FD frames.
  const wide = [5, 6, 7, 8, 64].flatMap((bytes) =>
    [1, 2, 3, 5, 13].map((bits) => {
      const count = Math.floor((bytes * 8) / bits);
      const signals = Array.from({ length: count }, (_, i) =>
        signal({ name: `s${i}`, start: i * bits, length: bits, signed: i % 4 === 1 }),
      );
      return { bytes, signals };
    }),
  );
  const large = (length: number) =>
    Array.from({ length }, (_, i) => {
      const { bytes, signals } = wide[i % wide.length]!;
      return message({ name: `M${i}`, id: 0x1000 + i * 37, extended: true, length: bytes, fd: bytes > 8, signals });
    });
  const messages = large(1000);
  const db = database(...messages);

  it('is read bit by bit where its module would be larger than the platform takes', () => {
    const most = database(...large(3000));
    const decoder = createDecoder({ channel: 0, database: most, signals: signalInfos(most), form: 'scalar' });
    expect(decoder.module.length).toBe(0);
    expect(decoder.decode(batchOf([{ id: (0x1000 | CAN_EFF_FLAG) >>> 0, data: [1, 2, 3, 4, 5] }])).rows).toBe(1);
  });

  it.each(['scalar', 'simd', 'grouped'] as const)('gives the same rows in the %s form as bit by bit', (form) => {
    const input = { channel: 0, database: db, signals: signalInfos(db), form };
    const [compiled, slow] = [createDecoder(input), createInterpreter(input)];
    // Classic frames after FD frames and before them, in batches that fit the input area and batches that do not.
    for (const [count, fd] of [
      [700, true],
      [2500, false],
      [40, true],
      [100, false],
    ] as const) {
      const frames = Array.from({ length: count }, (_, i) => {
        const one = messages[(i * 7919) % messages.length]!;
        const length = Math.min(one.length, fd ? 64 : 8);
        const data = Array.from({ length: i % 19 === 3 ? i % 9 : length }, (_, byte) => (i * 31 + byte * 151) & 255);
        return { id: (one.id | CAN_EFF_FLAG) >>> 0, data: data.slice(0, fd ? 64 : 8) };
      });
      const a = compiled.decode(batchOf(frames, fd));
      const b = slow.decode(batchOf(frames, fd));
      expect([a.rows, a.unknown, a.short, a.bytes]).toEqual([b.rows, b.unknown, b.short, b.bytes]);
      expect(Buffer.from(a.u32.buffer, a.u32.byteOffset, a.bytes).equals(Buffer.from(b.u32.buffer, 0, b.bytes))).toBe(
        true,
      );
    }
  });
});

describe('a decoder', () => {
  const good = message({ name: 'Good', signals: [signal({ name: 'a' })] });
  const create = (db: Database, signals: readonly SignalInfo[]) => () =>
    createDecoder({ channel: 0, database: db, signals });
  const info = (parts: Partial<SignalInfo>): SignalInfo => ({ ...signalInfos(database(good))[0]!, ...parts });

  it('is refused for a signal that the database does not have', () => {
    expect(create(database(good), [info({ signal: 'b' })])).toThrow('Good has no signal b');
    expect(create(database(good), [info({ id: 5 })])).toThrow('the database has no message Good with this id');
    const huge = database(message({ name: 'Huge', signals: [signal({ name: 'a', length: 65 })] }));
    expect(create(huge, signalInfos(huge))).toThrow('Huge.a has no possible place in a frame');
  });

  it('is refused for two messages with one id, and has the later one where no one says which', () => {
    const db = database(good, message({ name: 'Later', signals: [signal({ name: 'b' })] }));
    expect(create(db, [info({}), info({ message: 'Later', signal: 'b' })])).toThrow('Good and Later have the same id');
    expect(signalInfos(db).map(({ signal: name }) => name)).toEqual(['b']);
    expect(rowsOf(decoderOf(db), [{ id: 0x100, data: [3] }]).rows[0]!.values).toEqual({ b: 3 });
    expect(rowsOf(decoderOf(db, [info({})]), [{ id: 0x100, data: [3] }]).rows[0]!.values).toEqual({ a: 3 });
  });

  it('is refused for multiplexers that are missing or depend on one another', () => {
    const on = (multiplexer: string) => ({ multiplexer, multiplexRanges: [{ low: 0, high: 1 }] });
    const missing = database(message({ name: 'M', signals: [signal({ name: 'a', ...on('b') })] }));
    expect(create(missing, signalInfos(missing))).toThrow('M.a has a multiplexer b that is not there');
    const circle = database(
      message({ name: 'M', signals: [signal({ name: 'a', ...on('b') }), signal({ name: 'b', ...on('a') })] }),
    );
    expect(create(circle, signalInfos(circle))).toThrow('depends on itself');
  });

  it('interprets where the platform has no WebAssembly', () => {
    vi.stubGlobal('WebAssembly', undefined);
    const decoder = decoderOf(database(good));
    vi.unstubAllGlobals();
    expect(decoder.module).toHaveLength(0);
    expect(rowsOf(decoder, [{ id: 0x100, data: [3, 0, 0, 0, 0, 0, 0, 0] }]).rows[0]!.values).toEqual({ a: 3 });
  });

  it('needs no code from strings', () => {
    const script = `
      const { createDecoder, signalInfos } = await import(process.argv[1]);
      const database = JSON.parse(process.argv[2]);
      const { module } = createDecoder({ channel: 0, database, signals: signalInfos(database) });
      let refused = false;
      try { new Function('return 1'); } catch { refused = true; }
      console.log(module.length > 100 && refused);`;
    const child = spawnSync(
      process.execPath,
      [
        '--disallow-code-generation-from-strings',
        '--input-type=module',
        '-e',
        script,
        import.meta.resolve('#decoders'),
        JSON.stringify(database(good)),
      ],
      { encoding: 'utf8' },
    );
    expect(child.stdout.trim()).toBe('true');
  });
});
