import { closeSync, openSync, writeSync } from 'node:fs';
import { deflateSync } from 'node:zlib';

/** Formats that the bench writes; each with the frames of `frame`. */
export type BenchFormat = 'candump' | 'asc' | 'csv' | 'blf' | 'pcapng';
export const BENCH_FORMATS: readonly BenchFormat[] = ['candump', 'asc', 'csv', 'blf', 'pcapng'];

/** 2026-01-01, s. */
const START_S = 1_767_225_600;
/** Frames on a busy bus of 500 kbit/s follow one another by this, µs. */
const GAP_MICROS = 250;
const IDS = 64;
const BLOCK_FRAMES = 2048;
const CONTAINER_HEAD = 32;
const OBJECT_BYTES = 48;
const LINKTYPE_CAN_SOCKETCAN = 227;

/** Writes a log of at least so many bytes; returns frames and bytes. It never holds more than a block of it. */
export function writeLog(path: string, format: BenchFormat, leastBytes: number): { frames: number; bytes: number } {
  const file = openSync(path, 'w');
  const data = Buffer.alloc(8);
  let [frames, bytes] = [0, 0];
  const put = (block: Uint8Array) => {
    bytes += writeSync(file, block);
  };
  put(HEADS[format]());
  while (bytes < leastBytes) {
    put(BLOCKS[format](frames, BLOCK_FRAMES, data));
    frames += BLOCK_FRAMES;
  }
  closeSync(file);
  return { frames, bytes };
}

/** Slow counters and noise in one payload, as signals have them. */
function payload(n: number, data: Buffer): Buffer {
  data.writeUInt32LE(n >>> 6, 0);
  data.writeUInt32LE(Math.imul(n, 0x9e3779b1) >>> 0, 4);
  return data;
}

const idOf = (n: number) => 0x100 + (n % IDS);
const microsOf = (n: number) => n * GAP_MICROS;

const HEADS: Record<BenchFormat, () => Uint8Array> = {
  candump: () => Buffer.alloc(0),
  asc: () => Buffer.from('date Thu Jan 1 00:00:00 2026\nbase hex  timestamps absolute\n'),
  csv: () => Buffer.from('Time Stamp,ID,Extended,Dir,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8\n'),
  blf: () => {
    const head = Buffer.alloc(144);
    head.write('LOGG');
    head.writeUInt32LE(144, 4);
    // Year, month, day of week, day, hour, minute, second, ms: the start of the log.
    for (const [i, part] of [2026, 1, 4, 1, 0, 0, 0, 0].entries()) head.writeUInt16LE(part, 40 + i * 2);
    return head;
  },
  pcapng: () => {
    const section = Buffer.alloc(28);
    section.writeUInt32LE(0x0a0d0d0a);
    section.writeUInt32LE(28, 4);
    section.writeUInt32LE(0x1a2b3c4d, 8);
    section.writeUInt16LE(1, 12);
    section.writeBigInt64LE(-1n, 16);
    section.writeUInt32LE(28, 24);
    const bus = Buffer.alloc(20);
    bus.writeUInt32LE(1);
    bus.writeUInt32LE(20, 4);
    bus.writeUInt16LE(LINKTYPE_CAN_SOCKETCAN, 8);
    bus.writeUInt32LE(20, 16);
    return Buffer.concat([section, bus]);
  },
};

function lines(first: number, count: number, data: Buffer, line: (n: number, data: Buffer) => string): Uint8Array {
  let text = '';
  for (let n = first; n < first + count; n++) text += line(n, payload(n, data));
  return Buffer.from(text);
}

function seconds(n: number, from: number): string {
  const micros = microsOf(n);
  return `${from + Math.floor(micros / 1e6)}.${String(micros % 1e6).padStart(6, '0')}`;
}

const spaced = (data: Buffer, by: string) =>
  [...data].map((byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join(by);

const BLOCKS: Record<BenchFormat, (first: number, count: number, data: Buffer) => Uint8Array> = {
  candump: (first, count, data) =>
    lines(
      first,
      count,
      data,
      (n, bytes) => `(${seconds(n, START_S)}) can0 ${idOf(n).toString(16)}#${bytes.toString('hex')}\n`,
    ),
  asc: (first, count, data) =>
    lines(
      first,
      count,
      data,
      (n, bytes) => `${seconds(n, 0)} 1  ${idOf(n).toString(16)}  Rx   d 8 ${spaced(bytes, ' ')}\n`,
    ),
  csv: (first, count, data) =>
    lines(
      first,
      count,
      data,
      (n, bytes) =>
        `${START_S * 1e6 + microsOf(n)},${idOf(n).toString(16).padStart(8, '0')},false,Rx,0,8,${spaced(bytes, ',')},\n`,
    ),
  blf: (first, count, data) => {
    const content = Buffer.alloc(count * OBJECT_BYTES);
    for (let i = 0; i < count; i++) {
      const [at, n] = [i * OBJECT_BYTES, first + i];
      content.write('LOBJ', at);
      content.writeUInt16LE(32, at + 4);
      content.writeUInt16LE(1, at + 6);
      content.writeUInt32LE(OBJECT_BYTES, at + 8);
      content.writeUInt32LE(1, at + 12);
      content.writeUInt32LE(2, at + 16);
      content.writeBigUInt64LE(BigInt(microsOf(n)) * 1000n, at + 24);
      content.writeUInt16LE(1, at + 32);
      content.writeUInt8(8, at + 35);
      content.writeUInt32LE(idOf(n), at + 36);
      payload(n, data).copy(content, at + 40);
    }
    const packed = deflateSync(content, { level: 1 });
    const size = CONTAINER_HEAD + packed.length;
    const container = Buffer.alloc(size + (size % 4));
    container.write('LOBJ');
    container.writeUInt16LE(16, 4);
    container.writeUInt16LE(1, 6);
    container.writeUInt32LE(size, 8);
    container.writeUInt32LE(10, 12);
    container.writeUInt16LE(2, 16);
    container.writeUInt32LE(content.length, 24);
    packed.copy(container, CONTAINER_HEAD);
    return container;
  },
  pcapng: (first, count, data) => {
    const blockBytes = 48;
    const blocks = Buffer.alloc(count * blockBytes);
    for (let i = 0; i < count; i++) {
      const [at, n] = [i * blockBytes, first + i];
      const micros = BigInt(START_S) * 1_000_000n + BigInt(microsOf(n));
      blocks.writeUInt32LE(6, at);
      blocks.writeUInt32LE(blockBytes, at + 4);
      blocks.writeUInt32LE(Number(micros >> 32n), at + 12);
      blocks.writeUInt32LE(Number(micros & 0xffff_ffffn), at + 16);
      blocks.writeUInt32LE(16, at + 20);
      blocks.writeUInt32LE(16, at + 24);
      blocks.writeUInt32BE(idOf(n), at + 28);
      blocks.writeUInt8(8, at + 32);
      payload(n, data).copy(blocks, at + 36);
      blocks.writeUInt32LE(blockBytes, at + 44);
    }
    return blocks;
  },
};
