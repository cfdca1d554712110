import fc from 'fast-check';
import {
  CAN_EFF_FLAG,
  CANFD_FDF,
  CLASSIC_SLOT_BYTES,
  FD_SLOT_BYTES,
  type FrameBatch,
  HEADER_BYTES,
  OFFSET_CHANNEL,
  OFFSET_FLAGS,
  OFFSET_ID,
  OFFSET_LENGTH,
} from '#contracts';
import type { Database, Message, Signal } from '#dbc/model';
import { type CellLayout, CellReader, isPresent, type MessageLayout } from '#decoders';

/** A signal with the plainest values for what a test does not speak of. */
export function signal(parts: Partial<Signal> & { name: string }): Signal {
  return {
    start: 0,
    length: 8,
    byteOrder: 'intel',
    signed: false,
    valueType: 'integer',
    factor: 1,
    offset: 0,
    minimum: 0,
    maximum: 0,
    unit: '',
    receivers: [],
    isMultiplexer: false,
    multiplexer: null,
    multiplexRanges: [],
    labels: [],
    comment: '',
    attributes: new Map(),
    line: 1,
    ...parts,
  };
}

export function message(parts: Partial<Message> & { name: string }): Message {
  return {
    id: 0x100,
    extended: false,
    fd: false,
    length: 8,
    senders: [],
    signals: [],
    groups: [],
    comment: '',
    attributes: new Map(),
    j1939: false,
    line: 1,
    ...parts,
  };
}

export function database(...messages: Message[]): Database {
  return {
    file: 'test.dbc',
    version: '',
    nodes: [],
    messages,
    valueTables: new Map(),
    comment: '',
    attributes: new Map(),
  };
}

export interface TestFrame {
  /** Id word with its flags. */
  readonly id: number;
  readonly data: ArrayLike<number>;
  /** ns */
  readonly time?: number;
  readonly channel?: number;
  /** Where it is not the length of the data. */
  readonly length?: number;
}

/** Frames in slots of the classic size where all fit into it, else of the FD size. */
export function batchOf(frames: readonly TestFrame[], fd = frames.some(({ data }) => data.length > 8)): FrameBatch {
  const slotBytes = fd ? FD_SLOT_BYTES : CLASSIC_SLOT_BYTES;
  const bytes = new Uint8Array(frames.length * slotBytes);
  const view = new DataView(bytes.buffer);
  for (const [i, frame] of frames.entries()) {
    const slot = i * slotBytes;
    view.setBigUint64(slot, BigInt(frame.time ?? i * 1000), true);
    view.setUint32(slot + OFFSET_ID, frame.id, true);
    view.setUint8(slot + OFFSET_LENGTH, frame.length ?? frame.data.length);
    view.setUint8(slot + OFFSET_FLAGS, fd ? CANFD_FDF : 0);
    view.setUint8(slot + OFFSET_CHANNEL, frame.channel ?? 0);
    bytes.set(Array.from(frame.data), slot + HEADER_BYTES);
  }
  return {
    bytes,
    slotBytes,
    count: frames.length,
    bootId: new Uint8Array(8),
    utcOffsetNs: null,
    utcErrorNs: Number.POSITIVE_INFINITY,
    utcSource: 'unknown',
  };
}

const MOST_BYTES = 64;

/** Signals anywhere, of any kind, over one another, some beyond the end of the message; cascaded multiplexers. */
function signals(length: number): fc.Arbitrary<Signal[]> {
  const part = fc.record({
    start: fc.integer({ min: 0, max: length * 8 + 7 }),
    length: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.constantFrom(1, 8, 16, 24, 32, 48, 53, 54, 64)),
    byteOrder: fc.constantFrom('intel' as const, 'motorola' as const),
    signed: fc.boolean(),
    valueType: fc.constantFrom('integer' as const, 'integer' as const, 'float32' as const, 'float64' as const),
    aligned: fc.boolean(),
    parent: fc.option(fc.nat(20), { nil: null, freq: 2 }),
    ranges: fc.array(
      fc.tuple(fc.nat(7), fc.nat(3)).map(([low, more]) => ({ low, high: low + more })),
      { minLength: 1, maxLength: 3 },
    ),
  });
  return fc.array(part, { minLength: 1, maxLength: 12 }).map((parts) =>
    parts.map(({ aligned, parent, ranges, ...rest }, i) => {
      const floatBits = rest.valueType === 'float32' ? 32 : 64;
      const bits = rest.valueType === 'integer' ? rest.length : floatBits;
      const start = aligned ? (rest.start & ~7) + (rest.byteOrder === 'motorola' ? 7 : 0) : rest.start;
      // A signal can only depend on an earlier one, so there are no cycles.
      const ruler = parent === null || i === 0 ? null : `s${parent % i}`;
      return signal({
        ...rest,
        name: `s${i}`,
        start,
        length: bits,
        multiplexer: ruler,
        multiplexRanges: ruler === null ? [] : ranges,
      });
    }),
  );
}

function messages(): fc.Arbitrary<Message> {
  return fc
    .record({
      length: fc.oneof(fc.integer({ min: 0, max: 8 }), fc.constantFrom(12, 24, MOST_BYTES)),
      extended: fc.boolean(),
    })
    .chain(({ length, extended }) =>
      fc.record({
        name: fc.constant('m'),
        extended: fc.constant(extended),
        id: fc.integer({ min: 0, max: extended ? 0x1fff_ffff : 0x7ff }),
        length: fc.constant(length),
        signals: signals(Math.max(1, length)),
      }),
    )
    .map(message);
}

/** Databases with messages of different ids. */
export const databases: fc.Arbitrary<Database> = fc
  .uniqueArray(messages(), {
    minLength: 1,
    maxLength: 6,
    selector: ({ id, extended }) => id + (extended ? CAN_EFF_FLAG : 0),
  })
  .map((list) => database(...list.map((one, i) => ({ ...one, name: `m${i}` }))));

/** What stands in the row at byte `at` for a signal: its number, or the high and the low word of a wide one; null: absent. */
export function numbersAt(
  u32: Uint32Array,
  at: number,
  { firstCell }: MessageLayout,
  layout: CellLayout,
): readonly [number, number?] | null {
  if (!isPresent(u32, at, layout.cell)) return null;
  const [high, low] = CellReader.of(layout).map((reader) => reader.read(u32, (at + firstCell) / 4));
  return [high!, low];
}
