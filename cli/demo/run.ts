import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '#agent/config/load';
import { Service } from '#agent/service';
import { serviceStatus } from '#agent/status';
import type { FrameSource } from '#contracts';
import { loadReceiverKeys, type ReceiverAlarm, type ReceiverService, SqliteStore, startReceiver } from '#receiver';
import type { Broker } from '#sim/broker';
import type { Io } from '../command.ts';
import { bold } from '../text.ts';
import { version } from '../version.ts';
import { paced } from './paced.ts';
import { type DemoSetup, prepare } from './setup.ts';
import { type Outcome, outcomeText, verifyDemo } from './verify.ts';
import { type DemoPicture, DemoView } from './view.ts';

export interface DemoOptions {
  /** A real log, or null for the simulated drive. */
  readonly source: { readonly log: string; readonly dbc: string } | null;
  /** Length of the simulated drive, s. */
  readonly seconds: number;
  readonly fast: boolean;
}

/** With a person watching, the drive goes this much faster than time. */
const WATCHED_SPEED = 8;
const PICTURE_MS = 250;
const RATE_MS = 2_000;
/** Proofs come every few seconds, so that a short demo shows them. */
const PUBLISH_MS = 3_000;
const PROVEN_MS = 20_000;
const SILENT = { info: () => undefined, warn: () => undefined };

interface Recipient {
  readonly did: string;
  readonly service: ReceiverService;
  readonly store: SqliteStore;
}

/** @returns exit code: 0 only when everything verified */
export async function runDemo(options: DemoOptions, io: Io): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-demo-'));
  const { startBroker } = await import('#sim/broker');
  const broker = await startBroker();
  try {
    const setup = await prepare(folder, broker.url, options);
    io.out(introduction(setup, options, io));
    const alarms: ReceiverAlarm[] = [];
    const recipients = await Promise.all(setup.recipients.map((one) => receiver(one, broker.url, alarms)));
    const service = await Service.open({
      config: setup.config,
      log: SILENT,
      version: version(),
      publishMs: PUBLISH_MS,
      source: (config) => sourceOf(config, options),
    });
    const settled = await play(service, recipients, broker, io);
    for (const { service: one } of recipients) await one.close();
    const outcome = await verifyDemo(setup, recipients, {
      settled,
      alarms: alarms.length,
      brokerBytes: broker.published.bytes,
    });
    for (const { store } of recipients) await store.close();
    io.out(outcomeText(outcome, io));
    return isGood(outcome) ? 0 : 1;
  } finally {
    await broker.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function introduction(setup: DemoSetup, { source, seconds }: DemoOptions, io: Io): string {
  const what = source === null ? `a simulated electric car drives ${seconds} s` : `the log ${source.log}`;
  return `${bold('Tollgate demo', io)}: ${what}; ${setup.config.documents.campaigns.length} campaigns ask, ${setup.config.documents.agreements.length} agreements answer.
Nothing leaves the vehicle unless its policy lets it.
`;
}

async function sourceOf(
  config: Config['sources'][number],
  { seconds, fast, source }: DemoOptions,
): Promise<FrameSource> {
  const bootId = new Uint8Array(8);
  if (source === null) {
    const { vehicleSource } = await import('#sim/vehicle');
    const vehicle = await vehicleSource({ name: config.name, dbc: config.dbc, realtime: false, bootId, seconds });
    return fast ? vehicle : paced(vehicle, WATCHED_SPEED);
  }
  const { logSource } = await import('#agent/sources/log');
  const log = logSource({ name: config.name, path: source.log, channel: 0, bootId, batchFrames: 256 });
  return fast ? log : paced(log, WATCHED_SPEED);
}

async function receiver(
  one: DemoSetup['recipients'][number],
  url: string,
  alarms: ReceiverAlarm[],
): Promise<Recipient> {
  await mkdir(one.folder, { recursive: true });
  const store = new SqliteStore(join(one.folder, 'receiver.sqlite'));
  const service = await startReceiver({
    url,
    protocol: 4,
    keys: await loadReceiverKeys(one.folder),
    store,
    alarm: (alarm) => alarms.push(alarm),
  });
  return { did: one.did, service, store };
}

async function play(service: Service, recipients: readonly Recipient[], broker: Broker, io: Io): Promise<boolean> {
  const view = new DemoView(io);
  const startMs = performance.now();
  /** Frames come in batches: the rate is that of the last seconds. */
  const seen = [{ frames: 0, ms: startMs }];
  const draw = async () => {
    const status = await serviceStatus(service);
    const now = performance.now();
    const frames = status.unit.path.frames + status.unit.path.skipped;
    const picture: DemoPicture = {
      seconds: (now - startMs) / 1000,
      driven: service.unit.drivenSeconds,
      framesPerSecond: (frames - seen[0]!.frames) / Math.max(0.001, (now - seen[0]!.ms) / 1000),
      status,
      receiver: sum(recipients),
      brokerBytes: broker.published.bytes,
      meter: await meterOf(service),
      planDenials: service.plan.denials,
    };
    seen.push({ frames, ms: now });
    if (now - seen[0]!.ms > RATE_MS) seen.shift();
    view.show(picture);
  };
  let drawing = Promise.resolve();
  const timer = setInterval(() => {
    drawing = drawing.then(draw).catch(() => undefined);
  }, PICTURE_MS);
  try {
    await service.play(io.signal);
    const settled = await service.settle(io.signal);
    await proven(recipients, service, io.signal);
    clearInterval(timer);
    await drawing;
    await draw();
    await service.end();
    return settled;
  } finally {
    clearInterval(timer);
  }
}

function sum(recipients: readonly Recipient[]): { opened: number; proven: number } {
  let opened = 0;
  let provenRecords = 0;
  for (const { service } of recipients) {
    const status = service.status();
    opened += status.opened;
    provenRecords += status.proven;
  }
  return { opened, proven: provenRecords };
}

async function meterOf(service: Service): Promise<DemoPicture['meter']> {
  const rows = new Map<string, { recipient: string; purpose: string; samples: number; bytes: number }>();
  for (const { recipient, purpose, samples, bytes } of await service.unit.store.meter()) {
    const row = rows.get(`${recipient} ${purpose}`) ?? { recipient, purpose, samples: 0, bytes: 0 };
    rows.set(`${recipient} ${purpose}`, { ...row, samples: row.samples + samples, bytes: row.bytes + bytes });
  }
  return [...rows.values()];
}

/** The last proofs are on their way when the outbox is empty: waits until the receivers have checked them. */
async function proven(recipients: readonly Recipient[], service: Service, signal: AbortSignal): Promise<void> {
  const records = (await service.unit.store.meter()).reduce((all, row) => all + row.records, 0);
  const deadline = performance.now() + PROVEN_MS;
  while (!signal.aborted && performance.now() < deadline && sum(recipients).proven < records) await sleep(50);
}

function isGood({ checks }: Outcome): boolean {
  return checks.every(({ right }) => right);
}
