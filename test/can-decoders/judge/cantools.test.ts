import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Database, loadDatabase } from '#dbc';
import { createDecoder, createEncoder, type DecodedFrame, overlaps, RowReader, signalInfos } from '#decoders';
import { batchOfRecords, RECORD_BYTES, randomFrames } from './frames.ts';
import { pythonWith } from './python.ts';

const JUDGE = fileURLToPath(new URL('./decode.py', import.meta.url));
const CORPUS = fileURLToPath(new URL('../../../../shared/material/can/corpus', import.meta.url));
/** A million of them are compared; the judge refuses some databases and frames. */
const FRAMES_EACH = 10_000;
const LEAST_FRAMES = 1_000_000;
const SEED = 20261125;
/** Half of the files each, for a machine of two cores. */
const WORKERS = 2;
const LIMIT_MS = 240_000;
/** The pattern that the judge writes for a signal that is not there. */
const ABSENT = 0x7ff8dead;
const MOST_PROBLEMS = 20;
/** The judge encodes each tenth frame that it decoded. */
const ENCODED_EVERY = 10;
const ENCODED_BYTES = 65;

const python = pythonWith('cantools', 'decoders are not judged');
const hasCorpus = existsSync(CORPUS);
if (!hasCorpus) console.warn('the corpus of databases is not beside this folder: decoders are not judged');

interface Head {
  readonly refused?: string;
  readonly messages: Readonly<Record<string, JudgedMessage>>;
  readonly big: readonly [count: number, sum: string];
}
interface JudgedMessage {
  readonly signals: readonly string[];
  readonly labels: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** What was compared over all files. */
class Tally {
  files = 0;
  refusedFiles = 0;
  frames = 0;
  values = 0;
  labels = 0;
  big = 0;
  refusals = 0;
  encodes = 0;
  unexplained = 0;
  readonly problems: string[] = [];

  problem(text: string): void {
    if (this.problems.length < MOST_PROBLEMS) this.problems.push(text);
  }
}

describe.skipIf(python === null || !hasCorpus)('cantools, on a million random frames over the corpus', () => {
  const tally = new Tally();
  let dir = '';

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'cantools-'));
    const files = readdirSync(CORPUS, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.dbc$/i.test(name))
      .sort();
    const workers = Array.from({ length: WORKERS }, () => new Judge(python!));
    await Promise.all(
      workers.map(async (worker, w) => {
        for (let i = w; i < files.length; i += WORKERS) {
          const { database } = loadDatabase(readFileSync(join(CORPUS, files[i]!)), { file: files[i]! });
          const records = randomFrames(database, FRAMES_EACH, SEED + i);
          const [frames, out] = [join(dir, `${w}.frames`), join(dir, `${w}.out`)];
          writeFileSync(frames, records);
          await worker.judge(join(CORPUS, files[i]!), frames, out);
          compare(files[i]!, database, records, readFileSync(out), tally);
        }
        worker.end();
      }),
    );
  }, LIMIT_MS);
  afterAll(() => rmSync(dir, { recursive: true }));

  it('decodes the same values, to the last bit, and no others, and encodes them to the same bytes', () => {
    expect(tally.problems).toEqual([]);
    expect(tally.frames).toBeGreaterThan(LEAST_FRAMES);
    expect(tally.values).toBeGreaterThan(LEAST_FRAMES);
    expect(tally.encodes).toBeGreaterThan(LEAST_FRAMES / 20);
    console.info(
      `cantools: ${tally.values} values and ${tally.labels} labels of ${tally.frames} frames of ${tally.files} databases are equal, ${tally.big} of them integers beyond 2^53, ${tally.encodes} frames encode alike; it refuses ${tally.refusedFiles} databases and ${tally.refusals} frames`,
    );
  });

  it('refuses only frames that are short, contradict themselves or have an unknown multiplexer value', () => {
    expect(tally.unexplained).toBe(0);
  });
});

/** One process of the judge; takes one database after the other. */
class Judge {
  readonly #child;
  readonly #lines;
  readonly #ended: Promise<never>;

  constructor(command: string) {
    this.#child = spawn(command, [JUDGE], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface(this.#child.stdout);
    this.#ended = once(this.#child, 'exit').then(() => Promise.reject(new Error('the judge ended')));
    this.#ended.catch(() => undefined);
  }

  async judge(dbc: string, frames: string, out: string): Promise<void> {
    const done = once(this.#lines, 'line');
    this.#child.stdin.write(`${dbc}\t${frames}\t${out}\n`);
    await Promise.race([done, this.#ended]);
  }

  end(): void {
    this.#child.stdin.end();
  }
}

function compare(file: string, database: Database, records: Uint8Array, out: Buffer, tally: Tally): void {
  const headEnd = out.indexOf(0x0a);
  const head: Head = JSON.parse(out.toString('utf8', 0, headEnd));
  tally.files++;
  if (head.refused !== undefined) {
    tally.refusedFiles++;
    return;
  }
  compareLabels(file, database, head, tally);
  const count = records.length / RECORD_BYTES;
  const statuses = out.subarray(headEnd + 1, headEnd + 1 + count);
  const values = new DataView(out.buffer, out.byteOffset + headEnd + 1 + count);
  const decoder = createDecoder({ channel: 0, database, signals: signalInfos(database) });
  const known = new Set(decoder.layout.messages.map(({ id }) => id));
  const rows = new RowReader(decoder.layout, database).read(decoder.decode(batchOfRecords(records)));
  const words = new DataView(records.buffer, records.byteOffset);
  const refusable = new Map<string, ReturnType<typeof overlaps>>();
  const encoded: DecodedFrame[] = [];
  let at = 0;
  let big = 0;
  let sum = 0n;
  for (let i = 0; i < count; i++) {
    const word = words.getUint32(i * RECORD_BYTES, true);
    const row = known.has(word) ? (rows.next().value as DecodedFrame) : null;
    if (row === null || statuses[i] === 2) {
      if (row !== null) tally.problem(`${file}: ${row.message.name} is unknown to the judge`);
      continue;
    }
    if (statuses[i] === 1) {
      tally.refusals++;
      if (!isRefusable(database, row, refusable)) tally.unexplained++;
      continue;
    }
    tally.frames++;
    for (const name of head.messages[word]!.signals) {
      const wanted = values.getFloat64(at, true);
      const isAbsent = values.getUint32(at + 4, true) === ABSENT;
      at += 8;
      const came = row.values.get(name);
      if (isAbsent !== (came === undefined))
        tally.problem(`${file}: ${row.message.name}.${name} is ${came}, wanted ${wanted}`);
      if (came === undefined) continue;
      tally.values++;
      const number = Number(came);
      if (number !== wanted && !(Number.isNaN(number) && Number.isNaN(wanted))) {
        tally.problem(`${file}: ${row.message.name}.${name} is ${came}, wanted ${wanted}`);
      }
      if (typeof came === 'bigint') {
        big++;
        sum += came;
      }
    }
    if (i % ENCODED_EVERY === 0) encoded.push(row);
  }
  compareEncodes(file, database, encoded, out.subarray(headEnd + 1 + count + at), tally);
  tally.big += big;
  if (big !== head.big[0] || BigInt.asUintN(64, sum).toString() !== head.big[1]) {
    tally.problem(`${file}: ${big} integers beyond 2^53, their sum ${BigInt.asUintN(64, sum)}, wanted ${head.big}`);
  }
}

/** Of each frame the bytes that its values encode to; one byte in front tells whether the judge encodes them at all. */
function compareEncodes(
  file: string,
  database: Database,
  frames: readonly DecodedFrame[],
  bytes: Uint8Array,
  tally: Tally,
): void {
  const { encode } = createEncoder({ ...database, messages: database.messages.toReversed() });
  for (const [i, { message, values }] of frames.entries()) {
    const wanted = bytes.subarray(i * ENCODED_BYTES + 1, (i + 1) * ENCODED_BYTES);
    // A NaN loses its payload bits on the way through a double.
    if (bytes[i * ENCODED_BYTES] !== 1 || [...values.values()].some(Number.isNaN)) continue;
    tally.encodes++;
    const { data } = encode(message.name, Object.fromEntries(values));
    const isSame = wanted.every((byte, at) => byte === (data[at] ?? 0));
    if (!isSame)
      tally.problem(
        `${file}: ${message.name} encodes as ${Buffer.from(data).toString('hex')}, wanted ${Buffer.from(wanted).toString('hex')}`,
      );
  }
}

function isRefusable(database: Database, row: DecodedFrame, known: Map<string, ReturnType<typeof overlaps>>): boolean {
  const message = database.messages.findLast(({ name }) => name === row.message.name)!;
  const pairs = known.get(message.name) ?? overlaps(message);
  known.set(message.name, pairs);
  return (
    row.short ||
    pairs.some(([a, b]) => row.values.has(a.name) && row.values.has(b.name)) ||
    message.signals.some(({ isMultiplexer }) => isMultiplexer)
  );
}

const WINDOWS_1252 = new TextDecoder('windows-1252');

/** The judge reads every file as windows-1252; we read UTF-8 and GB18030 as what they are. */
function compareLabels(file: string, database: Database, { messages }: Head, tally: Tally): void {
  for (const message of new Map(database.messages.map((one) => [`${one.extended}${one.id}`, one])).values()) {
    const word = message.extended ? message.id + 2 ** 31 : message.id;
    const judged = messages[word]?.labels ?? {};
    for (const signal of message.signals) {
      const wanted = judged[signal.name] ?? {};
      const came = new Map(signal.labels.map(({ value, text }) => [String(value), text]));
      for (const [raw, text] of Object.entries(wanted)) {
        tally.labels++;
        const ours = came.get(raw);
        const isSame =
          ours === text || (ours !== undefined && WINDOWS_1252.decode(new TextEncoder().encode(ours)) === text);
        const isAscii = /^[\x20-\x7e]*$/.test(text);
        if (!isSame && (isAscii || ours === undefined))
          tally.problem(`${file}: ${message.name}.${signal.name} ${raw} is "${ours}", wanted "${text}"`);
      }
    }
  }
}
