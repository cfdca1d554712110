import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { encodeSchema, schemaHash } from '#wire';
import { createRecordDecoder, createRecordEncoder } from '#wire/columns/index';
import { type Cut, cut, decimate, pick, schemaOf } from './wire-baseline/campaign.ts';
import { type DriveColumn, readDrive } from './wire-baseline/drive.ts';
import { FleetWiseEncoder, json, snappy } from './wire-baseline/fleetwise.ts';
import { onTheWire, openBenchSession, proofShare } from './wire-baseline/overhead.ts';
import { syntheticDrive } from './wire-baseline/synthetic.ts';
import { unseenDrives } from './wire-baseline/unseen.ts';

export const name = 'wire';

const MATERIAL = fileURLToPath(new URL('../../../shared/material/drive/', import.meta.url));
/** Five signals that an insurer asks for, and ten that say how a car is; where a log has other names, its first ones. */
const UBI = ['ID_D1.SPEED', 'ID_D1.BRAKE', 'ID_140.THROTTLE', 'ID_D0.ACCEL_LAT', 'ID_D0.ACCEL_LONG'];
const STATE = [
  ...['ID_D0.STEER_ANGLE', 'ID_D1.SPEED', 'ID_D1.BRAKE', 'ID_140.THROTTLE', 'ID_140.RPM', 'ID_141.GEAR'],
  ...['ID_154.EBRAKE', 'ID_156.FUEL', 'ID_360.COOLANT_TEMP', 'ID_360.BOOST'],
];
/** A made-up vehicle of the kind that training used, but none of those. */
const UNSEEN_SEED = 900_001;
const UNSEEN_SECONDS = 60;
const PASSES = 7;
/** The clock of a thread ticks in milliseconds: a pass lasts many of them. */
const PASS_MS = 60;

interface Compared {
  readonly tollgate: Sent;
  readonly tollgateBytesPerRecord: number;
  readonly protobufSnappy: Sent;
  readonly json: Sent;
  readonly ratioToProtobufSnappy: number;
  readonly ratioBareProtobufSnappyToOurs: number;
  readonly ratioToJson: number;
}

interface Measured {
  readonly records: number;
  readonly samples: number;
  readonly decodedBack: { readonly samples: number; readonly wrong: number };
  /** Every PUBLISH with its topic, as MQTT 3.1.1 must; and with an alias of MQTT 5 that both ends know already. */
  readonly wholeTopic: Compared;
  readonly topicAlias: Compared;
  readonly encodeNsPerSample: number;
  readonly decodeNsPerSample: number;
  readonly protobufSnappyEncodeNsPerSample: number;
}

/** Bytes a sample of one way of sending, and of each part. */
interface Sent {
  payload: number;
  envelope: number;
  proof: number;
  session: number;
  mqtt: number;
  tls: number;
  total: number;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}

/** Sizes of records, bare and sealed. */
interface Sizes {
  readonly records: readonly number[];
  readonly sealed: readonly number[];
}

function ours({ records, sealed }: Sizes, samples: number, seconds: number, alias: boolean, session: number): Sent {
  const sent: Sent = { payload: 0, envelope: 0, proof: 0, session: 0, mqtt: 0, tls: 0, total: 0 };
  records.forEach((payload, seq) => {
    const { mqtt, tls } = onTheWire(sealed[seq]!, alias);
    sent.payload += payload;
    sent.envelope += sealed[seq]! - payload;
    sent.mqtt += mqtt;
    sent.tls += tls;
    sent.proof += proofShare(seconds, alias);
    sent.session += session;
  });
  return perSample(sent, samples);
}

function theirs(sizes: readonly number[], samples: number, alias: boolean): Sent {
  const sent: Sent = { payload: 0, envelope: 0, proof: 0, session: 0, mqtt: 0, tls: 0, total: 0 };
  for (const payload of sizes) {
    const { mqtt, tls } = onTheWire(payload, alias);
    sent.payload += payload;
    sent.mqtt += mqtt;
    sent.tls += tls;
  }
  return perSample(sent, samples);
}

function perSample(sent: Sent, samples: number): Sent {
  const total = sent.payload + sent.envelope + sent.proof + sent.session + sent.mqtt + sent.tls;
  const of = (bytes: number): number => round(bytes / samples);
  return {
    payload: of(sent.payload),
    envelope: of(sent.envelope),
    proof: of(sent.proof),
    session: of(sent.session),
    mqtt: of(sent.mqtt),
    tls: of(sent.tls),
    total: of(total),
  };
}

/** Raw values and times that did not come back. */
function wrong(put: Cut, tables: Cut['tables']): number {
  let count = 0;
  put.tables.forEach(({ rows, timesMs, columns }, g) => {
    const back = tables[g]!;
    if (back.rows !== rows) {
      count++;
      return;
    }
    for (let i = 0; i < rows; i++) if (back.timesMs[i] !== timesMs[i]) count++;
    columns.forEach(({ values }, c) => {
      for (let i = 0; i < rows; i++) if (!Object.is(back.columns[c]!.values[i], values[i])) count++;
    });
  });
  return count;
}

/** Time of this thread, so that others on the machine do not count. */
function nanosecondsPer(samples: number, act: () => void): number {
  const times: number[] = [];
  for (let pass = 0; pass < PASSES; pass++) {
    const start = process.threadCpuUsage();
    const until = performance.now() + PASS_MS;
    let acts = 0;
    while (performance.now() < until || acts === 0) {
      act();
      acts++;
    }
    const { user, system } = process.threadCpuUsage(start);
    times.push(((user + system) * 1000) / samples / acts);
  }
  return Math.round(times.sort((a, b) => a - b)[PASSES >> 1]!);
}

async function measure(
  drive: readonly DriveColumn[],
  recordMs: number,
  fromMs: number,
  toMs: number,
  ticksPerMs: 1 | 10 = 1,
): Promise<Measured> {
  const cuts = cut(drive, recordMs, fromMs, toMs, ticksPerMs);
  const schema = schemaOf(drive, { ticksPerMs, baseMs: cuts[0]!.t0Ms, stepMs: recordMs });
  const samples = cuts.reduce((sum, one) => sum + one.samples, 0);
  const encoder = createRecordEncoder(schema);
  const decoder = createRecordDecoder(schema);
  const hash = schemaHash(encodeSchema(schema)).subarray(0, 8);
  const records = cuts.map(({ t0Ms, tables }) => encoder.encode(hash, t0Ms, tables));
  let differing = 0;
  let decoded = 0;
  records.forEach((bytes, i) => {
    const record = decoder.decode(bytes);
    differing += wrong(cuts[i]!, record.tables) + (record.t0Ms === cuts[i]!.t0Ms ? 0 : 1);
    decoded += record.samples;
  });
  const fleetWise = new FleetWiseEncoder();
  const seconds = recordMs / 1000;
  const packed = cuts.map((one) => snappy(fleetWise.encode(drive, one, recordMs)).length);
  const text = cuts.map((one) => Buffer.byteLength(json(drive, one)));
  const session = await openBenchSession(schema);
  const sealed: number[] = [];
  for (const [seq, bytes] of records.entries()) sealed.push(await session.seal(seq, bytes));
  const sizes = { records: records.map(({ length }) => length), sealed };
  const compare = (alias: boolean): Compared => {
    const tollgate = ours(sizes, samples, seconds, alias, session.share(seconds));
    const protobufSnappy = theirs(packed, samples, alias);
    const jsonText = theirs(text, samples, alias);
    return {
      tollgate,
      tollgateBytesPerRecord: round((tollgate.total * samples) / cuts.length),
      protobufSnappy,
      json: jsonText,
      ratioToProtobufSnappy: round(protobufSnappy.total / tollgate.total),
      ratioBareProtobufSnappyToOurs: round(protobufSnappy.payload / tollgate.total),
      ratioToJson: round(jsonText.total / tollgate.total),
    };
  };
  return {
    records: cuts.length,
    samples,
    decodedBack: { samples: decoded, wrong: differing },
    wholeTopic: compare(false),
    topicAlias: compare(true),
    encodeNsPerSample: nanosecondsPer(samples, () => {
      for (const { t0Ms, tables } of cuts) encoder.encode(hash, t0Ms, tables);
    }),
    decodeNsPerSample: nanosecondsPer(samples, () => {
      for (const bytes of records) decoder.decode(bytes);
    }),
    protobufSnappyEncodeNsPerSample: nanosecondsPer(samples, () => {
      for (const one of cuts) snappy(fleetWise.encode(drive, one, recordMs));
    }),
  };
}

/** The named signals, else the first `count` of the drive. */
function choose(drive: readonly DriveColumn[], names: readonly string[], count: number): DriveColumn[] {
  const found = pick(drive, names);
  if (found.reduce((sum, { raw }) => sum + raw.length, 0) === names.length) return found;
  const all = drive.flatMap(({ message }) => message.signals.map((signal) => `${message.name}.${signal.name}`));
  return pick(drive, all.slice(0, count));
}

async function campaigns(
  drive: readonly DriveColumn[],
  fromMs: number,
  toMs: number,
): Promise<Record<string, Measured>> {
  const cases: [string, readonly DriveColumn[]][] = [
    ['native', drive],
    ['ubi5at10Hz', decimate(choose(drive, UBI, UBI.length), 100)],
    ['state10at1Hz', decimate(choose(drive, STATE, STATE.length), 1000)],
  ];
  const result: Record<string, Measured> = {};
  for (const [title, columns] of cases) {
    for (const recordMs of [1000, 10_000]) {
      result[`${title}_${recordMs / 1000}s`] = await measure(columns, recordMs, fromMs, toMs);
    }
  }
  return result;
}

const endMs = (drive: readonly DriveColumn[]): number =>
  Math.floor(Math.max(...drive.map(({ timesUs }) => timesUs.at(-1)!)) / 1000);

/**
 * Bytes a sample, all in, against JSON and a FleetWise-style protobuf with snappy. Every signal of the log, every
 * sample, arrival to 1 ms; every raw value and time is decoded back in the same run.
 * `--log F --dbc F [--from SECONDS]`; without a log the drive of the material where it exists, and always made-up
 * vehicles: one of the kind that training used, and others that behave otherwise. The constants of the codec were trained
 * on other made-up vehicles only: every log is unseen.
 */
export async function run(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: { log: { type: 'string' }, dbc: { type: 'string' }, from: { type: 'string' } },
  });
  const own = values.log !== undefined && values.dbc !== undefined;
  const log = values.log ?? `${MATERIAL}drive.log`;
  const dbc = values.dbc ?? `${MATERIAL}drive.dbc`;
  const result: Record<string, unknown> = { unit: 'bytes a sample, all in' };
  const goals: Record<string, Goal> = {};
  if (own || (existsSync(log) && existsSync(dbc))) {
    const drive = readDrive(log, dbc);
    const fromMs = Number(values.from ?? 0) * 1000;
    const measured = await campaigns(drive, fromMs, endMs(drive));
    Object.assign(goals, driveGoals(measured));
    result.log = { ...measured, native_1s_100us: await measure(drive, 1000, fromMs, endMs(drive), 10) };
  } else result.log = `skipped: there is no ${log}`;
  result.generated = await campaigns(syntheticDrive(UNSEEN_SEED, UNSEEN_SECONDS), 0, UNSEEN_SECONDS * 1000);
  const unseen: Record<string, Record<string, Measured>> = {};
  for (const { name: title, drive } of unseenDrives(UNSEEN_SECONDS)) {
    const second = await measure(drive, 1000, 0, UNSEEN_SECONDS * 1000);
    const ten = await measure(drive, 10_000, 0, UNSEEN_SECONDS * 1000);
    unseen[title] = { native_1s: second, native_10s: ten };
    goals[`${title}, 1 s, ratio`] = atLeast(second.wholeTopic.ratioToProtobufSnappy, 10);
    goals[`${title}, 10 s, ratio`] = atLeast(ten.wholeTopic.ratioToProtobufSnappy, 14);
  }
  return { goals, ...result, unseen };
}

/** A figure that must be reached; for bytes also what it is with a topic alias. */
interface Goal {
  readonly is: number;
  readonly wanted: string;
  readonly reached: boolean;
  readonly withTopicAlias?: number;
}

const atLeast = (is: number, least: number, alias?: number): Goal => goal(is, `at least ${least}`, is >= least, alias);
const atMost = (is: number, most: number, alias?: number): Goal => goal(is, `at most ${most}`, is <= most, alias);
const goal = (is: number, wanted: string, reached: boolean, alias?: number): Goal => ({
  is,
  wanted,
  reached,
  ...(alias === undefined ? {} : { withTopicAlias: alias }),
});

/** What the drive of the material must reach. */
function driveGoals(measured: Readonly<Record<string, Measured>>): Record<string, Goal> {
  const of = (title: string, figure: (compared: Compared) => number): [number, number] => {
    const { wholeTopic, topicAlias } = measured[title]!;
    return [figure(wholeTopic), figure(topicAlias)];
  };
  const ratio = (one: Compared) => one.ratioToProtobufSnappy;
  const [native1, native1Alias] = of('native_1s', ratio);
  const [native10, native10Alias] = of('native_10s', ratio);
  const [ubi1, ubi1Alias] = of('ubi5at10Hz_1s', ({ tollgate }) => tollgate.total);
  const [ubi10, ubi10Alias] = of('ubi5at10Hz_10s', ratio);
  const [state, stateAlias] = of('state10at1Hz_1s', ({ tollgateBytesPerRecord }) => tollgateBytesPerRecord);
  return {
    'native, 1 s, ratio': atLeast(native1, 14, native1Alias),
    'native, 10 s, ratio': atLeast(native10, 20, native10Alias),
    'five signals at 10 Hz, 1 s, bytes a sample': atMost(ubi1, 3.2, ubi1Alias),
    'five signals at 10 Hz, 10 s, ratio': atLeast(ubi10, 8.5, ubi10Alias),
    'ten signals at 1 Hz, 1 s, bytes a record': atMost(state, 150, stateAlias),
    'native, 1 s, encode ns a sample': atMost(measured.native_1s!.encodeNsPerSample, 700),
    'wrong values or times': atMost(
      Object.values(measured).reduce((sum, { decodedBack }) => sum + decodedBack.wrong, 0),
      0,
    ),
  };
}
