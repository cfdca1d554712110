import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { examine } from './examine.ts';
import { type Event, Replayer, readRecord } from './replay.ts';

export interface Verdict {
  /** Cuts that were examined, and those among them that lost something of what was written. */
  readonly cuts: number;
  readonly lossy: number;
  readonly events: number;
  /** Cuts after which something was wrong, with what. */
  readonly faults: readonly { readonly point: number; readonly what: readonly string[] }[];
}

/** Syncs that do not reach the disk in a control run: as `synchronous=OFF`, or a disk that lies. */
export type Control = 'no-syncs' | 'no-wal-syncs' | null;

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Why the rig cannot run here, or null. */
export function missing(): string | null {
  if (process.platform !== 'linux') return 'the rig needs Linux';
  return spawnSync('gcc', ['--version']).status === 0 ? null : 'the rig needs gcc (apt install gcc libc6-dev)';
}

export interface Life {
  readonly events: Event[];
  /** The files that the killed process left. */
  readonly left: ReadonlyMap<string, Buffer>;
}

export interface LifeOptions {
  /** Answers become durable with the next fold only. */
  readonly lazy?: boolean;
  /** The store runs with `synchronous=OFF`. */
  readonly unsynced?: boolean;
}

/** Longer than any life. */
const LAZY_MS = 3_600_000;

/** Records one life of the store; its folder is removed. */
export function recordLife(rounds: number, { lazy = false, unsynced = false }: LifeOptions = {}): Life {
  const place = mkdtempSync(join(tmpdir(), 'tollgate-powercut-'));
  try {
    const recorder = join(place, 'recorder.so');
    const built = spawnSync('gcc', ['-O2', '-shared', '-fPIC', '-o', recorder, here('recorder.c'), '-ldl'], {
      encoding: 'utf8',
    });
    if (built.status !== 0) throw new Error(`gcc: ${built.stderr}`);
    const folder = join(place, 'store');
    const log = join(place, 'record');
    mkdirSync(folder);
    const how = [`${rounds}`, `${lazy ? LAZY_MS : 0}`, unsynced ? 'off' : 'full'];
    const env = { ...process.env, LD_PRELOAD: recorder, PC_DIR: folder, PC_LOG: log, UV_USE_IO_URING: '0' };
    const lived = spawnSync(process.execPath, [here('workload.ts'), folder, ...how], { env, encoding: 'utf8' });
    if (lived.signal !== 'SIGKILL') throw new Error(`the workload ended by itself: ${lived.stderr}`);
    const names = readdirSync(folder).filter((name) => !/-(shm|lock)$/.test(name));
    return {
      events: readRecord(readFileSync(log)),
      left: new Map(names.map((name) => [name, readFileSync(join(folder, name))])),
    };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** The record must lead, byte for byte, to the files that the killed process left; else the rig is blind. */
export function selfCheck(events: readonly Event[], left: ReadonlyMap<string, Buffer>): string[] {
  const replayer = new Replayer(events);
  replayer.advance(events.length);
  const whole = replayer.whole();
  const names = new Set([...whole.keys(), ...left.keys()]);
  return [...names].filter((name) => !whole.get(name)?.equals(left.get(name) ?? Buffer.alloc(0)));
}

/** Cuts the power at `cuts` points of the record and examines what is left. */
export async function cutPower(
  events: readonly Event[],
  cuts: number,
  seed: number,
  control: Control = null,
): Promise<Verdict> {
  const random = generator(seed);
  const ignored = ({ op }: Event, name: string) => {
    const sync = op === 4 || op === 5 || op === 8 || op === 9;
    return sync && (control === 'no-syncs' || (control === 'no-wal-syncs' && name.endsWith('-wal')));
  };
  const points = cutPoints(events, cuts, random);
  const replayer = new Replayer(events, ignored);
  const faults: { point: number; what: string[] }[] = [];
  let lossy = 0;
  let examined = 0;
  const base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  for (const point of points) {
    replayer.advance(point);
    const { files, dropped } = replayer.cut(random);
    if (dropped > 0) lossy++;
    const folder = mkdtempSync(join(base, 'tollgate-cut-'));
    try {
      const started = ++examined % STARTED_EVERY === 0;
      const what = await examine(folder, files, replayer.promised, started);
      if (what.length > 0) faults.push({ point, what });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return { cuts, lossy, events: events.length, faults };
}

/** Every so many cuts a process is started on what is left, before the store's recovery runs in this one. */
const STARTED_EVERY = 50;
/** Share of the cuts that lie near a sync: there is most to lose, and the rarest mistake to find. */
const NEAR_SYNC = 0.5;
const NEAR_EVENTS = 3;

function cutPoints(events: readonly Event[], cuts: number, random: () => number): number[] {
  const syncs = events.flatMap(({ op }, index) => (op === 5 || op === 9 ? [index] : []));
  const anywhere = () => 1 + Math.floor(random() * events.length);
  const near = () => {
    const sync = syncs[Math.floor(random() * syncs.length)]!;
    const at = sync - NEAR_EVENTS + Math.floor(random() * (2 * NEAR_EVENTS + 1));
    return Math.min(events.length, Math.max(1, at));
  };
  const points = Array.from({ length: cuts }, () => (syncs.length > 0 && random() < NEAR_SYNC ? near() : anywhere()));
  return points.sort((a, b) => a - b);
}

/** mulberry32: the same cuts for the same seed. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
