import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { CLASSIC_SLOT_BYTES, type FrameBatch, HEADER_BYTES, OFFSET_ID, OFFSET_LENGTH } from '#contracts';
import { bytesNeeded, type Database, loadDatabase, type Message } from '#dbc';
import { CandumpParser, idWord } from '#decoders';

/** Frames in the agent's own layout, copied out of the reader before any clock starts. */
export interface BenchInput {
  readonly database: Database;
  readonly batches: readonly FrameBatch[];
  readonly frames: number;
}

/**
 * `--dbc F --log F`: a candump log; `--dbc F --frames F`: 16-byte `struct can_frame` records; `--dbc F`: random payloads
 * over its messages; nothing: a generated database.
 */
export function inputOf(args: string[]): BenchInput & { readonly dbc: string | undefined; readonly share: number } {
  const { values } = parseArgs({
    args,
    options: {
      dbc: { type: 'string' },
      log: { type: 'string' },
      frames: { type: 'string' },
      share: { type: 'string', default: '1' },
    },
  });
  const { dbc, log, frames } = values;
  const more = { dbc, share: Number(values.share) };
  if (dbc === undefined) return { ...fromDatabase(generatedDbc()), ...more };
  if (log !== undefined) return { ...fromLog(dbc, log), ...more };
  return { ...(frames === undefined ? fromDatabase(readFileSync(dbc)) : fromRecords(dbc, frames)), ...more };
}

const BATCH_FRAMES = 1024;
const MEGA = 1_000_000;
/** struct can_frame of linux/can.h: id, length, 3 bytes of padding, 8 bytes of payload. */
export const CAN_FRAME_BYTES = 16;

/** A log with its database. */
export function fromLog(dbc: string, log: string): BenchInput {
  const bytes = readFileSync(log);
  const text = bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes;
  const batches: FrameBatch[] = [];
  const parser = new CandumpParser({ bootId: new Uint8Array(8), batchFrames: BATCH_FRAMES });
  const keep = () => {
    const batch = parser.take();
    batches.push({ ...batch, bytes: batch.bytes.slice(0, batch.count * batch.slotBytes) });
  };
  for (let at = 0; at < text.length; ) {
    at = parser.feed(text, at);
    if (parser.ready) keep();
  }
  for (parser.end(); parser.ready; parser.end()) keep();
  return ofBatches(readFileSync(dbc), batches);
}

/** A file of 16-byte `struct can_frame` records, so that other decoders can be given the same frames. */
export function fromRecords(dbc: string, file: string): BenchInput {
  const records = readFileSync(file);
  const count = Math.floor(records.length / CAN_FRAME_BYTES);
  const batches = batchesOf(count, (i, slot, view) => {
    const at = i * CAN_FRAME_BYTES;
    view.setUint32(slot + OFFSET_ID, records.readUInt32LE(at), true);
    view.setUint8(slot + OFFSET_LENGTH, records[at + 4]!);
    for (let byte = 0; byte < 8; byte++) view.setUint8(slot + HEADER_BYTES + byte, records[at + 8 + byte]!);
  });
  return ofBatches(readFileSync(dbc), batches);
}

/** Random payloads over all classic messages of a database; uniform ids are the hard case for dispatch. */
export function fromDatabase(dbc: Uint8Array, frames = MEGA): BenchInput {
  const { database } = loadDatabase(dbc, { file: 'bench.dbc' });
  const messages = inBenchOrder(database).filter(({ signals }) => signals.length > 0);
  const random = xorshift(0x2026_1125);
  const batches = batchesOf(frames, (_, slot, view) => {
    const message = messages[random() % messages.length]!;
    view.setUint32(slot + OFFSET_ID, idWord(message), true);
    view.setUint8(slot + OFFSET_LENGTH, message.length);
    for (let byte = 0; byte < message.length; byte++) view.setUint8(slot + HEADER_BYTES + byte, random() & 255);
  });
  return ofBatches(dbc, batches);
}

/** The messages that a classic frame can carry whole, each id once: what every decoder of the bench is given. */
export function inBenchOrder({ messages }: Database): Message[] {
  const byId = new Map(messages.map((message) => [idWord(message), message]));
  return [...byId.values()].filter(
    ({ length, signals }) => length <= 8 && signals.every((signal) => bytesNeeded(signal) <= length),
  );
}

function ofBatches(dbc: Uint8Array, batches: readonly FrameBatch[]): BenchInput {
  const { database } = loadDatabase(dbc, { file: 'bench.dbc' });
  const frames = batches.reduce((sum, { count }) => sum + count, 0);
  return { database, batches, frames };
}

function batchesOf(frames: number, write: (i: number, slot: number, view: DataView) => void): FrameBatch[] {
  const batches: FrameBatch[] = [];
  for (let start = 0; start < frames; start += BATCH_FRAMES) {
    const count = Math.min(BATCH_FRAMES, frames - start);
    const bytes = new Uint8Array(count * CLASSIC_SLOT_BYTES);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < count; i++) write(start + i, i * CLASSIC_SLOT_BYTES, view);
    batches.push({
      bytes,
      slotBytes: CLASSIC_SLOT_BYTES,
      count,
      bootId: new Uint8Array(8),
      utcOffsetNs: null,
      utcErrorNs: Number.POSITIVE_INFINITY,
      utcSource: 'unknown',
    });
  }
  return batches;
}

/** The same frames in batches of another size; each batch is its whole buffer. */
export function rebatched(input: BenchInput, batchFrames: number): BenchInput {
  const bySlot = new Map<number, FrameBatch[]>();
  for (const batch of input.batches) {
    const list = bySlot.get(batch.slotBytes) ?? [];
    list.push(batch);
    bySlot.set(batch.slotBytes, list);
  }
  const batches = [...bySlot.values()].flatMap((list) => {
    const [first] = list;
    const { slotBytes } = first!;
    const bytes = Buffer.concat(list.map((batch) => batch.bytes.subarray(0, batch.count * slotBytes)));
    const size = batchFrames * slotBytes;
    return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i): FrameBatch => {
      const part = new Uint8Array(bytes.subarray(i * size, (i + 1) * size));
      return { ...first!, bytes: part, count: part.length / slotBytes };
    });
  });
  return { ...input, batches };
}

function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

const GENERATED_MESSAGES = 60;

/** A database of the size of one bus: six signals a message, half Intel and half Motorola, signed and unsigned. */
export function generatedDbc(): Uint8Array {
  const lines = ['VERSION ""', 'NS_ :', 'BS_:', 'BU_: ECU'];
  for (let message = 0; message < GENERATED_MESSAGES; message++) {
    lines.push(`BO_ ${100 + message * 7} Message${message}: 8 ECU`);
    for (const [i, [start, bits]] of [
      [0, 12],
      [12, 4],
      [16, 16],
      [32, 10],
      [42, 1],
      [48, 16],
    ].entries()) {
      const motorola = message % 2 === 1;
      const first = motorola ? (start! & ~7) + 7 - (start! & 7) : start;
      const sign = i % 3 === 0 ? '-' : '+';
      lines.push(` SG_ Signal${i} : ${first}|${bits}@${motorola ? 0 : 1}${sign} (0.${i + 1},-${i}) [0|0] "" ECU`);
    }
  }
  return new TextEncoder().encode(`${lines.join('\n')}\n`);
}
