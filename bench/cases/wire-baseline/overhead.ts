import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { encodeProof, openSession, proofTopic, recordTopic, type Schema, sessionTopic } from '#wire';

// What a record costs beside itself, in bytes: envelope, session and proof by the project's own encoders, the headers of
// MQTT 5 and TLS 1.3 by count.

/** TLS 1.3 (RFC 8446 §5.2): header 5, content type 1, tag 16; a record holds at most 2^14. */
const TLS_RECORD = 22;
const TLS_CONTENT = 16_384;
const PUBLISH_EVERY_S = 60;
const SESSION_S = 3600;
const LINK_EVERY_S = 3600;
/** Leaves of the tree that proofs come from: four and a half hours of a record a second. */
const TREE_SIZE = 2 ** 14;
const TREE_DEPTH = 14;
const SHA256 = 32;

const STREAM = { tenant: 't1', pseudonym: 'A'.repeat(22), stream: new Uint8Array(8).fill(7) };
const TOPIC = recordTopic(STREAM.tenant, STREAM.pseudonym, STREAM.stream);

/** PUBLISH with QoS 1 of MQTT 5 (§3.3) without its payload; with `alias` the topic is an alias known before. */
function mqttBytes(payload: number, topic: string, alias: boolean): number {
  const variable = 2 + (alias ? 0 : topic.length) + 2 + 1 + (alias ? 3 : 0);
  const rest = variable + payload;
  return 1 + (rest < 128 ? 1 : rest < 16_384 ? 2 : rest < 2_097_152 ? 3 : 4) + variable;
}

/** What MQTT and TLS add to a message of `payload` bytes. */
export function onTheWire(payload: number, alias: boolean, topic: string = TOPIC): { mqtt: number; tls: number } {
  const mqtt = mqttBytes(payload, topic, alias);
  return { mqtt, tls: TLS_RECORD * Math.ceil((payload + mqtt) / TLS_CONTENT) };
}

function whole(payload: number, topic: string, alias: boolean): number {
  const { mqtt, tls } = onTheWire(payload, alias, topic);
  return payload + mqtt + tls;
}

/**
 * Proof and checkpoint of a stream, published once a minute, and once an hour the proof that the ledger only grew: the
 * share of `seconds`. A leaf is never sent.
 */
export function proofShare(seconds: number, alias: boolean): number {
  const origin = `tollgate/${'0'.repeat(16)}`;
  const base64 = (bytes: number): string => Buffer.alloc(bytes).toString('base64');
  // C2SP tlog-checkpoint and signed-note: root, key id of 4 bytes and Ed25519 signature in base64.
  const checkpoint = `${origin}\n${TREE_SIZE}\n${base64(SHA256)}\n\n\u2014 ${origin} ${base64(4 + 64)}\n`;
  const path = Array.from({ length: TREE_DEPTH }, () => new Uint8Array(SHA256));
  const common = { checkpoint, seq: 3600, leafIndex: TREE_SIZE - 1, path, evicted: [] };
  const proof = encodeProof({ ...common, consistency: null });
  const linked = encodeProof({ ...common, consistency: { fromSize: TREE_SIZE - 70, nodes: [...path, ...path] } });
  const link = (linked.length - proof.length) / LINK_EVERY_S;
  return (whole(proof.length, proofTopic(TOPIC), alias) / PUBLISH_EVERY_S + link) * seconds;
}

/** A session opened for the bench's stream, to seal what it measures. */
export async function openBenchSession(
  schema: Schema,
): Promise<{ seal: (seq: number, record: Uint8Array) => Promise<number>; share: (seconds: number) => number }> {
  const recipient = generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' });
  const ledger = generateKeyPairSync('ed25519').privateKey;
  const session = await openSession({
    ...STREAM,
    recipientKey: recipient,
    schema,
    sign: async (message) => new Uint8Array(sign(null, message, ledger)),
    keyId: createHash('sha256').digest().subarray(0, 4),
  });
  const message = whole(session.message.length, sessionTopic(TOPIC), false);
  return {
    seal: async (seq, record) => (await session.seal(seq, record)).payload.length,
    share: (seconds) => (message * seconds) / SESSION_S,
  };
}
