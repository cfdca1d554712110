/** base58btc, the multibase `z` of DIDs (W3C Controlled Identifiers §2.4; alphabet of Bitcoin). */
const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const BASE = 58;
/** A key of a DID has at most 35 bytes, 48 characters; decoding is quadratic. */
const MOST_CHARACTERS = 64;

export function encodeBase58(bytes: Uint8Array): string {
  const digits: number[] = [];
  for (const byte of bytes) {
    let carry = byte;
    for (let i = 0; i < digits.length; i++) {
      carry += digits[i]! * 256;
      digits[i] = carry % BASE;
      carry = Math.floor(carry / BASE);
    }
    for (; carry > 0; carry = Math.floor(carry / BASE)) digits.push(carry % BASE);
  }
  const zeros = leading(bytes, (byte) => byte === 0);
  return (
    '1'.repeat(zeros) +
    digits
      .reverse()
      .map((digit) => ALPHABET[digit]!)
      .join('')
  );
}

/** The bytes, or null where the text is no base58btc or longer than a key of a DID. */
export function decodeBase58(text: string): Uint8Array | null {
  if (text.length > MOST_CHARACTERS) return null;
  const bytes: number[] = [];
  for (const character of text) {
    let carry = ALPHABET.indexOf(character);
    if (carry < 0) return null;
    for (let i = 0; i < bytes.length; i++) {
      carry += bytes[i]! * BASE;
      bytes[i] = carry & 0xff;
      carry >>>= 8;
    }
    for (; carry > 0; carry >>>= 8) bytes.push(carry & 0xff);
  }
  const zeros = leading([...text], (character) => character === '1');
  return Uint8Array.from([...new Array<number>(zeros).fill(0), ...bytes.reverse()]);
}

function leading<T>(items: Iterable<T>, is: (item: T) => boolean): number {
  let count = 0;
  for (const item of items) {
    if (!is(item)) break;
    count++;
  }
  return count;
}
