import { describe, expect, it } from 'vitest';
import { CAN_EFF_FLAG, CAN_RTR_FLAG } from '#contracts';
import { PcapReader } from '../../../can-decoders/logs/pcap.ts';
import { PcapngReader } from '../../../can-decoders/logs/pcapng.ts';
import type { LogOptions } from '../../../can-decoders/logs/reader.ts';
import { fuzz, read } from './parts.ts';

const pcap = (options: LogOptions) => new PcapReader(options);
const pcapng = (options: LogOptions) => new PcapngReader(options);

/** A SocketCAN packet; `size` pads as the kernel does. */
function packet(id: number, data: number[], { flags = 0, size = 8 + data.length, length = data.length } = {}): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUInt32BE(id >>> 0);
  bytes[4] = length;
  bytes[5] = flags;
  bytes.set(data, 8);
  return bytes;
}

const PACKETS = [
  packet(0x123, [1, 2, 3], { size: 16 }),
  packet(0x98fef100, [0xaa]),
  packet(0x40000123, [], { length: 4 }),
  packet(0x20000004, [0, 4, 0, 0, 0, 0, 0, 0]),
  packet(0x456, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], { flags: 5, size: 72 }),
  packet(0x457, [7], { flags: 0, size: 72 }),
];

const FRAMES = [
  { time: 0, id: 0x123, length: 3, flags: 0, data: '010203' },
  { time: 1_000_000, id: (0x18fef100 | CAN_EFF_FLAG) >>> 0, length: 1, flags: 0, data: 'aa' },
  { time: 2_000_000, id: 0x123 | CAN_RTR_FLAG, length: 4, flags: 0, data: '' },
  { time: 3_000_000, id: 0x20000004, length: 8, flags: 0, data: '0004000000000000' },
  { time: 4_000_000, id: 0x456, length: 12, flags: 5, data: '0102030405060708090a0b0c' },
  { time: 5_000_000, id: 0x457, length: 1, flags: 4, data: '07' },
].map((frame) => ({ ...frame, channel: 'can0' }));

const SECONDS = 1_764_000_000;
const UTC = BigInt(SECONDS) * 1_000_000_000n + 999_999_000n;

class Words {
  readonly parts: Buffer[] = [];
  readonly big: boolean;
  constructor(big: boolean) {
    this.big = big;
  }
  u32(...values: number[]): this {
    for (const value of values) {
      const bytes = Buffer.alloc(4);
      if (this.big) bytes.writeUInt32BE(value >>> 0);
      else bytes.writeUInt32LE(value >>> 0);
      this.parts.push(bytes);
    }
    return this;
  }
  u16(...values: number[]): this {
    for (const value of values) {
      const bytes = Buffer.alloc(2);
      if (this.big) bytes.writeUInt16BE(value);
      else bytes.writeUInt16LE(value);
      this.parts.push(bytes);
    }
    return this;
  }
  raw(bytes: Uint8Array): this {
    this.parts.push(Buffer.from(bytes));
    return this;
  }
  done(): Buffer {
    return Buffer.concat(this.parts);
  }
}

function capture({ big = false, nanos = false, link = 227, packets = PACKETS } = {}): Buffer {
  const out = new Words(big)
    .u32(nanos ? 0xa1b23c4d : 0xa1b2c3d4)
    .u16(2, 4)
    .u32(0, 0, 65535, link);
  packets.forEach((bytes, i) => {
    const micros = 999_999 + i * 1000;
    out
      .u32(SECONDS + Math.floor(micros / 1e6), (micros % 1e6) * (nanos ? 1000 : 1), bytes.length, bytes.length)
      .raw(bytes);
  });
  return out.done();
}

function block(big: boolean, type: number, body: Buffer): Buffer {
  const padded = Buffer.concat([body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
  const length = padded.length + 12;
  return new Words(big).u32(type, length).raw(padded).u32(length).done();
}

function section(big = false): Buffer {
  return block(big, 0x0a0d0d0a, new Words(big).u32(0x1a2b3c4d).u16(1, 0).u32(0xffff_ffff, 0xffff_ffff).done());
}

function described(big: boolean, link: number, name: string, resolution: number): Buffer {
  const text = Buffer.alloc(Math.ceil(name.length / 4) * 4);
  text.write(name);
  const options = new Words(big)
    .u16(2, name.length)
    .raw(text)
    .u16(9, 1)
    .raw(Buffer.of(resolution, 0, 0, 0))
    .u16(0, 0);
  return block(big, 1, new Words(big).u16(link, 0).u32(0).raw(options.done()).done());
}

function enhanced(big: boolean, index: number, ticks: bigint, bytes: Buffer): Buffer {
  const head = new Words(big).u32(
    index,
    Number(ticks >> 32n),
    Number(ticks & 0xffff_ffffn),
    bytes.length,
    bytes.length,
  );
  return block(big, 6, head.raw(bytes).done());
}

function captureNg({ big = false, resolution = 9, perSecond = 1_000_000_000n } = {}): Buffer {
  const ticks = (i: number) => ((UTC + BigInt(i) * 1_000_000n) * perSecond) / 1_000_000_000n;
  return Buffer.concat([
    section(big),
    described(big, 1, 'eth0', 6),
    described(big, 227, 'can0', resolution),
    block(big, 5, Buffer.alloc(24)),
    enhanced(big, 0, 0n, Buffer.alloc(60)),
    ...PACKETS.map((bytes, i) => enhanced(big, 1, ticks(i), bytes)),
  ]);
}

describe('a PCAP capture', () => {
  it.each([
    ['little-endian, microseconds', {}],
    ['big-endian, microseconds', { big: true }],
    ['little-endian, nanoseconds', { nanos: true }],
    ['big-endian, nanoseconds', { big: true, nanos: true }],
  ])('gives the frames of a %s file, in chunks of any size', (_, form) => {
    for (const size of [1, 5, 100, 1e6]) {
      const { frames, problems, batches } = read(pcap, capture(form), {}, size);
      expect(problems).toEqual([]);
      expect(frames).toEqual(FRAMES);
      expect(batches[0]).toMatchObject({ utcOffsetNs: UTC, utcSource: 'log' });
    }
  });

  it.each([
    ['a packet has a header of 8 bytes', packet(1, []).subarray(0, 7)],
    ['a packet is CAN or CAN FD, not CAN XL', packet(1, [], { length: 0x80 })],
    ['a frame has at most 64 bytes', packet(1, [], { length: 65 })],
    ['a packet holds the payload of its frame', packet(1, [1], { length: 2 })],
    ['a remote frame asks for at most 8 bytes', packet(0x40000001, [], { length: 9 })],
  ])('counts with its offset, and goes on: %s', (reason, bad) => {
    const { frames, problems } = read(pcap, capture({ packets: [bad, PACKETS[0]!] }));
    expect(problems).toEqual([`40: ${reason}`]);
    expect(frames).toHaveLength(1);
  });

  it('ends where its next packet cannot be found', () => {
    expect(read(pcap, capture({ link: 1 })).problems).toEqual(['0: the link type of a CAN capture is 227']);
    expect(read(pcap, 'x'.repeat(100)).problems).toEqual(['0: a PCAP capture starts with A1B2C3D4 or A1B23C4D']);
    const cut = read(pcap, capture().subarray(0, -3));
    expect(cut.problems).toHaveLength(1);
    expect(cut.frames).toEqual(FRAMES.slice(0, 5));
    const huge = capture();
    huge.writeUInt32LE(0xffff_ffff, 32);
    expect(read(pcap, huge).problems).toEqual(['24: a packet has at most 262144 bytes']);
  });

  it('survives whatever is done to it', () => fuzz(pcap, capture()));
});

describe('a PCAPNG capture', () => {
  it.each([
    ['little-endian, nanoseconds', {}],
    ['big-endian, nanoseconds', { big: true }],
    ['microseconds', { resolution: 6, perSecond: 1_000_000n }],
    ['units of 100 ps', { resolution: 10, perSecond: 10_000_000_000n }],
  ])('gives the frames of its CAN interfaces: %s', (_, form) => {
    for (const size of [1, 7, 1e6]) {
      const { frames, problems, batches } = read(pcapng, captureNg(form), {}, size);
      expect(problems).toEqual([]);
      expect(frames).toEqual(FRAMES);
      expect(batches[0]).toMatchObject({ utcOffsetNs: UTC, utcSource: 'log' });
    }
  });

  it('may count in powers of two', () => {
    const { frames } = read(pcapng, captureNg({ resolution: 0x80 | 30, perSecond: 1n << 30n }));
    frames.forEach(({ time }, i) => {
      expect(Math.abs(time - i * 1_000_000)).toBeLessThanOrEqual(2);
    });
  });

  it('counts what is wrong with a block, and goes on where it can', () => {
    const good = captureNg();
    const unknown = enhanced(false, 9, 0n, PACKETS[0]!);
    const lying = enhanced(false, 1, 0n, PACKETS[0]!);
    lying.writeUInt32LE(4000, 20);
    const tail = enhanced(false, 1, 0n, PACKETS[0]!);
    tail.writeUInt32LE(4, tail.length - 4);
    const { frames, problems } = read(
      pcapng,
      Buffer.concat([good, unknown, lying, tail, enhanced(false, 1, 0n, PACKETS[0]!)]),
    );
    expect(frames).toHaveLength(FRAMES.length + 1);
    expect(problems).toEqual([
      `${good.length}: a packet is of an interface that was described before`,
      `${good.length + unknown.length}: a packet holds as many bytes as it says`,
      `${good.length + unknown.length + lying.length}: a block has its length at both ends`,
    ]);
    expect(read(pcapng, Buffer.alloc(64)).problems).toEqual(['0: a PCAPNG capture starts with a section']);
  });

  it('survives whatever is done to it', () => fuzz(pcapng, captureNg()));
});
