/** A program that uses the addon as nobody should, under the stand-in; prints one JSON line, and must end by itself with 0. */

import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { type NativeHandle, type NativeOpen, nativeAddon } from '#firmware-bridge/native';

const addon = nativeAddon();
const STATS = 10;

function options(more: Partial<Record<keyof NativeOpen, unknown>> = {}): NativeOpen {
  const slots = new Uint8Array(16 * 24);
  const usual = {
    interface: 'can0',
    slots,
    slotBytes: 24,
    channel: 0,
    receiveBuffer: 65_536,
    stats: new Float64Array(STATS),
  };
  return { ...usual, filters: null, pairs: null, perSecond: 0, coalesceMs: 1, ...more } as NativeOpen;
}

function refusal(more: Partial<Record<keyof NativeOpen, unknown>>): unknown {
  return attempt(() => addon.close(addon.open(options(more), () => {})));
}

function attempt(work: () => unknown): unknown {
  try {
    work();
    return 'done';
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : (error as { errno?: number }).errno;
  }
}

/** A classic frame of `length` as the kernel would say it. */
async function send(length: number, count: number): Promise<void> {
  const frame = Buffer.alloc(16, 0xee);
  frame.writeUInt32LE(0x123, 0);
  frame[4] = length;
  const socket = createSocket('udp4');
  for (let i = 0; i < count; i++)
    await new Promise((sent) => socket.send(frame, Number(process.env.STAND_IN_PORT), '127.0.0.1', sent));
  socket.close();
}

if (!isMainThread) {
  addon.open(options(), () => {});
  parentPort!.postMessage('open');
} else {
  const refused = [
    { slotBytes: 0 },
    { slotBytes: 8 },
    { slotBytes: 25 },
    { slotBytes: 96, slots: new Uint8Array(96) },
    { slots: new Uint8Array(23) },
    { slots: new Float64Array(100) },
    { slots: 'slots' },
    { stats: new Float64Array(STATS - 1) },
    { stats: new Uint8Array(800) },
    { stats: null },
    { interface: '' },
  ].map(refusal);

  // Closed within its own callback, then used.
  const { promise: closed, resolve } = Promise.withResolvers<number>();
  const slots = new Uint8Array(16 * 80);
  const handle: NativeHandle = addon.open(options({ slots, slotBytes: 80 }), (count) => {
    addon.close(handle);
    addon.close(handle);
    addon.resume(handle);
    resolve(count);
  });
  await send(200, 1);
  const count = await closed;
  await sleep(20);
  addon.resume(handle);
  addon.close(handle);
  refused.push(attempt(() => addon.refilter(handle, null, null)));
  const length = slots[12];
  const rest = slots.subarray(24, 80).every((byte) => byte === 0);

  // A thread that is ended while its socket is open, again and again.
  for (let i = 0; i < 5; i++) {
    const worker = new Worker(new URL(import.meta.url));
    await new Promise((opened) => worker.once('message', opened));
    await send(8, 3);
    await worker.terminate();
  }
  process.stdout.write(`${JSON.stringify({ refused, count, length, rest })}\n`);
}
