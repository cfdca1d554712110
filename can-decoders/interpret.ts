import {
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  type FrameBatch,
  HEADER_BYTES,
  OFFSET_CHANNEL,
  OFFSET_ID,
  OFFSET_LENGTH,
  type SlotBytes,
} from '#contracts';
import type { MultiplexRange } from '#dbc/model';
import type { Decoder, DecoderInput, Rows } from './decoder.ts';
import type { Field } from './field.ts';
import {
  CELL_BYTES,
  CELLS_PER_PRESENCE,
  ROW_FLAG_SHORT,
  ROW_FLAGS,
  ROW_MESSAGE,
  ROW_PRESENCE,
  ROW_TIME,
  type RowLayout,
} from './layout.ts';
import { type DecodePlan, decodePlan, type MessagePlan, type PlanCell, type PlanGroup } from './plan.ts';

/**
 * The same rows as the compiled decoder, one bit at a time with BigInt: the second opinion of the tests, and the way out
 * where the platform has no WebAssembly. It shares only the plan (which signals, which cells) with the emitter.
 */
export function createInterpreter(input: DecoderInput): Decoder {
  return new Interpreter(
    decodePlan(input.database, input.channel, input.signals),
    input.matchChannel === true ? input.channel : null,
  );
}

const CELL_BITS = 32n;

class Interpreter implements Decoder {
  readonly layout: RowLayout;
  readonly module = new Uint8Array(0);
  readonly changes = null;
  readonly #byId: ReadonlyMap<number, { readonly index: number; readonly plan: MessagePlan }>;
  readonly #channel: number | null;
  #memory = new ArrayBuffer(0);
  readonly #rows: Rows = {
    f64: new Float64Array(0),
    u32: new Uint32Array(0),
    bytes: 0,
    rows: 0,
    unknown: 0,
    short: 0,
    ignored: 0,
  };

  constructor(plan: DecodePlan, channel: number | null) {
    this.layout = plan.rows;
    this.#byId = new Map(plan.messages.map((message, index) => [message.layout.id, { index, plan: message }]));
    this.#channel = channel;
  }

  get memory(): ArrayBufferLike {
    return this.#memory;
  }

  decode({ bytes, slotBytes, count }: FrameBatch): Rows {
    const rows = this.#rows;
    Object.assign(rows, { bytes: 0, rows: 0, unknown: 0, short: 0, ignored: 0 });
    const view = new DataView(bytes.buffer, bytes.byteOffset, count * slotBytes);
    for (let frame = 0; frame < count; frame++) this.#frame(view, frame * slotBytes, slotBytes);
    return rows;
  }

  #frame(view: DataView, slot: number, slotBytes: SlotBytes): void {
    const rows = this.#rows;
    const id = view.getUint32(slot + OFFSET_ID, true);
    const found = this.#byId.get(id);
    if (found === undefined || (this.#channel !== null && view.getUint8(slot + OFFSET_CHANNEL) !== this.#channel)) {
      if ((id & (CAN_RTR_FLAG | CAN_ERR_FLAG)) !== 0) rows.ignored++;
      else rows.unknown++;
      return;
    }
    const { rowBytes } = found.plan.layout;
    this.#ensure(rows.bytes + rowBytes);
    const length = Math.min(view.getUint8(slot + OFFSET_LENGTH), slotBytes - HEADER_BYTES);
    const payload = new Uint8Array(view.buffer, view.byteOffset + slot + HEADER_BYTES, length);
    const row = new DataView(this.#memory, rows.bytes, rowBytes);
    const timeNs = Number(view.getBigUint64(slot, true));
    if (writeRow(row, found.index, found.plan, timeNs, payload)) rows.short++;
    rows.rows++;
    rows.bytes += rowBytes;
  }

  #ensure(bytes: number): void {
    if (bytes <= this.#memory.byteLength) return;
    const wider = new ArrayBuffer(Math.max(bytes, this.#memory.byteLength * 2, 4096));
    new Uint8Array(wider).set(new Uint8Array(this.#memory));
    this.#memory = wider;
    this.#rows.f64 = new Float64Array(wider, 0, Math.floor(wider.byteLength / 8));
    this.#rows.u32 = new Uint32Array(wider, 0, Math.floor(wider.byteLength / 4));
  }
}

/**
 * The row of one payload of any length over `row`, which has its size.
 *
 * @param index of the message in the layout
 * @returns whether the row is marked short
 */
export function writeRow(
  row: DataView,
  index: number,
  plan: MessagePlan,
  timeNs: number,
  payload: Uint8Array,
): boolean {
  for (let i = 0; i < plan.layout.rowBytes; i++) row.setUint8(i, 0);
  row.setFloat64(ROW_TIME, timeNs, true);
  row.setUint16(ROW_MESSAGE, index, true);
  const { short } = new RowWriter(row, payload, plan);
  if (short) row.setUint16(ROW_FLAGS, ROW_FLAG_SHORT, true);
  return short;
}

class RowWriter {
  short: boolean;
  readonly #row: DataView;
  readonly #payload: Uint8Array;
  readonly #firstCell: number;

  constructor(row: DataView, payload: Uint8Array, plan: MessagePlan) {
    this.#row = row;
    this.#payload = payload;
    this.#firstCell = plan.layout.firstCell;
    this.short = payload.length < plan.length;
    this.#group(plan.root);
  }

  #group({ cells, selectors }: PlanGroup): void {
    for (const cell of cells) this.#write(cell, this.#read(cell.field));
    for (const { field, cell, cases } of selectors) {
      const raw = this.#read(field);
      if (cell !== null) this.#write(cell, raw);
      if (raw === null) continue;
      for (const { ranges, group } of cases) if (inRanges(raw, ranges)) this.#group(group);
    }
  }

  /** The raw integer (the bit pattern of a float), or null where the frame is too short for it. */
  #read(field: Field): bigint | null {
    if (field.last >= this.#payload.length) {
      this.short = true;
      return null;
    }
    return readBits(this.#payload, field);
  }

  #write({ field, layout }: PlanCell, raw: bigint | null): void {
    if (raw === null) return;
    const cut = BigInt.asUintN(field.bits, raw) << BigInt(field.shift);
    for (let i = 0; i < layout.cells; i++) {
      const cell = layout.cell + i;
      const bits = Number(BigInt.asUintN(32, cut >> (CELL_BITS * BigInt(i))));
      this.#row.setUint32(this.#firstCell + cell * CELL_BYTES, bits, true);
      const word = ROW_PRESENCE + Math.floor(cell / CELLS_PER_PRESENCE) * 4;
      this.#row.setUint32(word, (this.#row.getUint32(word, true) | (1 << (cell % CELLS_PER_PRESENCE))) >>> 0, true);
    }
  }
}

/** The bits of a field from the highest to the lowest, then the sign. */
function readBits(payload: Uint8Array, { first, last, shift, bits, bigEndian, signed }: Field): bigint {
  let raw = 0n;
  for (let bit = bits - 1; bit >= 0; bit--) {
    const place = bit + shift;
    const byte = bigEndian ? last - Math.floor(place / 8) : first + Math.floor(place / 8);
    raw = (raw << 1n) | BigInt((payload[byte]! >> (place % 8)) & 1);
  }
  return signed ? BigInt.asIntN(bits, raw) : raw;
}

function inRanges(raw: bigint, ranges: readonly MultiplexRange[]): boolean {
  return ranges.some(({ low, high }) => raw >= BigInt(low) && raw <= BigInt(high));
}
