/** Base64 (RFC 4648 §4), hex and comparison without a platform library, so that the verifier runs in a browser too. */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const PADDING = '=';
const VALUES = new Int16Array(128).fill(-1);
for (let i = 0; i < ALPHABET.length; i++) VALUES[ALPHABET.charCodeAt(i)] = i;

export function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const rest = bytes.length - i;
    const word = (bytes[i]! << 16) | ((rest > 1 ? bytes[i + 1]! : 0) << 8) | (rest > 2 ? bytes[i + 2]! : 0);
    text += ALPHABET[word >> 18]! + ALPHABET[(word >> 12) & 63]!;
    text += rest > 1 ? ALPHABET[(word >> 6) & 63]! : PADDING;
    text += rest > 2 ? ALPHABET[word & 63]! : PADDING;
  }
  return text;
}

/**
 * Strict: padding is demanded, bits beyond the last byte must be 0, no other character is skipped; so one value has one
 * text, and a changed text never reads as the same value.
 *
 * @returns null where `text` is not base64
 */
export function fromBase64(text: string): Uint8Array | null {
  if (text.length % 4 !== 0) return null;
  const padding = text.endsWith('==') ? 2 : text.endsWith(PADDING) ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let at = 0;
  for (let i = 0; i < text.length; i += 4) {
    const last = i + 4 === text.length ? padding : 0;
    let word = 0;
    for (let j = 0; j < 4; j++) {
      const code = text.charCodeAt(i + j);
      const value = j >= 4 - last ? 0 : code < 128 ? VALUES[code]! : -1;
      if (value < 0) return null;
      word = (word << 6) | value;
    }
    if ((last === 1 && (word & 0xff) !== 0) || (last === 2 && (word & 0xffff) !== 0)) return null;
    bytes[at++] = word >> 16;
    if (last < 2) bytes[at++] = (word >> 8) & 0xff;
    if (last < 1) bytes[at++] = word & 0xff;
  }
  return bytes;
}

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const encoder = new TextEncoder();

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** ASCII decimal without sign and leading zeros, at most 2^53 − 1; null where `text` is anything else. */
export function parseDecimal(text: string): number | null {
  if (!/^(0|[1-9][0-9]{0,15})$/.test(text)) return null;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : null;
}
