import { TollgateError } from '#contracts';
import { type Agreement, loadAgreement } from '../agreement.ts';
import { canonicalJson } from '../credentials/canonical.ts';
import { type Credential, readCredential, within } from '../credentials/credential.ts';
import { DID, type PinnedDocuments } from '../credentials/did.ts';
import { readStatusList, type StatusList } from '../credentials/status-list.ts';
import { listKey } from '../credentials/validity.ts';
import type { ObjectNode } from '../document.ts';

/** What a credential may tell the unit, beside its issuer and its times. */
export type ConsentDocument =
  | AgreementDocument
  | ConsentActDocument
  | OwnershipDocument
  | StandingDocument
  | StatusDocument;

interface Carried {
  readonly credential: Credential;
  /** Whose versions it counts in: with the issuer the key of the table of versions. */
  readonly subject: string;
  /** Each document of a subject has a higher one than the one before. */
  readonly version: number;
  /** Name of the one unit it is for (`tollgate/` and 16 hex digits, the name of its ledger key); null: any of the owner. */
  readonly unit: string | null;
}

/** The owner grants, or narrows what was granted. */
export interface AgreementDocument extends Carried {
  readonly kind: 'agreement';
  readonly act: 'grant' | 'limit';
  /** `drive`: the consent ends when the ignition goes off, and with every start of the agent. */
  readonly scope: 'standing' | 'drive';
  readonly agreement: Agreement;
}

/** The owner takes an agreement back for ever, or for a time. */
export interface ConsentActDocument extends Carried {
  readonly kind: 'consent';
  readonly act: 'withdraw' | 'suspend' | 'resume';
  /** Uid of the agreement. */
  readonly agreement: string;
}

/** The vehicle has another owner: every grant of the one before is gone. */
export interface OwnershipDocument extends Carried {
  readonly kind: 'ownership';
  readonly owner: string;
}

/** What a rating body says of a recipient. */
export interface StandingDocument extends Carried {
  readonly kind: 'standing';
  readonly recipient: string;
  /** 0 worst … 5 best; null where the body does not rate. */
  readonly credit: number | null;
  readonly roles: readonly string[];
  /** ISO 3166 code; null where the body does not say. */
  readonly region: string | null;
}

export interface StatusDocument extends Carried {
  readonly kind: 'status';
  readonly list: StatusList;
}

const UNIT = /^tollgate\/[0-9a-f]{16}$/;
/** A URI (RFC 3986) in the one spelling that the owner can type: what looks like another uid would outlive its withdrawal. */
const UID = /^[a-z][a-z0-9+.-]*:[!-~]{1,200}$/;
const URN_UUID = /^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const isUid = (uid: string) => UID.test(uid) && (!/^urn:uuid:/i.test(uid) || URN_UUID.test(uid));
const MAX_CREDIT = 5;
const MOST_ROLES = 16;

/**
 * Reads a credential that concerns consent and checks its signature.
 *
 * @param bytes `vc+jwt`
 * @throws {TollgateError} `TG_CREDENTIAL_…`, and `TG_POLICY_…` for the agreement inside, at its place in the credential
 */
export function readConsentDocument(bytes: Uint8Array, file: string, pinned: PinnedDocuments): ConsentDocument {
  const credential = readCredential(bytes, file, pinned);
  switch (credential.type) {
    case 'AutoAgreementCredential':
      return agreementOf(credential);
    case 'AutoConsentCredential':
      return actOf(credential);
    case 'AutoOwnershipCredential':
      return ownershipOf(credential);
    case 'AutoStandingCredential':
      return standingOf(credential);
    case 'BitstringStatusListCredential':
      return statusOf(credential);
  }
}

function agreementOf(credential: Credential): AgreementDocument {
  const { reader, subject, file, issuer } = credential;
  const what = 'the subject of an agreement credential';
  const object = reader.record(subject, what, ['id', 'act', 'scope', 'unit', 'policy']);
  const policyNode = reader.need(object, 'policy', what);
  const policy = reader.object(policyNode, 'policy');
  const agreement = read(file, policyNode.pointer, () =>
    loadAgreement(new TextEncoder().encode(canonicalJson(policy)), { file }),
  );
  if (agreement.type !== 'Agreement') throw reader.wrong(policyNode, 'a consent carries an Agreement');
  if (!isUid(agreement.uid))
    throw reader.wrong(
      policy.entries.get('uid')!.value,
      'the uid must be a URI of at most 200 visible ASCII characters, a urn:uuid in small letters',
    );
  if (!policy.entries.has('auto:version'))
    throw reader.wrong(policyNode, 'an agreement in a credential needs "auto:version"');
  if (agreement.assigner !== issuer) {
    const message = `${issuer} cannot sign for the assigner ${agreement.assigner}`;
    throw reader.fault('TG_CONSENT_OWNER', policy.entries.get('assigner')!.value, message);
  }
  const id = reader.need(object, 'id', what);
  if (reader.text(id, 'id') !== agreement.assignee) throw reader.wrong(id, 'id must be the assignee of the policy');
  return {
    kind: 'agreement',
    credential,
    subject: agreement.uid,
    version: agreement.version,
    unit: unitOf(credential, object),
    act: wordOf(credential, object, 'act', ['grant', 'limit'] as const, 'grant'),
    scope: wordOf(credential, object, 'scope', ['standing', 'drive'] as const, 'standing'),
    agreement,
  };
}

function actOf(credential: Credential): ConsentActDocument {
  const { reader, subject } = credential;
  const what = 'the subject of a consent credential';
  const object = reader.record(subject, what, ['id', 'act', 'version', 'unit']);
  const id = reader.need(object, 'id', what);
  const agreement = reader.text(id, 'id');
  // Words of this kind only close, or wake what was granted under the same rule: any uid may be withdrawn.
  if (!/^\S+$/.test(agreement) || !agreement.includes(':'))
    throw reader.wrong(id, 'id must be the uid of an agreement');
  reader.need(object, 'act', what);
  return {
    kind: 'consent',
    credential,
    subject: agreement,
    version: versionOf(credential, object),
    unit: unitOf(credential, object),
    act: wordOf(credential, object, 'act', ['withdraw', 'suspend', 'resume'] as const, 'withdraw'),
    agreement,
  };
}

function ownershipOf(credential: Credential): OwnershipDocument {
  const { reader, subject } = credential;
  const what = 'the subject of an ownership credential';
  const object = reader.record(subject, what, ['id', 'owner', 'version', 'unit']);
  const unit = unitOf(credential, object);
  // Without it the sale of one vehicle would empty all that its owner keeps.
  if (unit === null) throw reader.wrong(object, 'a transfer of ownership needs "unit", the name of the one unit');
  const owner = reader.need(object, 'owner', what);
  return {
    kind: 'ownership',
    credential,
    subject: 'owner',
    version: versionOf(credential, object),
    unit,
    owner: didOf(credential, owner, 'owner'),
  };
}

function standingOf(credential: Credential): StandingDocument {
  const { reader, subject } = credential;
  const what = 'the subject of a standing credential';
  const object = reader.record(subject, what, ['id', 'credit', 'role', 'region', 'version']);
  const recipient = didOf(credential, reader.need(object, 'id', what), 'id');
  const credit = reader.get(object, 'credit');
  const role = reader.get(object, 'role');
  const region = reader.get(object, 'region');
  if (credit === undefined && role === undefined && region === undefined)
    throw reader.wrong(object, 'a standing says "credit", "role" or "region"');
  // A rating that outlives its body's attention would never fall.
  if (credential.validUntilMs === null) throw reader.wrong(object, 'a standing needs an end: "validUntil"');
  const roles = role === undefined ? [] : reader.oneOrMany(role, 'role').map((node) => reader.text(node, 'role'));
  if (roles.length > MOST_ROLES) throw reader.wrong(role!, `at most ${MOST_ROLES} roles`);
  return {
    kind: 'standing',
    credential,
    subject: `standing ${recipient}`,
    version: versionOf(credential, object),
    unit: null,
    recipient,
    credit: credit === undefined ? null : reader.integer(credit, 'credit', 0, MAX_CREDIT),
    roles,
    region: region === undefined ? null : reader.text(region, 'region'),
  };
}

function statusOf(credential: Credential): StatusDocument {
  const list = readStatusList(credential);
  const subject = listKey(list.issuer, list.list, list.purpose);
  // A newer list was made later; the version of a list is the time at which it was made.
  return { kind: 'status', credential, subject, version: credential.validFromMs, unit: null, list };
}

function versionOf({ reader }: Credential, object: ObjectNode): number {
  const node = reader.need(object, 'version', 'the subject');
  return reader.integer(node, 'version', 1, Number.MAX_SAFE_INTEGER);
}

function unitOf({ reader }: Credential, object: ObjectNode): string | null {
  const node = reader.get(object, 'unit');
  if (node === undefined) return null;
  const unit = reader.text(node, 'unit');
  if (!UNIT.test(unit)) throw reader.wrong(node, 'unit must be the name of a ledger key, tollgate/ and 16 hex digits');
  return unit;
}

function didOf({ reader }: Credential, node: Parameters<typeof reader.text>[0], what: string): string {
  const did = reader.text(node, what);
  if (!DID.test(did)) throw reader.wrong(node, `${what} must be a DID`);
  return did;
}

function wordOf<Word extends string>(
  { reader }: Credential,
  object: ObjectNode,
  key: string,
  known: readonly Word[],
  absent: Word,
): Word {
  const node = reader.get(object, key);
  if (node === undefined) return absent;
  const word = reader.text(node, key);
  const found = known.find((one) => one === word);
  if (found === undefined) throw reader.unknown('TG_CREDENTIAL_VALUE', node, word, `a word of "${key}"`, known);
  return found;
}

function read<T>(file: string, pointer: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof TollgateError ? within(error, file, pointer) : error;
  }
}
