import type { JsonWebKey } from 'node:crypto';
import { Chacha20Poly1305 } from '@hpke/chacha20poly1305';
import { Aes128Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { TollgateError } from '#contracts';

/** KEM, KDF and AEAD of a session: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, RFC 9180 §7. */
export const SUITE: readonly number[] = [0x0020, 0x0001, 0x0003];

/** Sessions use ChaCha20-Poly1305; the vectors of RFC 9180 for this KEM and those of HPKE-3 are made with AES-128-GCM. */
export type HpkeAead = 'chacha20-poly1305' | 'aes-128-gcm';

/** HPKE (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256. */
export function hpkeSuite(aead: HpkeAead = 'chacha20-poly1305'): CipherSuite {
  return new CipherSuite({
    kem: new DhkemX25519HkdfSha256(),
    kdf: new HkdfSha256(),
    aead: aead === 'aes-128-gcm' ? new Aes128Gcm() : new Chacha20Poly1305(),
  });
}

/** The half of a context that both ends share. */
export interface HpkeExport {
  /** RFC 9180 §5.3. */
  export(context: Uint8Array, length: number): Promise<Uint8Array>;
}

export interface HpkeSender extends HpkeExport {
  readonly enc: Uint8Array;
  seal(plaintext: Uint8Array, aad: Uint8Array): Promise<Uint8Array>;
}

export interface HpkeRecipient extends HpkeExport {
  open(ciphertext: Uint8Array, aad: Uint8Array): Promise<Uint8Array>;
}

/** WebCrypto wants buffers that are not shared; `slice` also detaches from pools. */
const own = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

/** @param recipient public X25519 JWK */
export async function hpkeSender(recipient: JsonWebKey, info: Uint8Array): Promise<HpkeSender> {
  const hpke = hpkeSuite();
  const { kty, crv, x } = recipient;
  try {
    const recipientPublicKey = await hpke.kem.importKey('jwk', { kty, crv, x } as never, true);
    const context = await hpke.createSenderContext({ recipientPublicKey, info: own(info) });
    return {
      enc: new Uint8Array(context.enc),
      seal: async (plaintext, aad) => new Uint8Array(await context.seal(own(plaintext), own(aad))),
      export: async (label, length) => new Uint8Array(await context.export(own(label), length)),
    };
  } catch (cause) {
    throw new TollgateError('TG_WIRE_KEY', "the recipient's key is no X25519 key", { cause });
  }
}

/** @param key private X25519 JWK of the recipient */
export async function hpkeRecipient(
  key: JsonWebKey,
  enc: Uint8Array,
  info: Uint8Array,
  aead?: HpkeAead,
): Promise<HpkeRecipient> {
  const hpke = hpkeSuite(aead);
  const { kty, crv, x, d } = key;
  try {
    const recipientKey = await hpke.kem.importKey('jwk', { kty, crv, x, d } as never, false);
    const context = await hpke.createRecipientContext({ recipientKey, enc: own(enc), info: own(info) });
    return {
      open: async (ciphertext, aad) => {
        try {
          return new Uint8Array(await context.open(own(ciphertext), own(aad)));
        } catch (cause) {
          throw new TollgateError('TG_WIRE_SEAL', 'the sealed bytes do not open', { cause });
        }
      },
      export: async (label, length) => new Uint8Array(await context.export(own(label), length)),
    };
  } catch (cause) {
    throw new TollgateError('TG_WIRE_KEY', 'the encapsulated key is not for this X25519 key', { cause });
  }
}
