import type { JsonWebKey } from 'node:crypto';
import { jwkFromSeed, KEY_BYTES, ledgerVerifierKey, publicJwk } from './keys.ts';

/** The public keys of one recipient, as `unit/recipients.json` holds them under its DID. */
export interface RecipientKeys {
  /** X25519. */
  readonly hpke: JsonWebKey;
  /** Ed25519. */
  readonly ack: JsonWebKey;
}

/** One file of an enrolment. */
export interface EnrolmentDocument {
  /** Relative to the enrolment's folder, `/` between folders. */
  readonly path: string;
  readonly text: string;
  /** Holds a private key. */
  readonly secret: boolean;
}

export interface EnrolmentRequest {
  /** DIDs; each gets a folder: the first `recipient`, the others `recipient-2` and so on. */
  readonly recipients: readonly string[];
  readonly random: (bytes: number) => Uint8Array;
  /** Makes an owner too: the DID of the owner's public key. Without it the unit takes no consent by credential. */
  readonly ownerDid?: (publicKey: JsonWebKey) => string;
}

/** Files that the unit reads. */
export const LEDGER_KEY_FILE = 'ledger.jwk';
export const RECIPIENTS_FILE = 'recipients.json';
export const TRUSTED_FILE = 'trusted.json';
export const ISSUERS_FILE = 'issuers.json';
/** The owner's own, beside `unit/`: it signs consents and belongs on no unit. */
export const OWNER_KEY_FILE = 'owner.jwk';
/** Files that the receiver reads. */
export const HPKE_KEY_FILE = 'hpke.jwk';
export const ACK_KEY_FILE = 'ack.jwk';
export const UNITS_FILE = 'units.json';

/**
 * The documents of a new unit and its recipients, before identity exists: both ends' keys are made in one place and the
 * public halves laid crosswise. Randomness comes as an argument, so that a test can foresee the keys.
 */
export function enrolment({ recipients, random, ownerDid }: EnrolmentRequest): EnrolmentDocument[] {
  const ledger = jwkFromSeed('Ed25519', random(KEY_BYTES));
  const verifierKey = ledgerVerifierKey(ledger);
  const documents: EnrolmentDocument[] = [];
  const known: Record<string, RecipientKeys> = {};
  for (const [i, did] of recipients.entries()) {
    const made = recipientDocuments(i === 0 ? 'recipient' : `recipient-${i + 1}`, [verifierKey], random);
    known[did] = made.keys;
    documents.push(...made.documents);
  }
  return [
    document(`unit/${LEDGER_KEY_FILE}`, ledger, true),
    document(`unit/${RECIPIENTS_FILE}`, known, false),
    document(`unit/${TRUSTED_FILE}`, [], false),
    ...(ownerDid === undefined ? [] : ownerDocuments(random, ownerDid)),
    ...documents,
  ];
}

/** Key of an owner, and what the unit pins of it. */
export function ownerDocuments(
  random: (bytes: number) => Uint8Array,
  ownerDid: (publicKey: JsonWebKey) => string,
): EnrolmentDocument[] {
  const owner = jwkFromSeed('Ed25519', random(KEY_BYTES));
  const issuers = { owner: ownerDid(publicJwk(owner)), standing: [], documents: {} };
  return [document(`owner/${OWNER_KEY_FILE}`, owner, true), document(`unit/${ISSUERS_FILE}`, issuers, false)];
}

/**
 * The documents of one more recipient of units that exist.
 *
 * @param folder name of the recipient's folder
 * @param verifierKeys ledger verifier keys of its units
 */
export function recipientDocuments(
  folder: string,
  verifierKeys: readonly string[],
  random: (bytes: number) => Uint8Array,
): { readonly keys: RecipientKeys; readonly documents: readonly EnrolmentDocument[] } {
  const hpke = jwkFromSeed('X25519', random(KEY_BYTES));
  const ack = jwkFromSeed('Ed25519', random(KEY_BYTES));
  return {
    keys: { hpke: publicJwk(hpke), ack: publicJwk(ack) },
    documents: [
      document(`${folder}/${HPKE_KEY_FILE}`, hpke, true),
      document(`${folder}/${ACK_KEY_FILE}`, ack, true),
      document(`${folder}/${UNITS_FILE}`, verifierKeys, false),
    ],
  };
}

function document(path: string, value: unknown, secret: boolean): EnrolmentDocument {
  return { path, text: jsonText(value), secret };
}

/** JSON as enrolment writes it. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
