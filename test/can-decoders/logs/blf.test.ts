import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { CAN_EFF_FLAG, CAN_RTR_FLAG } from '#contracts';
import { BlfReader } from '../../../can-decoders/logs/blf.ts';
import type { LogOptions } from '../../../can-decoders/logs/reader.ts';
import { fuzz, read } from './parts.ts';

const make = (options: LogOptions) => new BlfReader(options);
const START = Date.UTC(2026, 10, 25, 12, 30, 15, 250);

function header(start: number | null = START): Buffer {
  const bytes = Buffer.alloc(144);
  bytes.write('LOGG');
  bytes.writeUInt32LE(144, 4);
  if (start === null) return bytes;
  const date = new Date(start);
  [
    date.getUTCFullYear(),
    date.getUTCMonth() + 1,
    date.getUTCDay(),
    date.getUTCDate(),
    date.getUTCHours(),
    date.getUTCMinutes(),
    date.getUTCSeconds(),
    date.getUTCMilliseconds(),
  ].forEach((part, i) => {
    bytes.writeUInt16LE(part, 40 + 2 * i);
  });
  return bytes;
}

/** An object with a header of version 1 or 2, padded as Vector pads. */
function object(type: number, ns: bigint, body: Buffer, { version = 1, flags = 2 } = {}): Buffer {
  const head = Buffer.alloc(version === 1 ? 32 : 40);
  const size = head.length + body.length;
  head.write('LOBJ');
  head.writeUInt16LE(head.length, 4);
  head.writeUInt16LE(version, 6);
  head.writeUInt32LE(size, 8);
  head.writeUInt32LE(type, 12);
  head.writeUInt32LE(flags, 16);
  head.writeBigUInt64LE(ns, 24);
  return Buffer.concat([head, body, Buffer.alloc(size % 4)]);
}

function can(id: number, data: number[], { channel = 1, flags = 0, dlc = data.length } = {}): Buffer {
  const body = Buffer.alloc(16);
  body.writeUInt16LE(channel);
  body[2] = flags;
  body[3] = dlc;
  body.writeUInt32LE(id >>> 0, 4);
  body.set(data, 8);
  return body;
}

function fd(id: number, data: number[], fdFlags: number): Buffer {
  const body = Buffer.alloc(84);
  body.writeUInt16LE(2);
  body[3] = 9;
  body.writeUInt32LE(id >>> 0, 4);
  body[13] = fdFlags;
  body[14] = data.length;
  body.set(data, 20);
  return body;
}

function fd64(id: number, data: number[], flags: number, valid = data.length): Buffer {
  const body = Buffer.alloc(40 + data.length);
  body[0] = 3;
  body[1] = 9;
  body[2] = valid;
  body.writeUInt32LE(id >>> 0, 4);
  body.writeUInt32LE(flags, 12);
  body.set(data, 40);
  return body;
}

function container(content: Uint8Array, { method = 2, claimed = content.length } = {}): Buffer {
  const packed = method === 2 ? deflateSync(content) : content;
  const head = Buffer.alloc(32);
  head.write('LOBJ');
  head.writeUInt16LE(16, 4);
  head.writeUInt16LE(1, 6);
  head.writeUInt32LE(32 + packed.length, 8);
  head.writeUInt32LE(10, 12);
  head.writeUInt16LE(method, 16);
  head.writeUInt32LE(claimed, 24);
  return Buffer.concat([head, packed, Buffer.alloc(packed.length % 4)]);
}

const OBJECTS = Buffer.concat([
  object(1, 1_000n, can(0x123, [1, 2, 3])),
  object(86, 2_000n, can(0x98fef100, [0xff], { channel: 12 }), { version: 2 }),
  object(96, 2_500n, Buffer.from('a marker, of no interest')),
  object(1, 1n, can(0x7ff, [], { flags: 0x80, dlc: 5 }), { flags: 1 }),
  object(100, 20_000n, fd(0x456, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 7)),
  object(101, 30_000n, fd64(0x80010000, [9, 8, 7], 0x3000, 12)),
  object(73, 40_000n, can(0, [])),
]);
const half = 77;
const LOG = Buffer.concat([header(), container(OBJECTS.subarray(0, half)), container(OBJECTS.subarray(half))]);

const FRAMES = [
  { time: 0, id: 0x123, length: 3, flags: 0, channel: '1', data: '010203' },
  { time: 1_000, id: (0x18fef100 | CAN_EFF_FLAG) >>> 0, length: 1, flags: 0, channel: '12', data: 'ff' },
  { time: 9_000, id: 0x7ff | CAN_RTR_FLAG, length: 5, flags: 0, channel: '1', data: '' },
  { time: 19_000, id: 0x456, length: 12, flags: 7, channel: '2', data: '0102030405060708090a0b0c' },
  {
    time: 29_000,
    id: (0x10000 | CAN_EFF_FLAG) >>> 0,
    length: 12,
    flags: 5,
    channel: '3',
    data: `090807${'00'.repeat(9)}`,
  },
  { time: 39_000, id: 0x20000080, length: 8, flags: 0, channel: '1', data: '00'.repeat(8) },
];

describe('a BLF log', () => {
  it('gives the frames of containers that cut objects, of all kinds', () => {
    const { frames, problems, reader } = read(make, LOG);
    expect(problems).toEqual([]);
    expect(frames).toEqual(FRAMES);
    expect(reader).toMatchObject({ errorFrames: 1 });
  });

  it('is the same in chunks of any size and batches of one frame', () => {
    for (const size of [1, 3, 50, 150]) expect(read(make, LOG, { batchFrames: 1 }, size).frames).toEqual(FRAMES);
  });

  it('may have its objects stored, or outside of containers', () => {
    expect(read(make, Buffer.concat([header(), container(OBJECTS, { method: 0 })])).frames).toEqual(FRAMES);
    expect(read(make, Buffer.concat([header(), OBJECTS])).frames).toEqual(FRAMES);
  });

  it('has UTC where its header has a date', () => {
    const utcOffsetNs = BigInt(START) * 1_000_000n + 1000n;
    expect(read(make, LOG).batches[0]).toMatchObject({ utcOffsetNs, utcSource: 'log' });
    expect(read(make, Buffer.concat([header(null), OBJECTS])).batches[0]).toMatchObject({ utcOffsetNs: null });
  });
});

describe('an id of more than 11 bits without the flag of 29', () => {
  it('is not cut to the id of another message', () => {
    const { frames } = read(make, Buffer.concat([header(), object(1, 0n, can(0x4444444, [1], { dlc: 51 }))]));
    expect(frames).toMatchObject([{ id: 0x4444444, length: 8 }]);
  });
});

describe('a damaged BLF log', () => {
  const good = container(object(1, 0n, can(1, [1])));

  it('goes on at the next object, with the offset of the damage', () => {
    const { frames, problems } = read(make, Buffer.concat([header(), good, Buffer.alloc(10, 0xee), good]));
    expect(frames).toHaveLength(2);
    expect(problems).toEqual([`${144 + good.length}: an object starts with LOBJ`]);
  });

  it('keeps nothing back for a size that is claimed', () => {
    const bad = Buffer.from(good);
    bad.writeUInt32LE(0xffff_fff0, 8);
    const { frames, problems } = read(make, Buffer.concat([header(), bad, good]));
    expect(frames).toHaveLength(1);
    expect(problems).toEqual(['144: an object has 16 to 16777216 bytes']);
  });

  it('does not unpack a bomb', () => {
    const bomb = container(Buffer.alloc(17 * 2 ** 20), { claimed: 100 });
    const claim = container(Buffer.alloc(10), { claimed: 2 ** 31 });
    const { frames, problems } = read(make, Buffer.concat([header(), bomb, claim, good]));
    expect(frames).toHaveLength(1);
    expect(problems).toEqual([
      '144: a container is zlib data of at most 16777216 bytes',
      `${144 + bomb.length}: a container unpacks to at most 16777216 bytes`,
    ]);
  });

  it('gives what was whole before its end', () => {
    const { frames, problems } = read(make, LOG.subarray(0, LOG.length - 20));
    expect(frames.length).toBeGreaterThan(0);
    expect(problems.some((problem) => problem.endsWith('an object is cut short'))).toBe(true);
    expect(read(make, '').problems).toEqual(['0: a BLF log starts with LOGG and its header']);
  });

  it('survives whatever is done to it', () => {
    fuzz(make, LOG);
    fuzz(make, Buffer.concat([header(), container(OBJECTS, { method: 0 })]));
  });
});
