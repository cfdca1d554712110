import { randomBytes } from 'node:crypto';
import {
  appendLeaf,
  consistencyProof,
  emptyRange,
  inclusionProof,
  nodeCrypto,
  parseVerifierKey,
  rootFromRange,
  sha256Tree,
  signCheckpoint,
} from '#ledger';
import {
  createReceiver,
  type OpenedRecord,
  type Receiver,
  type ReceiverAlarm,
  type ReceiverKeys,
  type ReceiverOptions,
  type ReceiverStore,
  receiverKeys,
  SqliteStore,
} from '#receiver';
import { ed25519Signer, jwkFromSeed, ledgerVerifierKey, publicJwk } from '#trust';
import {
  type AckBody,
  bootLeaf,
  type Consistency,
  chainStart,
  encodeProof,
  encodeRecord,
  nextChain,
  openAck,
  openSession,
  recordLeaf,
  recordTopic,
  type Schema,
  type SenderSession,
  type Table,
} from '#wire';

export const TENANT = 't1';
export const HPKE = jwkFromSeed('X25519', new Uint8Array(32).fill(7));
export const ACK = jwkFromSeed('Ed25519', new Uint8Array(32).fill(8));

/** Speed as samples, throttle as windows with two results. */
const COLUMN = { unit: 'km/h', f: 0.01, o: 0, factor: 1, offset: 0, type: 'int', signed: false } as const;
export const SCHEMA: Omit<Schema, 'bootId'> = {
  agreement: { uid: 'urn:uuid:1', hash: new Uint8Array(32) },
  utcOffsetMs: 1_760_000_000_000,
  utcErrorMs: 1,
  utcSource: 'log',
  groups: [
    { windowMs: 0, columns: [{ ...COLUMN, signal: 'Vehicle.Speed', result: 'raw' }] },
    {
      windowMs: 1000,
      columns: [
        {
          ...COLUMN,
          signal: 'dbc:M.T',
          result: 'mean',
          unit: '%',
          f: 0.5,
          o: -1,
          factor: 2,
          offset: 3,
          type: 'float64',
        },
        { ...COLUMN, signal: 'dbc:M.T', result: 'count', unit: '', f: 1 },
      ],
    },
  ],
};

/** Ten samples and one window; speed is 100 × seq + i. */
export function tables(seq: number): Table[] {
  const speeds = Float64Array.from({ length: 10 }, (_, i) => seq * 100 + i);
  const times = Float64Array.from({ length: 10 }, (_, i) => seq * 1000 + i * 100);
  return [
    { rows: 10, timesMs: times, columns: [{ values: speeds, present: null }] },
    {
      rows: 1,
      timesMs: Float64Array.of(seq * 1000),
      columns: [
        { values: Float64Array.of(seq + 0.25), present: null },
        { values: Float64Array.of(10), present: null },
      ],
    },
  ];
}

export interface Message {
  readonly topic: string;
  readonly bytes: Uint8Array;
}

/** A unit without a store: sessions, envelopes and a ledger in memory, as the agent makes them. */
export class TestUnit {
  readonly pseudonym = randomBytes(16).toString('base64url');
  readonly verifierKey: string;
  readonly #key;
  #leaves: Uint8Array[] = [];
  #bootId = randomBytes(8);

  constructor(seed = 1) {
    this.#key = jwkFromSeed('Ed25519', new Uint8Array(32).fill(seed));
    this.verifierKey = ledgerVerifierKey(this.#key);
    this.reboot();
  }

  /** Begins anew: streams from here on belong to another start. */
  reboot(): void {
    this.#bootId = randomBytes(8);
    this.#leaves.push(bootLeaf({ bootId: this.#bootId, boottimeMs: 0, utcMs: null }, 'test'));
  }

  get size(): number {
    return this.#leaves.length;
  }

  get keyId(): Uint8Array {
    const id = new Uint8Array(4);
    new DataView(id.buffer).setUint32(0, parseVerifierKey(this.verifierKey, nodeCrypto).keyId);
    return id;
  }

  readonly sign = async (message: Uint8Array) => ed25519Signer(this.#key)(message);

  async stream(
    options: { pseudonym?: string; schema?: Partial<Schema>; stream?: Uint8Array } = {},
  ): Promise<TestStream> {
    const stream = options.stream ?? new Uint8Array(randomBytes(8));
    const pseudonym = options.pseudonym ?? this.pseudonym;
    const schema: Schema = { ...SCHEMA, bootId: this.#bootId, ...options.schema };
    const { sign, keyId } = this;
    const recipientKey = publicJwk(HPKE);
    const session = await openSession({ tenant: TENANT, pseudonym, stream, schema, recipientKey, sign, keyId });
    return new TestStream(this, pseudonym, stream, schema, session);
  }

  add(leaf: Uint8Array): number {
    return this.#leaves.push(leaf) - 1;
  }

  /** Throws the newest leaves away, as a database restored from a copy. */
  rollBack(size: number): void {
    this.#leaves.length = size;
  }

  /** That the tree only grew since it had `from` leaves. */
  consistency(from: number): Consistency {
    return { fromSize: from, nodes: consistencyProof(from, this.size, this.#node(), sha256Tree) };
  }

  async checkpoint(): Promise<string> {
    const range = emptyRange();
    for (const leaf of this.#leaves) appendLeaf(range, sha256Tree.leaf(leaf), sha256Tree);
    const key = parseVerifierKey(this.verifierKey, nodeCrypto);
    return await signCheckpoint(this.size, rootFromRange(range, sha256Tree), { key, sign: this.sign });
  }

  path(index: number): Uint8Array[] {
    return inclusionProof(index, this.size, this.#node(), sha256Tree);
  }

  #node(): (level: number, at: number) => Uint8Array {
    const levels = [this.#leaves.map((leaf) => sha256Tree.leaf(leaf))];
    for (let below = levels[0]!; below.length > 1; below = levels.at(-1)!) {
      levels.push(
        Array.from({ length: below.length >> 1 }, (_, i) => sha256Tree.node(below[2 * i]!, below[2 * i + 1]!)),
      );
    }
    return (level, at) => levels[level]![at]!;
  }
}

export class TestStream {
  readonly topic: string;
  readonly session: Message;
  readonly #unit: TestUnit;
  readonly #schema: Schema;
  readonly #session: SenderSession;
  #chain: Uint8Array;
  readonly #indexes: number[] = [];
  readonly hashes: Uint8Array[] = [];
  readonly stream: Uint8Array;

  constructor(unit: TestUnit, pseudonym: string, stream: Uint8Array, schema: Schema, session: SenderSession) {
    this.#unit = unit;
    this.#schema = schema;
    this.#session = session;
    this.stream = stream;
    this.topic = recordTopic(TENANT, pseudonym, stream);
    this.session = { topic: `${this.topic}/s`, bytes: session.message };
    this.#chain = chainStart(stream);
  }

  /** The next record: sealed, and in the unit's ledger. */
  async record(content?: readonly Table[]): Promise<Message> {
    const { payload, leaf } = await this.sealed(content);
    this.#indexes.push(this.#unit.add(leaf));
    return { topic: this.topic, bytes: payload };
  }

  /** The next record as a store takes it. */
  async sealed(content?: readonly Table[]) {
    const seq = this.hashes.length;
    const record = encodeRecord(
      this.#schema,
      this.#session.schemaHash.subarray(0, 8),
      seq * 1000,
      content ?? tables(seq),
    );
    const { payload, bodyHash } = await this.#session.seal(seq, record);
    this.#chain = nextChain(this.#chain, bodyHash);
    const { bootId, utcOffsetMs } = this.#schema;
    const boottimeMs = seq * 1000;
    const utcMs = utcOffsetMs === null ? null : boottimeMs + utcOffsetMs;
    const { agreementTag } = this.#session;
    const { stream } = this;
    const chain = this.#chain;
    const leaf = recordLeaf({ bootId, boottimeMs, utcMs, bodyHash, stream, seq, agreementTag, chain });
    this.hashes.push(bodyHash);
    return { stream, seq, payload, leaf, bodyHash };
  }

  async records(count: number): Promise<Message[]> {
    const messages: Message[] = [];
    for (let i = 0; i < count; i++) messages.push(await this.record());
    return messages;
  }

  /** A proof of the record `seq`, the newest by default. */
  async proof(
    options: { seq?: number; evicted?: readonly number[]; checkpoint?: string; since?: number } = {},
  ): Promise<Message> {
    const seq = options.seq ?? this.hashes.length - 1;
    const checkpoint = options.checkpoint ?? (await this.#unit.checkpoint());
    const leafIndex = this.#indexes[seq]!;
    const evicted = (options.evicted ?? []).map((one) => ({ seq: one, bodyHash: this.hashes[one]! }));
    const bytes = encodeProof({
      checkpoint,
      seq,
      leafIndex,
      path: this.#unit.path(leafIndex),
      evicted,
      consistency: options.since === undefined ? null : this.#unit.consistency(options.since),
    });
    return { topic: `${this.topic}/p`, bytes };
  }
}

export function keysFor(...units: readonly TestUnit[]): ReceiverKeys {
  return receiverKeys(
    HPKE,
    ACK,
    units.map(({ verifierKey }) => verifierKey),
  );
}

/** A store whose contents a test may count. */
export type TestStore = ReceiverStore & {
  values(pseudonym: string): Awaitable<[number, number, string, string, number][]>;
  count(table: 'streams' | 'records' | 'evicted' | 'value' | 'checkpoints' | 'acks'): Awaitable<number>;
};
type Awaitable<T> = T | Promise<T>;

export interface Bench<S extends TestStore = SqliteStore> {
  readonly receiver: Receiver;
  readonly store: S;
  readonly alarms: ReceiverAlarm[];
  /** Acknowledgements that were published, their signatures checked. */
  readonly acks: AckBody[];
  readonly written: OpenedRecord[];
  readonly clock: { ms: number };
  take(...messages: readonly Message[]): Promise<void>;
}

/** A receiver over a store in memory, with a clock that a test turns. */
export function bench(
  units: readonly TestUnit[],
  options: Partial<ReceiverOptions> & { store?: SqliteStore } = {},
): Bench {
  return benchOver(options.store ?? new SqliteStore(':memory:'), units, options);
}

/** The same over any store. */
export function benchOver<S extends TestStore>(
  store: S,
  units: readonly TestUnit[],
  options: Partial<ReceiverOptions> = {},
): Bench<S> {
  const alarms: ReceiverAlarm[] = [];
  const acks: AckBody[] = [];
  const written: OpenedRecord[] = [];
  const pending: Promise<void>[] = [];
  const clock = { ms: 0 };
  const receiver = createReceiver({
    keys: keysFor(...units),
    sinks: [
      {
        write: async (records) => {
          written.push(...records);
          return null;
        },
        close: async () => {},
      },
    ],
    publishAck: (topic, bytes) => {
      if (!/^v1\/t1\/[\w-]{22}\/rx\/ack$/.test(topic)) throw new Error(`acknowledged at ${topic}`);
      pending.push(openAck(bytes, async () => publicJwk(ACK)).then((ack) => void acks.push(ack)));
    },
    now: () => clock.ms,
    alarm: (alarm) => void alarms.push(alarm),
    ...options,
    store,
  });
  return {
    receiver,
    store,
    alarms,
    acks,
    written,
    clock,
    take: async (...messages) => {
      for (const { topic, bytes } of messages) await receiver.handle(topic, bytes);
      await receiver.flush();
      await Promise.all(pending);
    },
  };
}
