import type { Schema } from '#wire/schema';

// What a record costs beside itself, in bytes, each part by its standard. Lengths only: nothing is sealed here.

/** TLS 1.3 (RFC 8446 §5.2): header 5, content type 1, tag 16; a record holds at most 2^14. */
export const TLS_RECORD = 22;
const TLS_CONTENT = 16_384;
/** `v1/{tenant}/{pseudonym}/tx/{stream}`: tenant `t1`, pseudonym 22 and stream 11 characters of base64url. */
export const TOPIC = `v1/t1/${'p'.repeat(22)}/tx/${'s'.repeat(11)}`;
/** Poly1305. */
const TAG = 16;
const SHA256 = 32;
const PUBLISH_EVERY_S = 60;
const SESSION_S = 3600;
/** Depth of the tree for proofs: 2^14 leaves are four and a half hours of a record a second. */
const PROOF_NODES = 14;

/** Bytes of a CBOR head with this argument (RFC 8949 §3). */
const head = (n: number): number => (n < 24 ? 1 : n < 256 ? 2 : n < 65_536 ? 3 : 5);

/** COSE_Encrypt0 [ h'', {6: partial_iv}, ciphertext ] around a record, without the record. */
export function envelopeBytes(record: number, seq: number): number {
  const partialIv = seq < 256 ? 1 : seq < 65_536 ? 2 : 3;
  return 1 + 1 + 1 + 1 + head(partialIv) + partialIv + head(record + TAG) + TAG;
}

/** PUBLISH with QoS 1 of MQTT 5 (§3.3) without its payload; with `alias` the topic is an alias known before. */
export function mqttBytes(payload: number, alias: boolean): number {
  const variable = 2 + (alias ? 0 : TOPIC.length) + 2 + 1 + (alias ? 3 : 0);
  const rest = variable + payload;
  return 1 + (rest < 128 ? 1 : rest < 16_384 ? 2 : rest < 2_097_152 ? 3 : 4) + variable;
}

export const tlsBytes = (content: number): number => TLS_RECORD * Math.ceil(content / TLS_CONTENT);

/** A message of `payload` bytes on the wire. */
export function onTheWire(payload: number, alias: boolean): { mqtt: number; tls: number } {
  const mqtt = mqttBytes(payload, alias);
  return { mqtt, tls: tlsBytes(payload + mqtt) };
}

/** Proof and checkpoint of a stream, published once a minute: this second's share. A leaf is never sent. */
export function proofShare(seconds: number, alias: boolean): number {
  const origin = `tollgate/${'0'.repeat(16)}`;
  const root = 'r'.repeat(44);
  // Key hash of 4 bytes and an Ed25519 signature in base64 (C2SP signed-note).
  const signature = `\u2014 ${origin} ${'s'.repeat(92)}\n`;
  const checkpoint = Buffer.byteLength(`${origin}\n16384\n${root}\n\n${signature}`);
  const nodes = 1 + PROOF_NODES * (2 + SHA256);
  const payload = 1 + 1 + head(checkpoint) + checkpoint + 3 + 3 + nodes + 1;
  const { mqtt, tls } = onTheWire(payload, alias);
  return ((payload + mqtt + tls) * seconds) / PUBLISH_EVERY_S;
}

/** Session message (signature, encapsulated key, sealed schema), once an hour: this record's share. By count. */
export function sessionShare(schema: Schema, seconds: number): number {
  let payload = 64 + 40 + 32 + 8 + 34 + TAG + 120;
  for (const { columns } of schema.groups)
    for (const { signal, unit } of columns) payload += signal.length + unit.length + 45;
  const { mqtt, tls } = onTheWire(payload, false);
  return ((payload + mqtt + tls) * seconds) / SESSION_S;
}
