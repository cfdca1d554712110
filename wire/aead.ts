import { createCipheriv, createDecipheriv } from 'node:crypto';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { TollgateError } from '#contracts';

/** ChaCha20-Poly1305, RFC 8439; AES-GCM is the profile of the COSE vectors. */
export type AeadName = 'chacha20-poly1305' | 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm';

export const TAG_BYTES = 16;
export const NONCE_BYTES = 12;
/** Below this the pure JavaScript cipher is faster than the call into native code, bytes. */
const NATIVE_FROM = 1024;

/** @returns ciphertext followed by the 16-byte tag */
export function seal(
  name: AeadName,
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  if (name === 'chacha20-poly1305' && plaintext.length < NATIVE_FROM) {
    return chacha20poly1305(key, nonce, aad).encrypt(plaintext);
  }
  const cipher = createCipheriv(name as 'chacha20-poly1305', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(aad, { plaintextLength: plaintext.length });
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** @throws {TollgateError} TG_WIRE_SEAL where key, nonce, associated data or bytes are not those that were sealed */
export function open(
  name: AeadName,
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array {
  const length = sealed.length - TAG_BYTES;
  if (length < 0) throw new TollgateError('TG_WIRE_SEAL', 'the sealed bytes are shorter than their tag');
  try {
    if (name === 'chacha20-poly1305' && length < NATIVE_FROM) return chacha20poly1305(key, nonce, aad).decrypt(sealed);
    const decipher = createDecipheriv(name as 'chacha20-poly1305', key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(aad, { plaintextLength: length });
    decipher.setAuthTag(sealed.subarray(length));
    return Buffer.concat([decipher.update(sealed.subarray(0, length)), decipher.final()]);
  } catch (cause) {
    throw new TollgateError('TG_WIRE_SEAL', 'the sealed bytes do not open', { cause });
  }
}
