import type { JsonWebKey } from 'node:crypto';
import { ERRORS, type ErrorCode, type TollgateError } from '#contracts';
import { type CborValue, encodeCbor, openSign1, parseSign1, sign1 } from '#wire';
import { Shape } from '#wire/shape';

/** What a unit says of a document that came, `answer.cddl`. */
export interface Answer {
  /** SHA-256 of the document. */
  readonly document: Uint8Array;
  readonly verdict: 'refused' | 'accepted' | 'known';
  /** Why it was refused; `docs/errors.md` has cause and remedy. */
  readonly code: string | null;
  /** Where in the document, RFC 6901. */
  readonly pointer: string | null;
  /** Leaves of the unit's ledger that were durable when it answered. */
  readonly ledgerSize: number;
  /** Of a withdrawal: records that were destroyed before they had left; null for other documents. */
  readonly dropped: number | null;
  /** Accepted, and not in force now: why; null where it is. */
  readonly suspended: string | null;
}

export interface AnswerSigner {
  /** COSE algorithm of the ledger key, and its note key id. */
  readonly algorithm: number;
  readonly keyId: Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** Answers go to the unit's status topic and this: `v1/{tenant}/{pseudonym}/st/doc`. */
export const ANSWER_SUFFIX = 'doc';

const VERSION = 1;
const VERDICTS: readonly Answer['verdict'][] = ['refused', 'accepted', 'known'];
const FIELDS = 8;
const HASH_BYTES = 32;
const shape = new Shape('answer');

export async function signAnswer(answer: Answer, { algorithm, keyId, sign }: AnswerSigner): Promise<Uint8Array> {
  const { document, verdict, code, pointer, ledgerSize, dropped, suspended } = answer;
  const fields = [VERSION, document, VERDICTS.indexOf(verdict), code, pointer, ledgerSize, dropped, suspended];
  return await sign1(encodeCbor(fields), algorithm, keyId, sign);
}

/**
 * The answer, its signature checked.
 *
 * @param key public half of the unit's ledger key
 * @throws {TollgateError} TG_WIRE_CBOR, TG_WIRE_COSE, TG_WIRE_MALFORMED, TG_WIRE_SIGNATURE
 */
export function openAnswer(bytes: Uint8Array, key: JsonWebKey): Answer {
  const payload = openSign1(parseSign1(bytes), key);
  const [version, document, verdict, code, pointer, size, dropped, suspended] = shape.decode(payload, FIELDS);
  shape.version(version, VERSION);
  const textOrNull = (value: CborValue, field: string) => (value === null ? null : shape.text(value, field));
  return {
    document: shape.bytes(document, 'document', HASH_BYTES),
    verdict: VERDICTS[shape.uint(verdict, 'verdict')] ?? shape.refuse('the verdict', '0, 1 or 2'),
    code: textOrNull(code, 'code'),
    pointer: textOrNull(pointer, 'pointer'),
    ledgerSize: shape.uint(size, 'ledger size'),
    dropped: dropped === null ? null : shape.uint(dropped, 'dropped'),
    suspended: textOrNull(suspended, 'suspended'),
  };
}

/** What to do about a refusal; null for a code of another version. */
export function remedyOf(code: string): string | null {
  return Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode].remedy : null;
}

/** The answer to a document that was refused. */
export function refusal(document: Uint8Array, error: TollgateError, ledgerSize: number): Answer {
  const { code, place } = error;
  const rest = { ledgerSize, dropped: null, suspended: null };
  return { document, verdict: 'refused', code, pointer: place.pointer ?? null, ...rest };
}
