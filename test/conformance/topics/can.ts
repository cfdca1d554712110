import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CAN_EFF_FLAG,
  CANFD_FDF,
  CLASSIC_SLOT_BYTES,
  FD_SLOT_BYTES,
  type FrameBatch,
  HEADER_BYTES,
  OFFSET_FLAGS,
  OFFSET_ID,
  OFFSET_LENGTH,
} from '#contracts';
import { type Database, loadDatabase } from '#dbc';
import {
  createDecoder,
  createEncoder,
  type Decoder,
  type Encoder,
  type EncodeValue,
  overlaps,
  RowReader,
  signalInfos,
} from '#decoders';
import { checkCorpus } from '../can-corpus.ts';
import type { TopicResult } from '../topic.ts';

export const topic = 'can';

/** One line of NAME.dbc.jsonl. Integers beyond 2^53 are decimal strings; NaN and Infinity are strings. */
interface Row {
  readonly id: number;
  readonly ext: boolean;
  readonly fd: boolean;
  readonly name: string;
  readonly data: string;
  readonly values?: Readonly<Record<string, number | string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** Hex that encoding `values` gives back. */
  readonly encode?: string;
  /** The reference refuses the frame. */
  readonly error?: string;
}

interface Decoded {
  readonly values: ReadonlyMap<string, number | bigint>;
  readonly labels: ReadonlyMap<string, string>;
  /** Some signal does not fit into the frame, or two signals of one byte order claim the same bits. */
  readonly refused: boolean;
}

class Score {
  readonly problems: string[] = [];
  readonly counts = { values: [0, 0], encodes: [0, 0], refusals: [0, 0] } satisfies Record<string, [number, number]>;

  /** Counts one comparison; what differs is told with its place. */
  count(kind: 'values' | 'encodes' | 'refusals', isEqual: boolean, problem: () => string): void {
    this.counts[kind][1]!++;
    if (isEqual) this.counts[kind][0]!++;
    else this.problems.push(problem());
  }

  /** Something that the reference does not have: never part of a sum of equal ones. */
  surplus(problem: string): void {
    this.problems.push(problem);
  }

  text(kind: 'values' | 'encodes' | 'refusals'): string {
    const [equal, all] = this.counts[kind];
    return `${equal} of ${all} ${kind}`;
  }
}

/** Decodes and encodes every vector under DIR/can/vectors and loads every database under DIR/can/corpus. */
export async function run(dir: string): Promise<TopicResult> {
  const score = new Score();
  const vectors = join(dir, 'can', 'vectors');
  for (const file of readdirSync(vectors)
    .filter((name) => name.endsWith('.dbc.jsonl'))
    .sort()) {
    compareFile(vectors, file, score);
  }
  const corpus = await checkCorpus(dir);
  const passed = score.counts.values[0]! + score.counts.encodes[0]! + score.counts.refusals[0]! + corpus.passed;
  const compared = score.counts.values[1]! + score.counts.encodes[1]! + score.counts.refusals[1]!;
  const failed = compared - (passed - corpus.passed) + corpus.failed;
  const surplus = score.problems.length - (compared - (passed - corpus.passed));
  return {
    line: `can: ${score.text('values')}, ${score.text('encodes')}, ${score.text('refusals')}, ${corpus.loads.equal} of ${corpus.loads.total} loads`,
    passed,
    failed: failed + surplus,
    skipped: 0,
    problems: [...score.problems, ...corpus.problems],
  };
}

function compareFile(vectors: string, file: string, score: Score): void {
  const dbc = file.slice(0, -'.jsonl'.length);
  const { database } = loadDatabase(readFileSync(join(vectors, dbc)), { file: dbc });
  const decoder = createDecoder({ channel: 0, database, signals: signalInfos(database) });
  const encoder = createEncoder(database);
  const lines = readFileSync(join(vectors, file), 'utf8').split('\n');
  for (const [i, line] of lines.entries()) {
    if (line.trim() === '') continue;
    const row: Row = JSON.parse(line);
    const place = `${file}:${i + 1} ${row.name}`;
    compareDecoded(row, decode(decoder, database, row), place, score);
    if (row.encode !== undefined)
      compareEncoded(row, encoder, place, score, (hex) => decode(decoder, database, { ...row, data: hex }));
  }
}

function compareDecoded(row: Row, decoded: Decoded | null, place: string, score: Score): void {
  if (row.error !== undefined) {
    score.count(
      'refusals',
      decoded === null || decoded.refused,
      () => `${place}: decoded, but the reference refuses it`,
    );
    return;
  }
  if (decoded?.refused === true) score.surplus(`${place}: refused, but the reference decodes it`);
  const expected = Object.entries(row.values ?? {});
  for (const [name, value] of expected) {
    const came = decoded?.values.get(name);
    const label = decoded?.labels.get(name);
    const isEqual = came !== undefined && isSame(came, value) && isSameText(label, row.labels?.[name]);
    score.count(
      'values',
      isEqual,
      () => `${place}.${name}: ${came ?? 'absent'} ${label ?? ''}, wanted ${value} ${row.labels?.[name] ?? ''}`,
    );
  }
  for (const name of decoded?.values.keys() ?? []) {
    if (!Object.hasOwn(row.values ?? {}, name)) score.surplus(`${place}.${name}: is there, but not in the reference`);
  }
}

/** Equal as doubles (NaN is NaN, −0 is 0), and as integers where the reference gives one as text. */
function isSame(came: number | bigint, wanted: number | string): boolean {
  if (typeof wanted === 'string' && /^-?\d+$/.test(wanted)) {
    return typeof came === 'bigint' || Number.isInteger(came) ? BigInt(came) === BigInt(wanted) : false;
  }
  const [a, b] = [Number(came), Number(wanted)];
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}

const WINDOWS_1252 = new TextDecoder('windows-1252');

/** The reference reads every file as windows-1252; we read UTF-8 as what it is. */
function isSameText(came: string | undefined, wanted: string | undefined): boolean {
  return came === wanted || (came !== undefined && WINDOWS_1252.decode(new TextEncoder().encode(came)) === wanted);
}

/**
 * A NaN has many bit patterns and its text names none: where a value is NaN, the wanted bytes are decoded and encoded
 * once more before they are compared, which leaves every other bit as it is.
 */
function compareEncoded(
  row: Row,
  encoder: Encoder,
  place: string,
  score: Score,
  decoded: (hex: string) => Decoded | null,
): void {
  const encoded = (values: Readonly<Record<string, EncodeValue>>) =>
    Buffer.from(encoder.encode(row.name, values).data).toString('hex');
  let wanted = row.encode!;
  let came: string;
  try {
    came = encoded({ ...row.values });
    if (Object.values(row.values ?? {}).includes('NaN'))
      wanted = encoded(Object.fromEntries(decoded(wanted)?.values ?? []));
  } catch (error) {
    came = (error as Error).message;
  }
  score.count('encodes', came === wanted, () => `${place}: encodes as ${came}, wanted ${row.encode}`);
}

function decode(decoder: Decoder, database: Database, row: Row): Decoded | null {
  const [frame] = new RowReader(decoder.layout, database).read(decoder.decode(batchOf(row)));
  if (frame === undefined) return null;
  const message = database.messages.findLast(({ id, extended }) => id === row.id && extended === row.ext)!;
  const contradicts = overlaps(message).some(([a, b]) => frame.values.has(a.name) && frame.values.has(b.name));
  return { values: frame.values, labels: frame.labels, refused: frame.short || contradicts };
}

function batchOf(row: Row): FrameBatch {
  const data = Buffer.from(row.data, 'hex');
  const slotBytes = data.length > 8 ? FD_SLOT_BYTES : CLASSIC_SLOT_BYTES;
  const bytes = new Uint8Array(slotBytes);
  new DataView(bytes.buffer).setUint32(OFFSET_ID, row.ext ? (row.id | CAN_EFF_FLAG) >>> 0 : row.id, true);
  bytes[OFFSET_LENGTH] = data.length;
  bytes[OFFSET_FLAGS] = row.fd ? CANFD_FDF : 0;
  bytes.set(data, HEADER_BYTES);
  return {
    bytes,
    slotBytes,
    count: 1,
    bootId: new Uint8Array(8),
    utcOffsetNs: null,
    utcErrorNs: Number.POSITIVE_INFINITY,
    utcSource: 'unknown',
  };
}
