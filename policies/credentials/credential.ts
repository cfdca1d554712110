import { createHash } from 'node:crypto';
import { type ErrorCode, type Place, TollgateError } from '#contracts';
import { DocumentReader, type Node, type ObjectNode } from '../document.ts';
import { parseJson } from '../json.ts';
import { parseDateTime } from '../time.ts';
import { DID, issuerKey, type PinnedDocuments } from './did.ts';
import { isSignedBy, parseJws } from './jws.ts';

/** W3C Verifiable Credentials Data Model 2.0 §4.3; contexts are compared word by word and never fetched. */
export const CONTEXT_VC = 'https://www.w3.org/ns/credentials/v2';
export const CONTEXT_CONSENT = 'https://tollgate.example/ns/auto-consent/1';

/** What a credential is about. */
export const TYPES = [
  'AutoAgreementCredential',
  'AutoConsentCredential',
  'AutoOwnershipCredential',
  'AutoStandingCredential',
  'BitstringStatusListCredential',
] as const;
export type CredentialType = (typeof TYPES)[number];

/** One bit of a status list, W3C Bitstring Status List v1.0 §2.1. */
export interface StatusEntry {
  readonly purpose: 'revocation' | 'suspension';
  readonly index: number;
  /** IRI of the list's credential. */
  readonly list: string;
}

/** A credential whose signature was checked against its issuer's key; whether it is in force is a matter of time. */
export interface Credential {
  readonly file: string;
  readonly type: CredentialType;
  /** IRI; null where it has none. */
  readonly id: string | null;
  readonly issuer: string;
  /** ms since 1970 UTC. */
  readonly validFromMs: number;
  /** ms since 1970 UTC; null: without end. */
  readonly validUntilMs: number | null;
  readonly status: readonly StatusEntry[];
  readonly subject: ObjectNode;
  /** Reads `subject` with places and codes of this credential. */
  readonly reader: DocumentReader;
  /** SHA-256 of the credential's bytes. */
  readonly hash: Uint8Array;
}

const CREDENTIAL_KEYS = [
  '@context',
  'id',
  'type',
  'issuer',
  'validFrom',
  'validUntil',
  'credentialStatus',
  'credentialSubject',
  'name',
  'description',
  // Claims of JWT that repeat what the credential says (VC-JOSE-COSE §3.1.3); they may only agree or narrow.
  'iss',
  'jti',
  'iat',
  'nbf',
  'exp',
];
const STATUS_KEYS = ['id', 'type', 'statusPurpose', 'statusListIndex', 'statusListCredential', 'statusSize'];
const MOST_STATUS = 4;
const IRI = /^[A-Za-z][A-Za-z0-9+.-]*:\S{1,300}$/;
const WHAT = 'a credential';

/**
 * Reads a credential as `vc+jwt` (W3C VC-JOSE-COSE) and checks its signature. Only issuers whose keys are at hand are
 * believed: did:key, whose key is its name, and the pinned documents. Nothing is fetched, and no clock is asked.
 *
 * @throws {TollgateError} TG_CREDENTIAL_FORM, _ALGORITHM, _SYNTAX, _UNKNOWN_KEY, _VALUE, _ISSUER, _SIGNATURE
 */
export function readCredential(bytes: Uint8Array, file: string, pinned: PinnedDocuments): Credential {
  const jws = parseJws(bytes, file);
  const { text, root } = parseJson(jws.payload, file, 'TG_CREDENTIAL_SYNTAX');
  const codes = { unknownKey: 'TG_CREDENTIAL_UNKNOWN_KEY', value: 'TG_CREDENTIAL_VALUE' } as const;
  const reader = new DocumentReader(file, text, codes);
  const object = reader.record(root, WHAT, CREDENTIAL_KEYS);
  // Who signed it comes first: of a stranger's bytes nothing further is worth reading.
  const issuerNode = reader.need(object, 'issuer', WHAT);
  const issuer = issuerOf(reader, issuerNode);
  const key = issuerKey(issuer, jws.kid, pinned);
  if (key === null) {
    const message = issuer.startsWith('did:key:')
      ? `kid must name the key of ${issuer}`
      : `the unit pins no document of ${issuer} with this key`;
    throw reader.fault('TG_CREDENTIAL_ISSUER', issuerNode, message);
  }
  if (!isSignedBy(jws, key)) {
    throw reader.fault('TG_CREDENTIAL_SIGNATURE', issuerNode, `${issuer} did not sign these bytes`);
  }
  return new CredentialReader(reader, object, issuer, file).read(bytes);
}

class CredentialReader {
  readonly #reader: DocumentReader;
  readonly #object: ObjectNode;
  readonly #issuer: string;
  readonly #file: string;

  constructor(reader: DocumentReader, object: ObjectNode, issuer: string, file: string) {
    this.#reader = reader;
    this.#object = object;
    this.#issuer = issuer;
    this.#file = file;
  }

  read(bytes: Uint8Array): Credential {
    const reader = this.#reader;
    this.#context();
    const type = this.#type();
    const claimed = reader.get(this.#object, 'iss');
    if (claimed !== undefined && reader.text(claimed, 'iss') !== this.#issuer)
      throw reader.wrong(claimed, 'iss is not the issuer');
    const id = reader.get(this.#object, 'id');
    const jti = reader.get(this.#object, 'jti');
    if (jti !== undefined && (id === undefined || reader.text(jti, 'jti') !== reader.text(id, 'id')))
      throw reader.wrong(jti, 'jti is not the id');
    const validFromMs = Math.max(this.#time('validFrom') ?? this.#missing('validFrom'), this.#claim('nbf') ?? 0);
    const ends = [this.#time('validUntil'), this.#claim('exp')].filter((one) => one !== null);
    this.#claim('iat');
    const validUntilMs = ends.length === 0 ? null : Math.min(...ends);
    if (validUntilMs !== null && validUntilMs <= validFromMs)
      throw reader.wrong(this.#object, 'the credential ends before it begins');
    return {
      file: this.#file,
      type,
      id: id === undefined ? null : this.#iri(id, 'id'),
      issuer: this.#issuer,
      validFromMs,
      validUntilMs,
      status: this.#status(),
      subject: reader.object(reader.need(this.#object, 'credentialSubject', WHAT), 'credentialSubject'),
      reader,
      hash: new Uint8Array(createHash('sha256').update(trimmed(bytes)).digest()),
    };
  }

  #context(): void {
    const node = this.#reader.need(this.#object, '@context', WHAT);
    const items = this.#reader.array(node, '@context');
    const words = items.map((item) => (item.kind === 'scalar' ? item.value : null));
    if (words.length !== 2 || words[0] !== CONTEXT_VC || words[1] !== CONTEXT_CONSENT)
      throw this.#reader.wrong(node, `the context must be exactly ["${CONTEXT_VC}", "${CONTEXT_CONSENT}"]`);
  }

  #type(): CredentialType {
    const node = this.#reader.need(this.#object, 'type', WHAT);
    const words = this.#reader.array(node, 'type').map((item) => this.#reader.text(item, 'type'));
    if (words.length !== 2 || words[0] !== 'VerifiableCredential')
      throw this.#reader.wrong(node, 'type must be ["VerifiableCredential", <its own type>]');
    const type = TYPES.find((one) => one === words[1]);
    if (type === undefined)
      throw this.#reader.unknown('TG_CREDENTIAL_VALUE', node, words[1]!, 'a type of credential', TYPES);
    return type;
  }

  #time(key: 'validFrom' | 'validUntil'): number | null {
    const node = this.#reader.get(this.#object, key);
    if (node === undefined) return null;
    const text = this.#reader.text(node, key);
    const ms = parseDateTime(text);
    if (ms === null) throw this.#reader.wrong(node, `${key} must be like 2027-01-01T00:00:00Z, is "${text}"`);
    return ms;
  }

  #missing(key: string): never {
    throw this.#reader.wrong(this.#object, `a credential needs "${key}"`);
  }

  /** NumericDate, RFC 7519 §2, as ms. */
  #claim(key: 'nbf' | 'exp' | 'iat'): number | null {
    const node = this.#reader.get(this.#object, key);
    if (node === undefined) return null;
    const seconds = this.#reader.number(node, key);
    if (seconds < 0 || seconds > 253_402_300_799) throw this.#reader.wrong(node, `${key} must be seconds since 1970`);
    return seconds * 1000;
  }

  #status(): StatusEntry[] {
    const reader = this.#reader;
    const node = reader.get(this.#object, 'credentialStatus');
    if (node === undefined) return [];
    const items = reader.oneOrMany(node, 'credentialStatus');
    if (items.length > MOST_STATUS) throw reader.wrong(node, `at most ${MOST_STATUS} entries of status`);
    return items.map((item) => {
      const entry = reader.record(item, 'an entry of status', STATUS_KEYS);
      const text = (key: string) => reader.text(reader.need(entry, key, 'an entry of status'), key);
      const wrong = (key: string, message: string) => reader.wrong(entry.entries.get(key)!.value, message);
      if (text('type') !== 'BitstringStatusListEntry') throw wrong('type', 'the only type is BitstringStatusListEntry');
      const purpose = text('statusPurpose');
      if (purpose !== 'revocation' && purpose !== 'suspension')
        throw wrong('statusPurpose', `"${purpose}" is neither revocation nor suspension`);
      const size = reader.get(entry, 'statusSize');
      if (size !== undefined) reader.integer(size, 'statusSize', 1, 1);
      const index = text('statusListIndex');
      if (!/^(0|[1-9]\d{0,8})$/.test(index)) throw wrong('statusListIndex', 'the index must be a whole number as text');
      return {
        purpose,
        index: Number(index),
        list: this.#iri(entry.entries.get('statusListCredential')?.value ?? entry, 'statusListCredential'),
      };
    });
  }

  #iri(node: Node, what: string): string {
    const text = this.#reader.text(node, what);
    if (!IRI.test(text)) throw this.#reader.wrong(node, `${what} must be an IRI`);
    return text;
  }
}

function issuerOf(reader: DocumentReader, node: Node): string {
  const id =
    node.kind === 'object' ? reader.need(reader.record(node, 'an issuer', ['id', 'name']), 'id', 'an issuer') : node;
  const issuer = reader.text(id, 'issuer');
  if (!DID.test(issuer)) throw reader.fault('TG_CREDENTIAL_ISSUER', id, 'the issuer must be a DID');
  return issuer;
}

/** A file may end with a line feed that the message over MQTT does not have. */
function trimmed(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1]! <= 0x20) end--;
  return bytes.subarray(0, end);
}

/** Whether bytes look like a compact JWS, and not like bare JSON. */
export function looksLikeCredential(bytes: Uint8Array): boolean {
  return bytes[0] === 0x65 && bytes[1] === 0x79;
}

/** An error of a document within a credential, at its place within the credential. */
export function within(error: unknown, file: string, pointer: string): unknown {
  if (!(error instanceof TollgateError)) return error;
  const place: Place = { file, pointer: `${pointer}${error.place.pointer ?? ''}` };
  return new TollgateError(error.code satisfies ErrorCode, error.message, {
    place,
    remedy: error.remedy,
    cause: error,
  });
}
