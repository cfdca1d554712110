import { TollgateError } from '#contracts';
import { fromBase64, parseDecimal, toBase64 } from './bytes.ts';
import { HASH_BYTES } from './merkle.ts';
import {
  type Note,
  type NoteSigner,
  parseNote,
  signNote,
  TYPE_COSIGNATURE,
  type VerifierCrypto,
  type VerifierKey,
  verifyNote,
} from './note.ts';

/** Checkpoints, C2SP tlog-checkpoint: a tree head as the text of a signed note. */

/** The text of a checkpoint. */
export interface CheckpointBody {
  /** Of a unit: its key name, `tollgate/…`. */
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
  /** What follows the third line, newlines included; opaque. */
  readonly rest: string;
}

export interface Checkpoint extends CheckpointBody {
  readonly note: Note;
}

/**
 * Reads the text of a checkpoint. Its root may have any length here: `parseCheckpoint` demands 32 bytes.
 *
 * @throws {TollgateError} TG_LEDGER_CHECKPOINT with the line
 */
export function parseCheckpointBody(text: string): CheckpointBody {
  const lines = text.split('\n');
  const [origin, sizeText, rootText] = lines;
  if (origin === undefined || sizeText === undefined || rootText === undefined || lines.length < 4) {
    throw wrong('a checkpoint has three lines, each with a newline', lines.length);
  }
  if (origin === '') throw wrong('the origin is empty', 1);
  const size = parseDecimal(sizeText);
  if (size === null) throw wrong(`"${sizeText.slice(0, 40)}" is not a tree size (0 to 2^53 − 1)`, 2);
  const root = rootText === '' ? null : fromBase64(rootText);
  if (root === null) throw wrong('the root hash is not base64', 3);
  return { origin, size, root, rest: lines.slice(3).join('\n') };
}

export function formatCheckpointBody({ origin, size, root, rest }: CheckpointBody): string {
  return `${origin}\n${size}\n${toBase64(root)}\n${rest}`;
}

/**
 * Reads a signed checkpoint and checks its form; no signature is verified. The parse is strict: printing what was read
 * gives the same bytes.
 *
 * @throws {TollgateError} TG_LEDGER_NOTE, TG_LEDGER_CHECKPOINT
 */
export function parseCheckpoint(text: string): Checkpoint {
  const note = parseNote(text);
  const body = parseCheckpointBody(note.text);
  if (body.root.length !== HASH_BYTES) throw wrong(`the root hash has ${body.root.length} bytes, not ${HASH_BYTES}`, 3);
  if (/(^|\n)\n/.test(body.rest)) throw wrong('an extension line is empty', 4);
  return { ...body, note };
}

/**
 * Signs the head of a log; origin is the key's name.
 *
 * @param root 32 bytes
 * @returns the signed note
 */
export async function signCheckpoint(size: number, root: Uint8Array, signer: NoteSigner): Promise<string> {
  if (root.length !== HASH_BYTES || !Number.isSafeInteger(size) || size < 0) {
    throw new RangeError('a checkpoint has a size from 0 to 2^53 − 1 and a root of 32 bytes');
  }
  return await signNote(formatCheckpointBody({ origin: signer.key.name, size, root, rest: '' }), signer);
}

/**
 * Whether the log itself signed: one of `keys` whose name is the origin. Wrong signatures of any known key, and
 * cosignatures alone, are a no.
 */
export async function verifyCheckpoint(
  checkpoint: Checkpoint,
  keys: readonly VerifierKey[],
  crypto: VerifierCrypto,
): Promise<boolean> {
  const verdict = await verifyNote(checkpoint.note, keys, crypto);
  return verdict.ok && verdict.verified.some((key) => key.name === checkpoint.origin && key.type !== TYPE_COSIGNATURE);
}

function wrong(message: string, line: number): TollgateError {
  return new TollgateError('TG_LEDGER_CHECKPOINT', message, { place: { line } });
}
