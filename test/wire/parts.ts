import { generateKeyPairSync, type JsonWebKey, sign as nodeSign } from 'node:crypto';
import { TollgateError } from '#contracts';
import {
  type AckBody,
  ackKeyId,
  encodeSchema,
  type LeafTime,
  type MeterRecord,
  openSession,
  type Proof,
  type RecordLink,
  type Schema,
  type SchemaColumn,
  type SenderSession,
  schemaHash,
  signAck,
} from '#wire';
import { encodeOuter } from '#wire/columns/outer';

export interface TestKey {
  readonly privateJwk: JsonWebKey;
  readonly publicJwk: JsonWebKey;
  readonly sign: (message: Uint8Array) => Promise<Uint8Array>;
}

export function newKey(kind: 'x25519' | 'ed25519' | 'p256'): TestKey {
  const pair =
    kind === 'p256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync(kind as 'ed25519');
  const { privateKey, publicKey } = pair;
  return {
    privateJwk: privateKey.export({ format: 'jwk' }),
    publicJwk: publicKey.export({ format: 'jwk' }),
    sign: async (message) =>
      new Uint8Array(
        kind === 'p256'
          ? nodeSign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })
          : nodeSign(null, message, privateKey),
      ),
  };
}

/** The code of the typed error that came, or `accepted`; anything untyped is a failure of the test. */
export async function verdictOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (error instanceof TollgateError) return error.code;
    throw error;
  }
  return 'accepted';
}

/** Seeded numbers for fuzzing, xorshift32. */
export function numbers(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** Bytes that open something long, deep or odd in CBOR. */
const ODD = [0x00, 0x1b, 0x3b, 0x5b, 0x7f, 0x80, 0x81, 0x9b, 0x9f, 0xa1, 0xbb, 0xc2, 0xd8, 0xf6, 0xf9, 0xfb, 0xff];

/** The same bytes with one to four changes: a bit, a byte, a cut, a copy, a hole. */
export function mutated(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  let out = Buffer.from(bytes);
  for (let changes = 1 + random(4); changes > 0; changes--) {
    const at = random(out.length + 1);
    const kind = random(6);
    if (kind === 0 && out.length > 0) out[at % out.length]! ^= 1 << random(8);
    else if (kind === 1 && out.length > 0) out[at % out.length] = ODD[random(ODD.length)]!;
    else if (kind === 2) out = out.subarray(0, at);
    else if (kind === 3)
      out = Buffer.concat([out.subarray(0, at), Buffer.from([ODD[random(ODD.length)]!]), out.subarray(at)]);
    else if (kind === 4)
      out = Buffer.concat([out.subarray(0, at), out.subarray(Math.min(out.length, at + 1 + random(8)))]);
    else out = Buffer.concat([out.subarray(0, at), out.subarray(random(at + 1))]);
  }
  return new Uint8Array(out);
}

export const ledgerKey = newKey('ed25519');
export const recipientKey = newKey('x25519');
export const ackKey = newKey('ed25519');

const filled = (length: number, value: number) => new Uint8Array(length).fill(value);
export const stream = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
export const streamName = { tenant: 't1', pseudonym: 'AAAAAAAAAAAAAAAAAAAAAA', stream };
export const noteKeyId = Uint8Array.of(1, 2, 3, 4);
export const time: LeafTime = { bootId: filled(8, 9), boottimeMs: 61_000, utcMs: 1_631_416_575_717 };

export const link: RecordLink = {
  ...time,
  bodyHash: filled(32, 1),
  stream,
  seq: 7,
  agreementTag: filled(8, 2),
  chain: filled(32, 3),
};

const ORIGIN = 'tollgate/0011223344556677';
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

export const proof: Proof = {
  checkpoint: `${ORIGIN}\n5\n${base64(filled(32, 3))}\n\n— ${ORIGIN} ${base64(filled(68, 1))}\n`,
  seq: 7,
  leafIndex: 4,
  path: [filled(32, 4), filled(32, 5)],
  evicted: [{ seq: 3, bodyHash: filled(32, 6) }],
  consistency: { fromSize: 3, nodes: [filled(32, 7), filled(32, 8)] },
};

export const meter: MeterRecord = {
  agreement: 'urn:uuid:1',
  recipient: 'did:web:insurer.example',
  purpose: 'auto:UbiInsurance',
  action: 'distribute',
  hour: 453_171,
  records: 60,
  samples: 120,
  bytes: 9_000,
  denied: 3,
  fields: new Map([
    ['Vehicle.Speed', 60],
    ['dbc:ID_140.THROTTLE', 60],
  ]),
  part: 0,
  activeMs: 60_000,
  allowed: 6_000,
  transforms: new Map([['mean of each 1 s', 120]]),
  algorithms: new Map([['ab'.repeat(32), 60]]),
  duties: new Map([['delete within 2592000 s', 60]]),
  policies: new Map([['01'.repeat(32), 60]]),
  previous: new Uint8Array(32),
};

export const column: SchemaColumn = {
  signal: 'Vehicle.Speed',
  result: 'mean',
  unit: 'km/h',
  f: 0.1,
  o: 0,
  factor: 3.6,
  offset: -0,
  type: 'float64',
  signed: true,
};

export const schema: Schema = {
  agreement: { uid: 'urn:uuid:1', hash: filled(32, 7) },
  bootId: filled(8, 9),
  utcOffsetMs: 1_631_416_514_717,
  utcErrorMs: 0,
  utcSource: 'log',
  groups: [{ windowMs: 1000, columns: [column] }],
};

export const ackBody: AckBody = { stream, uptoSeq: 9, missing: [2, 5], state: 'opened', checkpointSize: 40 };

export const signedAck = (body: AckBody = ackBody, key = ackKey): Promise<Uint8Array> =>
  signAck(body, ackKeyId(key.publicJwk), key.sign);

export const newSession = (): Promise<SenderSession> =>
  openSession({
    ...streamName,
    recipientKey: recipientKey.publicJwk,
    schema,
    sign: ledgerKey.sign,
    keyId: noteKeyId,
  });

/** A record of `of` whose columns are these bytes: a session looks at what is around them only. */
export const recordOf = (columns: Uint8Array, of: Schema = schema, t0Ms = 61_000): Uint8Array =>
  encodeOuter({ schemaHash8: schemaHash(encodeSchema(of)).subarray(0, 8), t0Ms, columns, partial: [] });
