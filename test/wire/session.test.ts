import { generateKeyPairSync, type JsonWebKey, sign as nodeSign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { acceptSession, encodeSchema, MAX_RECORD_BYTES, openSession, type Schema, schemaHash, sha256 } from '#wire';
import { encodeOuter } from '#wire/columns/outer';
import { recordOf } from './parts.ts';

const jwk = (
  curve: 'x25519' | 'ed25519',
): { privateJwk: JsonWebKey; publicJwk: JsonWebKey; sign: (m: Uint8Array) => Promise<Uint8Array> } => {
  const pair = generateKeyPairSync(curve as 'ed25519');
  return {
    privateJwk: pair.privateKey.export({ format: 'jwk' }),
    publicJwk: pair.publicKey.export({ format: 'jwk' }),
    sign: async (message) => new Uint8Array(nodeSign(null, message, pair.privateKey)),
  };
};

const ledger = jwk('ed25519');
const recipient = jwk('x25519');
const name = { tenant: 't1', pseudonym: 'AAAAAAAAAAAAAAAAAAAAAA', stream: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) };
const schema: Schema = {
  agreement: { uid: 'urn:uuid:1', hash: new Uint8Array(32).fill(7) },
  bootId: new Uint8Array(8).fill(9),
  utcOffsetMs: 1_631_416_514_717,
  utcErrorMs: 0,
  utcSource: 'log',
  groups: [
    {
      windowMs: 1000,
      columns: [
        {
          signal: 'Vehicle.Speed',
          result: 'mean',
          unit: 'km/h',
          f: 0.1,
          o: 0,
          factor: 3.6,
          offset: -0,
          type: 'float64',
          signed: true,
        },
      ],
    },
  ],
};
const open = (of: Schema = schema) =>
  openSession({
    ...name,
    recipientKey: recipient.publicJwk,
    schema: of,
    sign: ledger.sign,
    keyId: Uint8Array.of(1, 2, 3, 4),
  });
const accept = (message: Uint8Array, as = name, key = recipient.privateJwk) =>
  acceptSession(message, as, ledger.publicJwk, key);
const MESSAGE = 128 * 1024;
const hash8 = schemaHash(encodeSchema(schema)).subarray(0, 8);
const record = recordOf(new TextEncoder().encode('a record'), schema);

async function refused(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (error instanceof TollgateError) return error.code;
    throw error;
  }
  return 'accepted';
}

describe('a session', () => {
  it('carries its schema to the recipient, to the last bit', async () => {
    const sender = await open();
    const receiver = await accept(sender.message);
    expect(receiver.schema).toEqual(schema);
    expect(Object.is(receiver.schema.groups[0]!.columns[0]!.offset, -0)).toBe(true);
    expect(receiver.schemaHash).toEqual(sender.schemaHash);
    expect(receiver.agreementTag).toEqual(sender.agreementTag);
  });

  it('seals records that open in any order, small and large', async () => {
    const sender = await open();
    const receiver = await accept(sender.message);
    const large = recordOf(
      new Uint8Array(5000).map((_, i) => i),
      schema,
    );
    for (const [seq, plain] of [
      [0, record],
      [255, large],
      [256, record],
      [70_000, recordOf(new Uint8Array(), schema, 0)],
    ] as const) {
      const { payload, bodyHash } = await sender.seal(seq, plain);
      const opened = await receiver.open(payload);
      expect(opened.seq).toBe(seq);
      expect(Buffer.from(opened.record)).toEqual(Buffer.from(plain));
      expect(opened.bodyHash).toEqual(bodyHash);
      expect(sha256(opened.salt, plain)).toEqual(bodyHash);
    }
  });

  it('seals under no number twice, backwards or out of range', async () => {
    const sender = await open();
    await sender.seal(3, record);
    for (const seq of [3, 2, 0, -1, 4.5, 2 ** 53, Number.NaN]) {
      expect(await refused(() => sender.seal(seq, record)), `${seq}`).toBe('TG_WIRE_SEQ');
    }
    expect(await refused(() => sender.seal(4, record))).toBe('accepted');
  });

  it('costs 25 bytes around the columns of a small record that starts where it is expected', async () => {
    const timing = { ticksPerMs: 1, baseMs: 3_600_000, stepMs: 1_000 } as const;
    const punctual = { ...schema, timing };
    const sender = await open(punctual);
    const receiver = await accept(sender.message);
    const columns = new Uint8Array(30).fill(7);
    for (const [seq, t0Ms] of [
      [0, 3_600_000],
      [1, 3_601_023],
      [200, 3_799_977],
    ] as const) {
      const plain = recordOf(columns, punctual, t0Ms);
      const { payload } = await sender.seal(seq, plain);
      expect(payload.length - columns.length).toBe(25);
      expect((await receiver.open(payload)).record).toEqual(plain);
    }
  });

  it('seals no record of another schema', async () => {
    const other = { ...schema, utcSource: 'gnss' };
    expect(await refused(async () => (await open()).seal(0, recordOf(new Uint8Array(3), other)))).toBe(
      'TG_WIRE_RECORD_MALFORMED',
    );
  });

  it('has no message of more than 128 KiB', async () => {
    const sender = await open();
    const { payload } = await sender.seal(0, recordOf(new Uint8Array(MAX_RECORD_BYTES), schema));
    expect(payload.length).toBeLessThanOrEqual(MESSAGE);
    const group = schema.groups[0]!;
    const columns = Array.from({ length: 4096 }, (_, i) => ({ ...group.columns[0]!, signal: `Vehicle.Signal${i}` }));
    const wide = { ...schema, groups: [{ ...group, columns }] };
    expect(await refused(() => open(wide))).toBe('TG_WIRE_RECORD_TOO_LARGE');
    const half = { ...schema, groups: [{ ...group, columns: columns.slice(0, 2000) }] };
    expect((await open(half)).message.length).toBeLessThanOrEqual(MESSAGE);
    const partial = Array.from({ length: 4000 }, (_, i) => i);
    const long = encodeOuter({ schemaHash8: hash8, t0Ms: 0, columns: new Uint8Array(MAX_RECORD_BYTES), partial });
    expect(await refused(async () => (await open()).seal(0, long))).toBe('TG_WIRE_RECORD_TOO_LARGE');
  });

  it('shows nothing of its schema', async () => {
    const { message } = await open();
    expect(Buffer.from(message).toString('latin1')).not.toContain('Speed');
    expect(Buffer.from(message).toString('latin1')).not.toContain('urn:uuid');
  });
});

describe('an attacker at the broker', () => {
  it('flips no bit of an envelope unnoticed', async () => {
    const sender = await open();
    const receiver = await accept(sender.message);
    const { payload } = await sender.seal(5, record);
    for (let bit = 0; bit < payload.length * 8; bit++) {
      const changed = payload.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(await refused(() => receiver.open(changed)), `bit ${bit}`).toMatch(/^TG_WIRE_/);
    }
  });

  it('flips no bit of a session unnoticed', async () => {
    const { message } = await open();
    for (let bit = 0; bit < message.length * 8; bit++) {
      const changed = message.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(await refused(() => accept(changed)), `bit ${bit}`).toMatch(/^TG_WIRE_/);
    }
  }, 60_000);

  it('moves nothing to another name', async () => {
    const sender = await open();
    const other = { ...name, pseudonym: 'BBBBBBBBBBBBBBBBBBBBBA' };
    expect(await refused(() => accept(sender.message, other))).toBe('TG_WIRE_SIGNATURE');
    expect(await refused(() => accept(sender.message, { ...name, tenant: 't2' }))).toBe('TG_WIRE_SIGNATURE');
    const stream = Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1);
    expect(await refused(() => accept(sender.message, { ...name, stream }))).toBe('TG_WIRE_SIGNATURE');
  });

  it('passes no record of one stream off as one of another', async () => {
    const { payload } = await (await open()).seal(0, record);
    const receiver = await accept((await open()).message);
    expect(await refused(() => receiver.open(payload))).toBe('TG_WIRE_SEAL');
  });

  it('reads nothing without the key of the recipient', async () => {
    const sender = await open();
    expect(await refused(() => accept(sender.message, name, jwk('x25519').privateJwk))).toBe('TG_WIRE_SEAL');
  });
});
