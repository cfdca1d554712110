import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { playDrive } from '../conformance/drive/play.ts';
import { plants, TaintSearch } from './taint.ts';

/** Messages: half carry one value of 64 bits, half two of 16. */
const TAINTED = 6;
const PLAIN = 4;
const FRAME_US = 200;
const LOG_START_S = 1_767_225_600;
/** Markers of every frame are random; these are planted where the search must find them. */
const PLANTED = 3;

export interface NoBypassReport {
  readonly requests: number;
  readonly rounds: number;
  readonly markers: number;
  /** Places that were searched, of all rounds. */
  readonly places: readonly string[];
  readonly bytes: number;
  /** A marker of a denied signal, with the place and the form; must be empty. */
  readonly leaks: readonly string[];
  /** Planted leaks that the search did not find; must be empty. */
  readonly missed: readonly string[];
  readonly planted: number;
  /** Values of permitted signals that the receiver opened; a path that lets nothing out would pass all else. */
  readonly received: number;
  /** What ended otherwise than it should. */
  readonly failures: readonly string[];
}

/**
 * Frames whose denied signals are random 64-bit markers, under random plans, through agent, mosquitto and receiver as processes;
 * then every byte that any of them left is searched: store, WAL, outbox, keys, traffic, output, logs, temporary files, and what the
 * receiver decrypted and decompressed.
 *
 * @param requests frames in all
 */
export async function noBypass(
  requests: number,
  rounds: number,
  seed: number,
  mosquitto: string,
): Promise<NoBypassReport> {
  const random = xorshift(seed);
  const places = new Set<string>();
  const leaks: string[] = [];
  const missed: string[] = [];
  const failures: string[] = [];
  let [bytes, markers, planted, received, sent] = [0, 0, 0, 0, 0];
  for (let round = 0; round < rounds; round++) {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-taint-'));
    try {
      const frames = Math.floor((requests * (round + 1)) / rounds) - sent;
      sent += frames;
      const tainted: bigint[] = [];
      const log = join(folder, 'drive.log');
      writeFileSync(log, logText(frames, random, tainted));
      const dbc = join(folder, 'car.dbc');
      writeFileSync(dbc, dbcText());
      const plain = Array.from({ length: PLAIN }, (_, i) => [`P${i}.A`, `P${i}.B`]).flat();
      const open = plain.filter(() => random() < 0.5);
      const run = join(folder, 'run');
      mkdirSync(run);
      // Some are asked for and prohibited, the others nobody asks for.
      const deny = Array.from({ length: TAINTED }, (_, i) => `T${i}.V`).filter(() => random() < 0.6);
      const permit = open.length === 0 ? plain.slice(0, 1) : open;
      const played = await playDrive({ log, dbc, permit, deny, windowS: 1 }, run, mosquitto);
      if (played.agentExit !== 0 || played.receiverExit !== 0)
        failures.push(
          `round ${round}: agent ${played.agentExit}, receiver ${played.receiverExit}: ${played.messages.slice(-300)}`,
        );
      received += played.rows.length;
      markers += tainted.length;
      const search = new TaintSearch(tainted);
      const decrypted = Buffer.from(JSON.stringify(played.rows));
      for (const [place, content] of [...played.places, ['decrypted records', decrypted] as const]) {
        places.add(place.replace(/tollgate-[A-Za-z0-9]+/g, 'tollgate-'));
        bytes += content.length;
        leaks.push(...search.search(content).map((how) => `round ${round}: ${how} in ${place}`));
        for (const marker of tainted.slice(0, PLANTED)) {
          for (const { how, bytes: plant } of plants(marker)) {
            planted++;
            const at = Math.floor(random() * content.length);
            // Around the plant only: the whole place was searched above.
            const near = Buffer.concat([
              content.subarray(Math.max(0, at - 64), at),
              plant,
              content.subarray(at, at + 64),
            ]);
            if (!search.search(near).includes(how) && search.search(near).length === 0)
              missed.push(`${how} in ${place}`);
          }
        }
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return {
    requests: sent,
    rounds,
    markers,
    places: [...places].sort(),
    bytes,
    leaks,
    missed,
    planted,
    received,
    failures,
  };
}

export function dbcText(): string {
  const taint = Array.from(
    { length: TAINTED },
    (_, i) => `BO_ ${256 + i} T${i}: 8 ECU\n SG_ V : 0|64@1+ (1,0) [0|0] "" Vector__XXX\n`,
  );
  const plain = Array.from(
    { length: PLAIN },
    (_, i) =>
      `BO_ ${512 + i} P${i}: 4 ECU\n SG_ A : 0|16@1+ (1,0) [0|0] "" Vector__XXX\n SG_ B : 16|16@1+ (1,0) [0|0] "" Vector__XXX\n`,
  );
  return `VERSION ""\nNS_ :\nBS_:\nBU_: ECU\n\n${[...taint, ...plain].join('\n')}`;
}

export function logText(frames: number, random: () => number, tainted: bigint[]): string {
  const lines: string[] = [];
  const word = () => Math.floor(random() * 2 ** 32);
  for (let i = 0; i < frames; i++) {
    const us = i * FRAME_US;
    const s = LOG_START_S + Math.floor(us / 1e6);
    const time = `(${s}.${String(us % 1e6).padStart(6, '0')}) can0`;
    const which = Math.floor(random() * (TAINTED + PLAIN));
    if (which < TAINTED) {
      const data = Buffer.alloc(8);
      data.writeUInt32LE(word());
      data.writeUInt32LE(word(), 4);
      tainted.push(data.readBigUInt64LE());
      lines.push(`${time} ${(256 + which).toString(16)}#${data.toString('hex').toUpperCase()}`);
    } else {
      const data = Buffer.alloc(4);
      data.writeUInt32LE(word());
      lines.push(`${time} ${(512 + which - TAINTED).toString(16)}#${data.toString('hex').toUpperCase()}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function xorshift(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}
