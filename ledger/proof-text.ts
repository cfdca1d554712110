import { TollgateError } from '#contracts';
import { fromBase64, parseDecimal, toBase64 } from './bytes.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
import { HASH_BYTES } from './merkle.ts';

/** Receipts as text, C2SP tlog-proof@v1: a proof and its checkpoint that a third party checks offline. */

export interface Receipt {
  /** Opaque and not authenticated. A receipt of Tollgate carries the leaf's bytes, so that the file stands alone. */
  readonly extra: Uint8Array | null;
  readonly index: number;
  /** Lowest first. */
  readonly path: readonly Uint8Array[];
  /** The signed note, verbatim. */
  readonly checkpoint: string;
}

export interface ParsedReceipt extends Receipt {
  readonly head: Checkpoint;
}

const FIRST_LINE = 'c2sp.org/tlog-proof@v1';
/** A path of a tree with fewer than 2^63 leaves. */
const MAX_PATH = 63;

export function formatReceipt({ extra, index, path, checkpoint }: Receipt): string {
  const lines = [FIRST_LINE];
  if (extra !== null) lines.push(`extra ${toBase64(extra)}`);
  lines.push(`index ${index}`, ...path.map(toBase64), '', checkpoint);
  return lines.join('\n');
}

/**
 * Reads a receipt strictly: printing what was read gives the same bytes. Nothing is verified.
 *
 * @throws {TollgateError} TG_LEDGER_RECEIPT with the line; TG_LEDGER_NOTE, TG_LEDGER_CHECKPOINT for its checkpoint
 */
export function parseReceipt(text: string): ParsedReceipt {
  const end = text.indexOf('\n\n');
  const lines = text.slice(0, Math.max(end, 0)).split('\n');
  if (lines[0] !== FIRST_LINE) throw wrong(`the first line is not "${FIRST_LINE}", or no empty line follows`, 1);
  let at = 1;
  let extra: Uint8Array | null = null;
  if (lines[at]?.startsWith('extra ')) {
    extra = fromBase64(lines[at]!.slice('extra '.length));
    if (extra === null) throw wrong('the extra data is not base64', at + 1);
    at++;
  }
  const index = lines[at]?.startsWith('index ') ? parseDecimal(lines[at]!.slice('index '.length)) : null;
  if (index === null) throw wrong('a line "index N" was expected', at + 1);
  at++;
  if (lines.length - at > MAX_PATH)
    throw wrong(`the proof has ${lines.length - at} hashes, at most ${MAX_PATH}`, at + 1);
  const path = lines.slice(at).map((line, i) => {
    const hash = fromBase64(line);
    if (hash?.length !== HASH_BYTES) throw wrong('a line of the proof is 32 bytes of base64', at + i + 1);
    return hash;
  });
  const checkpoint = text.slice(end + 2);
  return { extra, index, path, checkpoint, head: parseCheckpoint(checkpoint) };
}

function wrong(message: string, line: number): TollgateError {
  return new TollgateError('TG_LEDGER_RECEIPT', message, { place: { line } });
}
