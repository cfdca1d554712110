import type { CborValue } from './cbor.ts';
import type { Shape } from './shape.ts';

/**
 * A checkpoint of a unit as it travels: its text says the name of the log twice and hashes in base64, which costs 205
 * bytes where its content has 115. A note of any other form goes as its text.
 */

const NAME = 'tollgate/';
const NAME_BYTES = 8;
const HASH_BYTES = 32;
/** Key id of 4 bytes and a signature: Ed25519 has 64, ECDSA on P-256 as DER at most 72. */
const SIGNED_BYTES = { least: 4 + 8, most: 4 + 72 };
const FORM =
  /^tollgate\/([0-9a-f]{16})\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n\n\u2014 tollgate\/[0-9a-f]{16} ([A-Za-z0-9+/]+=*)\n$/;

function textOf(name: Uint8Array, size: number, root: Uint8Array, signed: Uint8Array): string {
  const [origin, hash, signature] = [Buffer.from(name).toString('hex'), base64(root), base64(signed)];
  return `${NAME}${origin}\n${size}\n${hash}\n\n\u2014 ${NAME}${origin} ${signature}\n`;
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const bytesOf = (text: string, encoding: 'hex' | 'base64') => new Uint8Array(Buffer.from(text, encoding));

/** `[name, size, root, signed]` where the text can be rebuilt from them to the byte, else the text. */
export function encodeNote(text: string): CborValue {
  const found = FORM.exec(text);
  if (found === null) return text;
  const [, name, size, root, signed] = found;
  const parts = [bytesOf(name!, 'hex'), Number(size), bytesOf(root!, 'base64'), bytesOf(signed!, 'base64')] as const;
  const { length } = parts[3];
  if (!Number.isSafeInteger(parts[1]) || length < SIGNED_BYTES.least || length > SIGNED_BYTES.most) return text;
  return textOf(...parts) === text ? [...parts] : text;
}

/** The text of a note. One that has a short form is refused as text: a value has one form. */
export function decodeNote(value: CborValue, shape: Shape): string {
  if (typeof value === 'string') {
    if (typeof encodeNote(value) !== 'string') shape.refuse('the checkpoint', 'in its short form');
    return value;
  }
  const [name, size, root, signed] = shape.array(value, 'checkpoint', 4);
  const signature = shape.bytes(signed, 'signature');
  if (signature.length < SIGNED_BYTES.least || signature.length > SIGNED_BYTES.most)
    shape.refuse('the signature', `${SIGNED_BYTES.least} to ${SIGNED_BYTES.most} bytes`);
  return textOf(
    shape.bytes(name, 'name', NAME_BYTES),
    shape.uint(size, 'size'),
    shape.bytes(root, 'root', HASH_BYTES),
    signature,
  );
}
