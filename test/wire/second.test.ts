import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  appendLeaf,
  consistencyProof,
  emptyRange,
  inclusionProof,
  keyIdOf,
  type NoteSigner,
  nodeCrypto,
  rootFromRange,
  sha256Tree,
  signCheckpoint,
  TYPE_ED25519,
  unitKeyName,
} from '#ledger';
import {
  ackKeyId,
  CborFloat,
  type CborValue,
  type ColumnType,
  chainStart,
  decodeCbor,
  encodeMeter,
  encodeProof,
  encodeRecord,
  encodeSchema,
  nextChain,
  openSession,
  recordLeaf,
  type Schema,
  signAck,
  type Table,
  type TableColumn,
} from '#wire';
import { HEAD_TABLE, MODEL_TABLE, WEIGHT_TABLE } from '#wire/columns/trained';
import * as parts from './parts.ts';
import { leaves } from './written.ts';

const SECOND = fileURLToPath(new URL('./second/decoder.py', import.meta.url));
const python = spawnSync('python3', ['--version']).status === 0;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const raw = (key: { x?: string | undefined; d?: string | undefined }, part: 'x' | 'd') =>
  new Uint8Array(Buffer.from(key[part]!, 'base64url'));

/** As the second decoder prints: bytes and floats in hex, whole numbers beyond 53 bits as text. */
function printed(value: unknown): unknown {
  if (value instanceof Uint8Array) return hex(value);
  if (value instanceof CborFloat) return float(value.value);
  if (typeof value === 'bigint') return `${value}`;
  if (Array.isArray(value)) return value.map(printed);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, one]) => [String(key), printed(one)]));
  return value;
}

function float(value: number): string {
  const bytes = Buffer.alloc(8);
  if (Number.isNaN(value)) bytes.writeUInt32BE(0x7ff80000);
  else bytes.writeDoubleBE(value);
  return `f${bytes.toString('hex')}`;
}

const TYPES: readonly ColumnType[] = ['int', 'wide', 'float32', 'float64'];

/** How the values of a column go on; each is met by another form of column. */
const KINDS: readonly ((dice: () => number, rows: number) => number[])[] = [
  (dice, rows) => Array(rows).fill(Math.floor(dice() * 500) - 250),
  (dice, rows) => walk(rows, () => Math.floor(dice() * 7) - 3),
  (dice, rows) => walk(rows, () => Math.floor(dice() * 2e5) - 1e5),
  (dice, rows) => counted(rows, Math.floor(dice() * 9), [16, 15, 256, 1000][Math.floor(dice() * 4)]!),
  (dice, rows) => Array.from({ length: rows }, () => [3, 900, -70_000][Math.floor(dice() * 3)]!),
  (dice, rows) => Array.from({ length: rows }, () => Math.floor(dice() * 65_536)),
  (dice, rows) => Array.from({ length: rows }, () => Math.floor((dice() - 0.5) * 2 ** 52)),
  (_, rows) => Array.from({ length: rows }, (_, i) => Math.round(1000 * Math.sin(i / 9))),
];
const walk = (rows: number, step: () => number) => {
  let value = 0;
  return Array.from({ length: rows }, () => (value += step()));
};
const counted = (rows: number, first: number, modulus: number) =>
  Array.from({ length: rows }, (_, i) => (first + i) % modulus);

function columnOf(dice: () => number, rows: number, type: ColumnType, beside: readonly number[] | null): TableColumn {
  const base = beside !== null && dice() < 0.3 ? beside.map((v) => v + Math.floor(dice() * 2)) : null;
  const values = base ?? KINDS[Math.floor(dice() * KINDS.length)]!(dice, rows);
  const present = dice() < 0.25 ? Uint8Array.from({ length: rows }, () => (dice() < 0.7 ? 1 : 0)) : null;
  const smooth = dice() < 0.3 ? 10 ** (8 * dice() - 4) : 0;
  const cells = Float64Array.from(values, (value, i) => {
    if (type === 'wide') return Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, value));
    if (type === 'int') return value;
    if (smooth !== 0) {
      const real = smooth * (3 + Math.sin(i / 20) + 1e-6 * dice());
      return type === 'float32' ? Math.fround(real) : real;
    }
    const kind = dice();
    if (kind < 0.02) return [Number.NaN, -0, Number.POSITIVE_INFINITY][Math.floor(dice() * 3)]!;
    const real = kind < 0.5 ? value / (1 + Math.floor(dice() * 9)) : value;
    return type === 'float32' ? Math.fround(real) : real;
  });
  const low = Float64Array.from(values, () => Math.floor(dice() * 2 ** 32));
  return type === 'wide' ? { values: cells, low, present } : { values: cells, present };
}

interface Corpus {
  readonly types: readonly (readonly ColumnType[])[];
  readonly ticksPerMs: 1 | 10;
  readonly records: readonly { readonly t0Ms: number; readonly tables: readonly Table[] }[];
}

function corpusOf(seed: number): Corpus {
  let state = seed;
  const dice = () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
  const ticksPerMs = dice() < 0.3 ? 10 : 1;
  const types = Array.from({ length: 1 + Math.floor(dice() * 4) }, () =>
    Array.from({ length: Math.floor(dice() * 5) }, () => (dice() < 0.7 ? 'int' : TYPES[Math.floor(dice() * 4)]!)),
  );
  const records = Array.from({ length: 3 }, (_, k) => {
    const t0Ms = 1_000 * k + Math.floor(dice() * 40);
    let clock: Float64Array | null = null;
    const tables = types.map((columns): Table => {
      // A message that follows another one, a little later each time.
      const follows = dice() < 0.4 ? clock : null;
      const rows = follows !== null ? follows.length : dice() < 0.1 ? 0 : dice() < 0.1 ? 1 : Math.floor(dice() * 60);
      const period = [10, 20, 25, 100, 7][Math.floor(dice() * 5)]! * ticksPerMs;
      let tick = Math.floor(dice() * 20);
      const lag = Math.floor(dice() * 5);
      const timesMs = Float64Array.from({ length: rows }, (_, i) => {
        if (follows !== null) return (Math.round(follows[i]! * ticksPerMs) + lag) / ticksPerMs;
        const time = (t0Ms * ticksPerMs + tick) / ticksPerMs;
        tick += dice() < 0.02 ? 3 * period : Math.max(0, period + Math.floor(dice() * 3 * ticksPerMs) - ticksPerMs);
        return time;
      });
      clock = timesMs;
      let beside: readonly number[] | null = null;
      const made = columns.map((type) => {
        const column = columnOf(dice, rows, type, beside);
        beside = type === 'int' ? [...column.values] : beside;
        return column;
      });
      return { rows, timesMs, columns: made, ...(rows > 0 && dice() < 0.2 ? { partial: true } : {}) };
    });
    return { t0Ms, tables };
  });
  return { types, ticksPerMs, records };
}

function schemaOf({ types, ticksPerMs }: Corpus, base: number): Schema {
  return {
    ...parts.schema,
    utcOffsetMs: base % 2 === 0 ? null : 1_700_000_000_000,
    timing: { ticksPerMs, baseMs: base, stepMs: 1_000 },
    groups: types.map((columns) => ({
      windowMs: 0,
      columns: columns.map((type) => ({ ...parts.column, type, signed: true })),
    })),
  };
}

const publicKey = raw(parts.ledgerKey.publicJwk, 'x');
const logName = unitKeyName(publicKey, nodeCrypto.sha256);
const keyId = keyIdOf(logName, TYPE_ED25519, publicKey, nodeCrypto.sha256);
const signer: NoteSigner = {
  key: { name: logName, type: TYPE_ED25519, publicKey, keyId },
  sign: parts.ledgerKey.sign,
};
const kid = new Uint8Array(4);
new DataView(kid.buffer).setUint32(0, keyId);

/** One stream as the unit would write it: session, envelopes, proofs; and what a reader must come to. */
async function streamOf(seed: number) {
  const corpus = corpusOf(seed);
  const schema = schemaOf(corpus, seed % 50);
  const session = await openSession({
    ...parts.streamName,
    recipientKey: parts.recipientKey.publicJwk,
    schema,
    sign: parts.ledgerKey.sign,
    keyId: kid,
  });
  const nodes = new Map<string, Uint8Array>();
  const range = emptyRange();
  const add = (leaf: Uint8Array) =>
    appendLeaf(range, sha256Tree.leaf(leaf), sha256Tree, (level, index, hash) => nodes.set(`${level}/${index}`, hash));
  const node = (level: number, index: number) => nodes.get(`${level}/${index}`)!;
  const records = [];
  const envelopes: Uint8Array[] = [];
  const proofs = [];
  let chain = chainStart(parts.stream);
  let before = 0;
  for (const [seq, { t0Ms, tables }] of corpus.records.entries()) {
    const record = encodeRecord(schema, session.schemaHash.subarray(0, 8), t0Ms, tables);
    const { payload, bodyHash } = await session.seal(seq, record);
    chain = nextChain(chain, bodyHash);
    const { bootId, utcOffsetMs } = schema;
    const utcMs = utcOffsetMs === null ? null : t0Ms + utcOffsetMs;
    const { agreementTag } = session;
    const leaf = recordLeaf({
      bootId,
      boottimeMs: t0Ms,
      utcMs,
      bodyHash,
      stream: parts.stream,
      seq,
      agreementTag,
      chain,
    });
    for (let other = 0; other < seed % 5; other++) add(Uint8Array.of(other));
    const leafIndex = add(leaf);
    for (let other = 0; other < seed % 3; other++) add(Uint8Array.of(9, other));
    envelopes.push(payload);
    records.push({ seq, record, leaf, t0: t0Ms, partial: partialOf(tables), groups: groupsOf(tables, schema) });
    const checkpoint = await signCheckpoint(range.size, rootFromRange(range, sha256Tree), signer);
    const path = inclusionProof(leafIndex, range.size, node, sha256Tree);
    const grown = { fromSize: before, nodes: consistencyProof(before, range.size, node, sha256Tree) };
    const evicted = seq === 2 ? [{ seq: 1, bodyHash: new Uint8Array(32).fill(seed) }] : [];
    proofs.push(encodeProof({ checkpoint, seq, leafIndex, path, evicted, consistency: before === 0 ? null : grown }));
    before = range.size;
  }
  const given = {
    tenant: parts.streamName.tenant,
    pseudonym: parts.streamName.pseudonym,
    stream: hex(parts.stream),
    ledger: hex(publicKey),
    secret: hex(raw(parts.recipientKey.privateJwk, 'd')),
    public: hex(raw(parts.recipientKey.publicJwk, 'x')),
    session: hex(session.message),
    envelopes: envelopes.map(hex),
    proofs: proofs.map(hex),
  };
  return { given, schema, tag: session.agreementTag, records };
}

const partialOf = (tables: readonly Table[]) => tables.flatMap(({ partial }, g) => (partial === true ? [g] : []));

function groupsOf(tables: readonly Table[], schema: Schema) {
  return tables.map(({ rows, timesMs, columns }, g) => ({
    times: Array.from(timesMs.subarray(0, rows), float),
    columns: columns.map(({ values, low, present }, c) =>
      Array.from({ length: rows }, (_, i) => {
        if (present !== null && present[i] === 0) return null;
        const { type } = schema.groups[g]!.columns[c]!;
        if (type === 'float32' || type === 'float64') return float(values[i]!);
        if (low === undefined) return values[i]! + 0;
        const whole = BigInt(values[i]!) * 2n ** 32n + BigInt(low[i]!);
        return whole > -(2n ** 53n) && whole < 2n ** 53n ? Number(whole) : `${whole}`;
      }),
    ),
  }));
}

interface Read {
  readonly streams: readonly {
    readonly schema: unknown;
    readonly tag: string;
    readonly records: readonly { readonly seq: number }[];
    readonly proofs: readonly { readonly grown: boolean; readonly evicted: unknown }[];
  }[];
  readonly acks: unknown;
  readonly leaves: unknown;
  readonly meters: unknown;
}

function second(input: object): { read: Read | null; error: string } {
  const { stdout, stderr, status } = spawnSync('python3', [SECOND], {
    input: JSON.stringify({ tables: [MODEL_TABLE, HEAD_TABLE, WEIGHT_TABLE], ...input }),
    maxBuffer: 1 << 28,
  });
  return { read: status === 0 ? (JSON.parse(stdout.toString()) as Read) : null, error: stderr.toString() };
}

describe.skipIf(!python)('a second decoder, in Python, written from docs/formats.md and the CDDL alone', () => {
  it('opens, reads and proves all that the first wrote: every value, time, gap, hash and signature', async () => {
    const seeds = fc.sample(fc.integer({ min: 1, max: 2 ** 30 }), { seed: 6, numRuns: 40 });
    const streams = await Promise.all(seeds.map(streamOf));
    const { read, error } = second({ streams: streams.map(({ given }) => given), acks: [], leaves: [], meters: [] });
    expect(error).toBe('');
    for (const [i, { schema, tag, records }] of streams.entries()) {
      const got = read!.streams[i]!;
      expect(got.schema).toEqual(printed(decodeCbor(encodeSchema(schema))));
      expect(got.tag).toBe(hex(tag));
      expect(got.records).toEqual(records.map((one) => ({ ...one, record: hex(one.record), leaf: hex(one.leaf) })));
      expect(got.proofs.map(({ grown }) => grown)).toEqual([false, true, true]);
      expect(got.proofs[2]!.evicted).toEqual([[1, expect.stringMatching(/^(..)\1{31}$/)]]);
    }
  }, 120_000);

  it('reads acknowledgements, leaves of every kind and meter records', async () => {
    const acks = await Promise.all([
      parts.signedAck(),
      parts.signedAck({ ...parts.ackBody, missing: [], state: 'proven', uptoSeq: 2 ** 40 }),
    ]);
    const meters = [encodeMeter(parts.meter), encodeMeter({ ...parts.meter, hour: -5, fields: new Map() })];
    const key = hex(raw(parts.ackKey.publicJwk, 'x'));
    const { read, error } = second({
      streams: [],
      acks: acks.map((bytes) => ({ key, bytes: hex(bytes) })),
      leaves: leaves.map(hex),
      meters: meters.map(hex),
    });
    expect(error).toBe('');
    expect(read!.acks).toEqual(acks.map((bytes) => printed(decodeCbor(payloadOf(bytes)))));
    expect(read!.leaves).toEqual(leaves.map((bytes) => printed(decodeCbor(bytes))));
    expect(read!.meters).toEqual(meters.map((bytes) => printed(decodeCbor(bytes))));
  });

  it('refuses what was changed', async () => {
    const { given } = await streamOf(77);
    const flip = (text: string, at: number) => {
      const bytes = Buffer.from(text, 'hex');
      bytes[at]! ^= 1;
      return bytes.toString('hex');
    };
    const rest = { acks: [], leaves: [], meters: [] };
    expect(second({ streams: [given], ...rest }).read).not.toBeNull();
    const changed = [
      { ...given, session: flip(given.session, 60) },
      { ...given, envelopes: [flip(given.envelopes[0]!, 12), ...given.envelopes.slice(1)] },
      { ...given, proofs: [given.proofs[0]!, flip(given.proofs[1]!, given.proofs[1]!.length / 2 - 40)] },
      { ...given, pseudonym: 'BBBBBBBBBBBBBBBBBBBBBA' },
    ];
    for (const one of changed) expect(second({ streams: [one], ...rest }).read).toBeNull();
    const ack = await signAck(parts.ackBody, ackKeyId(parts.ackKey.publicJwk), parts.ledgerKey.sign);
    const key = hex(raw(parts.ackKey.publicJwk, 'x'));
    expect(second({ ...rest, streams: [], acks: [{ key, bytes: hex(ack) }] }).read).toBeNull();
  });
});

const payloadOf = (message: Uint8Array) => (decodeCbor(message) as readonly CborValue[])[2] as Uint8Array;
