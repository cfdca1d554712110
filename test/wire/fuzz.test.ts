import { describe, expect, it } from 'vitest';
import {
  acceptSession,
  ackKeyId,
  type CborValue,
  decisionBody,
  decodeCbor,
  decodeLeaf,
  decodeMeter,
  decodeProof,
  decodeSchema,
  decodeStatus,
  encodeCbor,
  encodeMeter,
  encodeProof,
  encodeSchema,
  encodeStatus,
  openAck,
  openEncrypt0,
  openMac0,
  parseEncrypt0,
  parseMac0,
  parseStreamTopic,
  peekSession,
  recordLeaf,
  recordLink,
  recordTopic,
  sessionTopic,
  sign1,
} from '#wire';
import * as parts from './parts.ts';

const session = await parts.newSession();
const { payload: envelope } = await session.seal(5, parts.recordOf(new Uint8Array(40)));
const accept = (message: Uint8Array) =>
  acceptSession(message, parts.streamName, parts.ledgerKey.publicJwk, parts.recipientKey.privateJwk);
const receiver = await accept(session.message);
const payloadOf = (message: Uint8Array) => (decodeCbor(message) as readonly CborValue[])[2] as Uint8Array;
const ack = await parts.signedAck();
const sessionPayload = payloadOf(session.message);
const ackPayload = payloadOf(ack);
const secret = new Uint8Array(32);
const mac = encodeCbor([encodeCbor(new Map([[1, 5]])), new Map(), secret, secret]);
const encrypted = encodeCbor([encodeCbor(new Map([[1, 24]])), new Map([[5, new Uint8Array(12)]]), new Uint8Array(40)]);
const keyOf = async () => parts.ackKey.publicJwk;
const topic = recordTopic('t1', parts.streamName.pseudonym, parts.stream);
const place = encodeCbor([sessionTopic(topic), parts.streamName.pseudonym, parts.stream]);

/** What comes off the wire or out of the store, and who reads it. Signed ones once as they come, once signed anew. */
const readers: readonly [string, number, Uint8Array, (bytes: Uint8Array) => unknown][] = [
  ['a session', 500, session.message, accept],
  [
    'a session that is signed anew',
    200,
    sessionPayload,
    async (bytes) => accept(await sign1(bytes, -8, parts.noteKeyId, parts.ledgerKey.sign, place)),
  ],
  ['the stream of a session', 2000, session.message, peekSession],
  ['an envelope', 1000, envelope, (bytes) => receiver.open(bytes)],
  ['a status', 2000, encodeStatus('online'), decodeStatus],
  ['an acknowledgement', 500, ack, (bytes) => openAck(bytes, keyOf)],
  [
    'an acknowledgement that is signed anew',
    500,
    ackPayload,
    async (bytes) => openAck(await sign1(bytes, -8, ackKeyId(parts.ackKey.publicJwk), parts.ackKey.sign), keyOf),
  ],
  ['a proof', 2000, encodeProof(parts.proof), decodeProof],
  ['a schema', 2000, encodeSchema(parts.schema), decodeSchema],
  ['a meter record', 2000, encodeMeter(parts.meter), decodeMeter],
  ['a leaf', 2000, recordLeaf(parts.link), (bytes) => recordLink(decodeLeaf(bytes))],
  ['a leaf read as a decision', 2000, recordLeaf(parts.link), (bytes) => decisionBody(decodeLeaf(bytes))],
  ['a COSE_Mac0', 2000, mac, (bytes) => openMac0(parseMac0(bytes), secret)],
  ['a COSE_Encrypt0', 1000, encrypted, (bytes) => openEncrypt0(parseEncrypt0(bytes), secret)],
  [
    'a topic',
    2000,
    new TextEncoder().encode(topic),
    (bytes) => parseStreamTopic(Buffer.from(bytes).toString('latin1')),
  ],
];

describe('bytes of a stranger', () => {
  it.each(readers)('said to be %s end in a value or a typed error', async (_what, rounds, bytes, read) => {
    const random = parts.numbers(bytes.length);
    let refused = 0;
    for (let round = 0; round < rounds; round++) {
      const changed = parts.mutated(bytes, random);
      // `verdictOf` lets nothing but a TollgateError pass.
      if ((await parts.verdictOf(() => read(changed))) !== 'accepted') refused++;
    }
    if (read !== readers.at(-1)![3]) expect(refused).toBeGreaterThan(rounds / 2);
  });

  it('never pass as a signed or sealed thing that was not made', async () => {
    const random = parts.numbers(99);
    for (let round = 0; round < 500; round++) {
      for (const [bytes, read] of [
        [session.message, accept],
        [envelope, (one: Uint8Array) => receiver.open(one)],
        [ack, (one: Uint8Array) => openAck(one, keyOf)],
      ] as const) {
        const changed = parts.mutated(bytes, random);
        if (Buffer.compare(changed, bytes) === 0) continue;
        expect(await parts.verdictOf(() => read(changed))).toMatch(/^TG_WIRE_/);
      }
    }
  });
});
