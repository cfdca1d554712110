/**
 * A program that gives one open receiver one filter after the other, sends it frames of the given id words each time, and prints as one
 * JSON line which of them it handed over. Input: a JSON file of `Round`s.
 */

import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { driver } from '#firmware-bridge/can/native';

export interface Round {
  /** null takes every frame. */
  readonly pairs: readonly number[] | null;
  readonly words: readonly number[];
}

export interface RoundSeen {
  readonly kept: readonly number[];
  readonly skipped: number;
  readonly filteredBy: string;
}

const SLOT_BYTES = 24;
const rounds: readonly Round[] = JSON.parse(readFileSync(process.argv[2]!, 'utf8'));
const kept: number[] = [];
const can = driver.open(
  {
    interface: 'can0',
    slotBytes: SLOT_BYTES,
    batchFrames: 32,
    channel: 0,
    pairs: new Uint32Array(0),
    perSecond: 0,
    receiveBuffer: 2 ** 20,
    coalesceMs: 1,
  },
  (bytes, count) => {
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < count; i++) kept.push(view.getUint32(i * SLOT_BYTES + 8, true));
    can.resume();
  },
);
const socket = createSocket('udp4');
const seen: RoundSeen[] = [];
let sent = 0;
for (const { pairs, words } of rounds) {
  can.refilter(pairs === null ? null : Uint32Array.from(pairs));
  const before = can.counters.skipped;
  for (const word of words) {
    const frame = Buffer.alloc(16);
    frame.writeUInt32LE(word, 0);
    frame[4] = 8;
    await new Promise((done) => socket.send(frame, Number(process.env.STAND_IN_PORT), '127.0.0.1', done));
  }
  sent += words.length;
  while (can.counters.received + can.counters.errorFrames < sent) await sleep(1);
  // The last batch is handed over within the same turn as it was read, or the next.
  await sleep(5);
  seen.push({ kept: kept.splice(0), skipped: can.counters.skipped - before, filteredBy: can.filteredBy });
}
can.close();
socket.close();
process.stdout.write(`${JSON.stringify(seen)}\n`);
