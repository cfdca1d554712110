import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type FrameBatch, type IdMask, OFFSET_FLAGS, OFFSET_ID, OFFSET_LENGTH, OFFSET_TIME } from '#contracts';
import { readClocks } from '#firmware-bridge/boottime';
import type { CanDriver } from '#firmware-bridge/can/driver';
import { driver as native } from '#firmware-bridge/can/native';
import { type CanHealth, type CanSource, canSource } from '#firmware-bridge/can/source';

/** What a listener saw. */
export class Listener {
  readonly source: CanSource;
  readonly health: CanHealth[] = [];
  frames = 0;
  batches = 0;
  lastNumber = -1n;
  /** Frames whose number is not above the one before. */
  disorder = 0;
  wrongTimes = 0;
  lengths = new Set<number>();
  flags = new Set<number>();
  ids = new Set<number>();

  private constructor(source: CanSource) {
    this.source = source;
  }

  static async on(
    name: string,
    {
      ids = null,
      masks = [],
      fd = false,
      driver = native,
      idBudget = 0,
    }: {
      ids?: readonly number[] | null;
      masks?: readonly IdMask[];
      fd?: boolean;
      driver?: CanDriver;
      idBudget?: number;
    } = {},
  ): Promise<Listener> {
    const heard: CanHealth[] = [];
    const source = canSource({
      name,
      interface: name,
      channel: 0,
      fd,
      bootId: new Uint8Array(8),
      clock: { bootNs: () => 0n, monotonicMs: () => 0, utc: () => ({ offsetNs: null, errorNs: 0, source: 'unknown' }) },
      driver,
      idBudget,
      onHealth: (health) => heard.push(health),
    });
    const listener = new Listener(source);
    (listener as { health: CanHealth[] }).health = heard;
    await source.open((batch) => listener.#take(batch), { ids: [ids], masks: [masks] });
    return listener;
  }

  #take({ bytes, slotBytes, count }: FrameBatch): void {
    this.batches++;
    this.frames += count;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const { bootNs } = readClocks();
    for (let at = 0; at < count * slotBytes; at += slotBytes) {
      const time = view.getBigInt64(at + OFFSET_TIME, true);
      if (time > bootNs || bootNs - time > 10_000_000_000n) this.wrongTimes++;
      this.ids.add(view.getUint32(at + OFFSET_ID, true));
      this.lengths.add(bytes[at + OFFSET_LENGTH]!);
      this.flags.add(bytes[at + OFFSET_FLAGS]!);
      const number = view.getBigUint64(at + 16, true);
      if (number <= this.lastNumber) this.disorder++;
      this.lastNumber = number;
    }
  }
}

/** Runs a program of the guest to its end. */
export async function run(command: string, ...args: string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}`);
}

export function start(command: string, ...args: string[]): ChildProcess {
  return spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

export function ip(...args: string[]): void {
  const done = spawnSync('ip', args, { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`ip ${args.join(' ')}: ${done.stderr}`);
}

/** `count` frames with a running number in their data; `gapMs` 0 is as fast as the queue takes them. */
export async function generate(
  name: string,
  id: string,
  count: number,
  gapMs: number,
  ...more: string[]
): Promise<void> {
  await run(
    'cangen',
    name,
    '-I',
    id,
    '-L',
    '8',
    '-D',
    'i',
    '-g',
    String(gapMs),
    '-p',
    '100',
    '-n',
    String(count),
    ...more,
  );
}
