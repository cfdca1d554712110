import { expect } from 'vitest';
import { FD_SLOT_BYTES, type FrameBatch } from '#contracts';
import type { LogOptions, LogReader } from '../../../can-decoders/logs/reader.ts';

export const BOOT = new Uint8Array(8);

export interface Frame {
  /** Boottime, ns. */
  readonly time: number;
  readonly id: number;
  readonly length: number;
  readonly flags: number;
  readonly channel: string;
  /** Hex, of the payload only; empty for remote frames. */
  readonly data: string;
}

/** Everything that a log gives, cut into chunks of `size` bytes. */
export function read(
  make: (options: LogOptions) => LogReader,
  input: string | Uint8Array,
  options: Partial<LogOptions> = {},
  size = Number.POSITIVE_INFINITY,
) {
  const problems: string[] = [];
  const names: string[] = [];
  const frames: Frame[] = [];
  const batches: FrameBatch[] = [];
  const reader = make({
    bootId: BOOT,
    channelOf: (name) => (names.length > 255 ? null : names.push(name) - 1),
    onMalformed: (place, reason) => problems.push(`${place}: ${reason}`),
    ...options,
  });
  const take = () => {
    const batch = reader.take();
    expect(batch.count).toBeGreaterThan(0);
    batches.push({ ...batch, bytes: batch.bytes.slice(0, batch.count * batch.slotBytes) });
    frames.push(...framesOf(batch, names));
  };
  const bytes = typeof input === 'string' ? new TextEncoder().encode(input) : input;
  for (let start = 0; start < bytes.length; start += size) {
    const chunk = bytes.subarray(start, start + size);
    for (let at = 0; at < chunk.length; ) {
      at = reader.feed(chunk, at);
      if (reader.ready) take();
    }
  }
  for (reader.end(); reader.ready; reader.end()) take();
  expect(problems).toHaveLength(reader.malformed);
  return { frames, problems, batches, reader };
}

export function framesOf({ bytes, slotBytes, count }: FrameBatch, names: readonly string[]): Frame[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Array.from({ length: count }, (_, i) => {
    const slot = i * slotBytes;
    const length = bytes[slot + 12]!;
    const id = view.getUint32(slot + 8, true);
    const payload = Buffer.from(bytes.subarray(slot + 16, slot + slotBytes)).toString('hex');
    const shown = (id & 0x4000_0000) === 0 ? length * 2 : 0;
    expect(length).toBeLessThanOrEqual(slotBytes === FD_SLOT_BYTES ? 64 : 8);
    // Nothing of an earlier frame may show behind a payload.
    expect(Number(`0x0${payload.slice(shown)}`)).toBe(0);
    return {
      time: Number(view.getBigUint64(slot, true)),
      id,
      length,
      flags: bytes[slot + 13]!,
      channel: names[bytes[slot + 14]!] ?? '?',
      data: payload.slice(0, shown),
    };
  });
}

/** A small generator of numbers from 0 to n − 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

/** Reads spoiled copies of a log in chunks of odd sizes; none may throw, hang, or make more frames than its bytes allow. */
export function fuzz(make: (options: LogOptions) => LogReader, log: Uint8Array, rounds = 300): void {
  const next = seeded(20261125);
  for (let round = 0; round < rounds; round++) {
    const bytes = Buffer.from(log);
    const changes = 1 + next(12);
    for (let i = 0; i < changes; i++) {
      const at = next(bytes.length);
      if (next(4) === 0) bytes.copyWithin(at, next(bytes.length));
      else bytes[at] = next(3) === 0 ? 0xff : next(256);
    }
    const cut = bytes.subarray(0, next(3) === 0 ? next(bytes.length) : bytes.length);
    const size = 1 + next(200);
    const { frames } = read(make, cut, { batchFrames: 1 + next(9) }, size);
    expect(frames.length).toBeLessThanOrEqual(cut.length * 64);
  }
}
