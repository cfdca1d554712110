import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ByteCounters } from '#firmware-bridge/mqtt';

/** Bytes over one network, TLS and MQTT included, TCP and IP headers not. */
export interface NetworkTraffic {
  readonly network: string;
  readonly sent: number;
  readonly received: number;
}

/** Keeps the totals beyond the process. */
export interface TrafficFile {
  read(): Promise<readonly NetworkTraffic[]>;
  write(totals: readonly NetworkTraffic[]): Promise<void>;
}

/** The totals are written this often at most, ms: a power cut loses the count of that time, and flash is spared. */
export const SAVE_MS = 10 * 60_000;

interface Totals {
  sent: number;
  received: number;
}

/** What each network was used for, summed since the unit was made. */
export class Traffic {
  readonly #network: string;
  readonly #file: TrafficFile | null;
  readonly #totals = new Map<string, Totals>();
  /** Of connections that stand: their counters since they began. */
  readonly #open = new Set<ByteCounters>();
  #savedMs: number;
  #saving: Promise<void> = Promise.resolve();

  constructor(network: string, file: TrafficFile | null, nowMs: number) {
    this.#network = network;
    this.#file = file;
    this.#savedMs = nowMs;
  }

  /** Reads the totals of the processes before. An unreadable file counts from 0: it is no reason not to send. */
  async load(): Promise<void> {
    const kept = await (this.#file?.read() ?? Promise.resolve([]));
    for (const { network, sent, received } of kept) this.#add(network, sent, received);
  }

  /** A connection began. */
  began(wire: ByteCounters): void {
    this.#open.add(wire);
  }

  /** It ended: its counters are final. */
  ended(wire: ByteCounters, nowMs: number): void {
    if (!this.#open.delete(wire)) return;
    this.#add(this.#network, wire.sentBytes, wire.receivedBytes);
    if (nowMs - this.#savedMs >= SAVE_MS) void this.save(nowMs);
  }

  totals(): readonly NetworkTraffic[] {
    let sent = 0;
    let received = 0;
    for (const wire of this.#open) {
      sent += wire.sentBytes;
      received += wire.receivedBytes;
    }
    const networks = new Map(this.#totals);
    const now = networks.get(this.#network) ?? { sent: 0, received: 0 };
    networks.set(this.#network, { sent: now.sent + sent, received: now.received + received });
    return [...networks].map(([network, total]) => ({ network, ...total }));
  }

  /** Writes the totals when their time has come. */
  async tick(nowMs: number): Promise<void> {
    if (nowMs - this.#savedMs >= SAVE_MS) await this.save(nowMs);
  }

  /** A disk that is full or read-only costs the count, not the uplink. */
  async save(nowMs: number): Promise<void> {
    this.#savedMs = nowMs;
    const file = this.#file;
    if (file === null) return;
    const totals = this.totals();
    this.#saving = this.#saving.then(() => file.write(totals)).catch(() => undefined);
    await this.#saving;
  }

  #add(network: string, sent: number, received: number): void {
    const total = this.#totals.get(network) ?? { sent: 0, received: 0 };
    this.#totals.set(network, { sent: total.sent + sent, received: total.received + received });
  }
}

/** The totals in a JSON file, replaced whole. */
export function trafficFile(path: string): TrafficFile {
  return {
    read: async () => {
      const text = await readFile(path, 'utf8').catch(() => '[]');
      return totalsIn(text);
    },
    write: async (totals) => await replaceFile(path, JSON.stringify(totals)),
  };
}

function totalsIn(text: string): NetworkTraffic[] {
  try {
    const kept: unknown = JSON.parse(text);
    return Array.isArray(kept) ? kept.filter(isTotal) : [];
  } catch {
    return [];
  }
}

function isTotal(value: unknown): value is NetworkTraffic {
  if (typeof value !== 'object' || value === null) return false;
  const { network, sent, received } = value as Record<string, unknown>;
  const counts = [sent, received].every((count) => Number.isSafeInteger(count) && (count as number) >= 0);
  return typeof network === 'string' && counts;
}

/** Replaces a file so that a power cut leaves the old or the new one. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = await open(`${path}.tmp`, 'w', 0o600);
  try {
    await temporary.writeFile(text);
    await temporary.sync();
  } finally {
    await temporary.close();
  }
  await rename(`${path}.tmp`, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
