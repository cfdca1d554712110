import { describe, expect, it } from 'vitest';
import {
  ALG_EDDSA,
  acceptSession,
  ackKeyId,
  bodyHash,
  type CborValue,
  decodeCbor,
  encodeCbor,
  openAck,
  openSession,
  peekSession,
  recordTopic,
} from '#wire';
import {
  ackBody,
  ackKey,
  ledgerKey,
  newSession,
  noteKeyId,
  recipientKey,
  recordOf,
  schema,
  signedAck,
  stream,
  streamName,
  verdictOf,
} from './parts.ts';

const record = recordOf(new TextEncoder().encode('a record'));
const accept = (message: Uint8Array) =>
  acceptSession(message, streamName, ledgerKey.publicJwk, recipientKey.privateJwk);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('the salt of a record', () => {
  it('is the same at both ends, whatever the order in which it is asked for', async () => {
    const sender = await newSession();
    const receiver = await accept(sender.message);
    const seqs = [0, 1, 31, 32, 33, 64, 95, 96, 1000, 2 ** 40, Number.MAX_SAFE_INTEGER];
    const sealed = new Map<number, string>();
    const payloads: Uint8Array[] = [];
    for (const seq of seqs) {
      const { payload, salt } = await sender.seal(seq, record);
      payloads.push(payload);
      sealed.set(seq, hex(salt));
    }
    expect(new Set(sealed.values()).size).toBe(seqs.length);
    for (const payload of [...payloads].reverse()) {
      const { seq, salt } = await receiver.open(payload);
      expect(hex(salt)).toBe(sealed.get(seq));
    }
    for (const seq of [96, 0, 1000, 32]) expect(hex(await sender.disclose(seq))).toBe(sealed.get(seq));
  });

  it('proves its record to who has no session key, and no other record', async () => {
    const sender = await newSession();
    const { bodyHash: inLeaf, salt } = await sender.seal(0, record);
    const next = await sender.seal(1, record);
    expect(bodyHash(salt, record)).toEqual(inLeaf);
    expect(bodyHash(salt, record)).not.toEqual(next.bodyHash);
  });

  it('is not handed out before its record was sealed', async () => {
    const sender = await newSession();
    expect(await verdictOf(() => sender.disclose(0))).toBe('TG_WIRE_MALFORMED');
    await sender.seal(0, record);
    expect(await verdictOf(() => sender.disclose(0))).toBe('accepted');
    for (const seq of [1, -1, 0.5, Number.NaN])
      expect(await verdictOf(() => sender.disclose(seq))).toBe('TG_WIRE_MALFORMED');
  });

  it('is a new one in each session, so equal records have unequal hashes', async () => {
    const [a, b] = [await newSession(), await newSession()];
    expect((await a.seal(0, record)).bodyHash).not.toEqual((await b.seal(0, record)).bodyHash);
  });
});

describe('a record that is sent again', () => {
  it('opens as the same record with the same number, so that a receiver can drop it', async () => {
    const sender = await newSession();
    const receiver = await accept(sender.message);
    const { payload } = await sender.seal(3, record);
    expect(await receiver.open(payload)).toEqual(await receiver.open(payload));
  });

  it('opens under no other number', async () => {
    const sender = await newSession();
    const receiver = await accept(sender.message);
    const { payload } = await sender.seal(3, record);
    const [none, , ciphertext] = decodeCbor(payload) as readonly CborValue[];
    for (const iv of [[0], [2], [4], [1, 3]]) {
      const moved = encodeCbor([none!, new Map([[6, Uint8Array.from(iv)]]), ciphertext!]);
      expect(await verdictOf(() => receiver.open(moved))).toBe('TG_WIRE_SEAL');
    }
    for (const iv of [[], [0, 3], [0, 0, 0, 0, 0, 0, 0, 3], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]) {
      const moved = encodeCbor([none!, new Map([[6, Uint8Array.from(iv)]]), ciphertext!]);
      expect(await verdictOf(() => receiver.open(moved)), `${iv}`).toBe('TG_WIRE_MALFORMED');
    }
  });
});

describe('a message in another form', () => {
  const fieldsOf = (bytes: Uint8Array) => decodeCbor(bytes) as readonly CborValue[];
  /** The same signed or sealed content, with something around it that neither signature nor seal covers. */
  const dressed = (bytes: Uint8Array, tag: number): readonly [string, Uint8Array][] => {
    const [head, headers, ...rest] = fieldsOf(bytes);
    const more = new Map([...(headers as ReadonlyMap<number, CborValue>), [99, 1] as const]);
    return [
      ['a tag', encodeCbor({ tag, value: fieldsOf(bytes) })],
      ['one more header', encodeCbor([head!, more, ...rest])],
    ];
  };

  it('is refused as a session, an acknowledgement or an envelope', async () => {
    const sender = await newSession();
    const receiver = await accept(sender.message);
    const { payload } = await sender.seal(0, record);
    for (const [what, bytes] of dressed(sender.message, 18))
      expect(await verdictOf(() => accept(bytes)), what).toBe('TG_WIRE_COSE');
    for (const [what, bytes] of dressed(await signedAck(ackBody), 18))
      expect(await verdictOf(() => openAck(bytes, async () => ackKey.publicJwk)), what).toBe('TG_WIRE_COSE');
    for (const [what, bytes] of dressed(payload, 16))
      expect(await verdictOf(() => receiver.open(bytes)), what).toBe('TG_WIRE_MALFORMED');
  });

  it('is refused though its headers are signed', async () => {
    const payload = fieldsOf(await signedAck(ackBody))[2] as Uint8Array;
    const kid = ackKeyId(ackKey.publicJwk);
    const none = new Uint8Array();
    for (const entries of [
      [[1, ALG_EDDSA]],
      [
        [1, ALG_EDDSA],
        [4, kid.subarray(1)],
      ],
      [
        [1, ALG_EDDSA],
        [4, kid],
        [99, 1],
      ],
      [
        [4, kid],
        [99, 1],
      ],
    ] as const) {
      const headers = encodeCbor(new Map<number, CborValue>(entries as never));
      const signature = await ackKey.sign(encodeCbor(['Signature1', headers, none, payload]));
      const message = encodeCbor([headers, new Map(), payload, signature]);
      expect(await verdictOf(() => openAck(message, async () => ackKey.publicJwk))).toBe('TG_WIRE_COSE');
    }
  });
});

describe('a session', () => {
  it('names its stream and the key that signed it before anything is checked', async () => {
    expect(peekSession((await newSession()).message)).toEqual({ stream, keyId: noteKeyId });
  });

  /** Points of small order: whoever uses them, the shared secret is 0 and known to all, RFC 9180 §7.1.4. */
  const points: readonly [string, string][] = [
    ['0', '00'.repeat(32)],
    ['1', `01${'00'.repeat(31)}`],
    ['order 8', 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'],
    ['order 8, the other', '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157'],
  ];
  it.each(points)('is sealed to no key that is a point of small order, %s', async (_what, point) => {
    const x = Buffer.from(point, 'hex').toString('base64url');
    const opening = openSession({
      ...streamName,
      recipientKey: { kty: 'OKP', crv: 'X25519', x },
      schema,
      sign: ledgerKey.sign,
      keyId: noteKeyId,
    });
    expect(await verdictOf(() => opening)).toBe('TG_WIRE_KEY');
  });

  it.each(points)('is opened from no point of small order though its unit signed it, %s', async (_what, point) => {
    const [headers, , payload] = decodeCbor((await newSession()).message) as readonly Uint8Array[];
    const fields = decodeCbor(payload!) as readonly CborValue[];
    const changed = encodeCbor(fields.map((one, at) => (at === 3 ? new Uint8Array(Buffer.from(point, 'hex')) : one)));
    const topic = `${recordTopic(streamName.tenant, streamName.pseudonym, stream)}/s`;
    const place = encodeCbor([topic, streamName.pseudonym, stream]);
    const signature = await ledgerKey.sign(encodeCbor(['Signature1', headers!, place, changed]));
    const message = encodeCbor([headers!, new Map(), changed, signature]);
    expect(await verdictOf(() => accept(message))).toBe('TG_WIRE_KEY');
  });

  it.each([
    ['another curve', ledgerKey.publicJwk],
    ['a short key', { kty: 'OKP', crv: 'X25519', x: 'AAAA' }],
    ['nothing', {}],
  ])('is sealed to no key of %s', async (_what, key) => {
    const opening = openSession({
      ...streamName,
      recipientKey: key,
      schema,
      sign: ledgerKey.sign,
      keyId: noteKeyId,
    });
    expect(await verdictOf(() => opening)).toBe('TG_WIRE_KEY');
  });

  it('opens for no stream of another length', async () => {
    expect(await verdictOf(() => recordTopic('t1', streamName.pseudonym, stream.subarray(1)))).toBe('TG_WIRE_TOPIC');
  });
});
