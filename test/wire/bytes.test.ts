import { createDecipheriv, createHash, createHmac, createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Chacha20Poly1305 } from '@hpke/chacha20poly1305';
import { CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { describe, expect, it } from 'vitest';
import { type CborValue, decodeCbor, decodeSchema, encodeCbor, encodeSchema } from '#wire';
import { Cddl } from './cddl.ts';
import { ledgerKey, newSession, recipientKey, recordOf, schema, stream, streamName } from './parts.ts';

const utf8 = (text: string) => new TextEncoder().encode(text);
const none = new Uint8Array();
const { tenant, pseudonym } = streamName;
const topic = `v1/${tenant}/${pseudonym}/tx/${Buffer.from(stream).toString('base64url')}`;
const cddlOf = (file: string) => new Cddl(readFileSync(new URL(`../../wire/${file}`, import.meta.url), 'utf8'));
/** The bytes of a value that the CDDL of `file` allows under `rule`. */
function encoded(file: string, rule: string, value: CborValue): Uint8Array<ArrayBuffer> {
  expect(cddlOf(file).mismatch(rule, value)).toBeNull();
  return new Uint8Array(encodeCbor(value));
}

/** A receiver written from `session.cddl`, `envelope.cddl` and the RFCs alone: nothing of `wire/` but its CBOR. */
async function openByHand(message: Uint8Array) {
  const [headers, , payload, signature] = decodeCbor(message) as Uint8Array[];
  const place = encoded('session.cddl', 'place', [`${topic}/s`, pseudonym, stream]);
  const signed = encodeCbor(['Signature1', headers!, place, payload!]);
  const publicKey = createPublicKey({ key: ledgerKey.publicJwk, format: 'jwk' });
  expect(verify(null, signed, publicKey, signature!)).toBe(true);

  const [, , , enc, , hash, sealed] = decodeCbor(payload!) as Uint8Array[];
  const suite = new CipherSuite({
    kem: new DhkemX25519HkdfSha256(),
    kdf: new HkdfSha256(),
    aead: new Chacha20Poly1305(),
  });
  const { kty, crv, x, d } = recipientKey.privateJwk;
  const context = await suite.createRecipientContext({
    recipientKey: await suite.kem.importKey('jwk', { kty, crv, x, d } as never, false),
    enc: new Uint8Array(enc!).buffer,
    info: encoded('session.cddl', 'hpke_info', ['tollgate/1', tenant, pseudonym, stream]).buffer,
  });
  const opened = new Uint8Array(await context.open(new Uint8Array(sealed!).buffer, place.buffer));
  expect(new Uint8Array(createHash('sha256').update(opened).digest())).toEqual(hash);
  const exported = async (label: Uint8Array, length: number) =>
    new Uint8Array(await context.export(new Uint8Array(label).buffer, length));
  return { schema: decodeSchema(opened), exported };
}

describe('a receiver built from the CDDL alone', () => {
  it.each([0, 1, 255, 256, 70_000])('opens record %i and rebuilds what its leaf says', async (seq) => {
    const sender = await newSession();
    const columns = utf8('the columns');
    const record = recordOf(columns);
    const { payload, bodyHash } = await sender.seal(seq, record);
    const { schema: received, exported } = await openByHand(sender.message);
    expect(received).toEqual(schema);

    const tagKey = await exported(utf8('tag'), 32);
    const agreementTag = new Uint8Array(
      createHmac('sha256', tagKey).update(schema.agreement.uid).digest().subarray(0, 8),
    );
    expect(agreementTag).toEqual(sender.agreementTag);

    const [, headers, ciphertext] = decodeCbor(payload) as [Uint8Array, Map<number, Uint8Array>, Uint8Array];
    const nonce = Buffer.from(await exported(utf8('nonce'), 12));
    const iv = Buffer.from(headers.get(6)!);
    const padded = Buffer.concat([Buffer.alloc(12 - iv.length), iv]);
    expect(padded.readUIntBE(6, 6)).toBe(seq);
    for (const [i, byte] of padded.entries()) nonce[i]! ^= byte;
    const external = encoded('envelope.cddl', 'external_aad', [topic, pseudonym, agreementTag, seq]);
    const aad = encoded('envelope.cddl', 'enc_structure', ['Encrypt0', none, external]);
    const key = await exported(utf8('key'), 32);
    const decipher = createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
    decipher.setAAD(aad, { plaintextLength: ciphertext.length - 16 });
    decipher.setAuthTag(ciphertext.subarray(-16));
    const plain = Buffer.concat([decipher.update(ciphertext.subarray(0, -16)), decipher.final()]);
    // Without a timing a record tells when it starts from 0 on; the columns take the rest.
    const head = encoded('record.cddl', 'packed_head', 61_000);
    expect(plain).toEqual(Buffer.concat([head, columns]));
    const hash8 = createHash('sha256').update(encodeSchema(received)).digest().subarray(0, 8);
    expect(encoded('record.cddl', 'record', [1, new Uint8Array(hash8), 61_000, columns])).toEqual(record);

    const label = Buffer.concat([utf8('salt'), Buffer.alloc(8)]);
    label.writeBigUInt64BE(BigInt(seq), 4);
    const salt = await exported(label, 16);
    expect(new Uint8Array(createHash('sha256').update(salt).update(record).digest())).toEqual(bodyHash);
  });
});
