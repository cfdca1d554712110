import { TollgateError } from '#contracts';
import type { SignalCatalogue } from '../context.ts';
import { type StatusLists, validity } from '../credentials/validity.ts';
import type {
  AgreementDocument,
  ConsentActDocument,
  ConsentDocument,
  OwnershipDocument,
  StandingDocument,
  StatusDocument,
} from './document.ts';
import { widened } from './narrower.ts';
import { bundled } from './sensitive.ts';

/** One agreement that the owner gave. */
export interface Held {
  readonly document: AgreementDocument;
  /** The owner suspended it. */
  readonly paused: boolean;
}

/** All that was said of consent so far. A value: `accept` makes the next one and touches none. */
export interface ConsentState {
  /** DID of the vehicle's owner; null: no owner yet, so nobody can grant. */
  readonly owner: string | null;
  /** Highest version of each issuer and subject, by `versionKey`: what is not above it is refused for ever. */
  readonly versions: ReadonlyMap<string, number>;
  readonly agreements: ReadonlyMap<string, Held>;
  /** Uids that came to their end: withdrawn, or of a drive that is over. They do not come back under this uid. */
  readonly ended: ReadonlySet<string>;
  /** Newest word of each body on each recipient, by `versionKey`. */
  readonly standings: ReadonlyMap<string, StandingDocument>;
  readonly lists: ReadonlyMap<string, StatusDocument>;
}

/** What the unit knows when it judges a document. */
export interface Judge {
  /** Name of this unit's ledger key; null where a document is looked at away from its unit. */
  readonly unit: string | null;
  /** Bodies that rate recipients. */
  readonly standing: ReadonlySet<string>;
  readonly catalogue: SignalCatalogue;
  /** ms since 1970 UTC; null where unknown. */
  readonly nowMs: number | null;
}

/** What a document changes. `withdrawn` agreements lose their rows and keys. */
export interface Verdict {
  readonly state: ConsentState;
  readonly withdrawn: readonly string[];
  /** For the ledger: what happened to which agreement; none for a list or a standing. */
  readonly acts: readonly { readonly act: 'grant' | 'limit' | 'withdraw'; readonly agreement: string }[];
}

export function emptyState(owner: string | null): ConsentState {
  return {
    owner,
    versions: new Map(),
    agreements: new Map(),
    ended: new Set(),
    standings: new Map(),
    lists: new Map(),
  };
}

export const versionKey = (issuer: string, subject: string): string => `${issuer}\n${subject}`;

/**
 * Judges a verified document against what is in force.
 *
 * @throws {TollgateError} TG_CONSENT_VERSION, _OWNER, _UNIT, _ENDED, _BUNDLED, _LIMIT, TG_CREDENTIAL_EXPIRED,
 * TG_CREDENTIAL_ISSUER; the state stays as it was
 */
export function accept(state: ConsentState, document: ConsentDocument, judge: Judge): Verdict {
  const { credential, subject, version, unit } = document;
  if (unit !== null && judge.unit !== null && unit !== judge.unit)
    throw refusal(document, 'TG_CONSENT_UNIT', '/credentialSubject/unit', `it is for ${unit}, this is ${judge.unit}`);
  // Whose word counts comes before which word it is: a stranger must not use up versions.
  mayIssue(state, document, judge);
  const key = versionKey(credential.issuer, subject);
  const newest = state.versions.get(key);
  if (newest !== undefined && version <= newest) {
    const message = `version ${version} of ${subject} came after version ${newest}`;
    throw refusal(document, 'TG_CONSENT_VERSION', '/credentialSubject', message);
  }
  const versions = new Map(state.versions).set(key, version);
  const next = { ...state, versions };
  switch (document.kind) {
    case 'agreement':
      return grant(next, document, judge);
    case 'consent':
      return act(next, document, judge);
    case 'ownership':
      return transfer(next, document, judge);
    case 'standing':
      return { state: { ...next, standings: new Map(state.standings).set(key, document) }, withdrawn: [], acts: [] };
    case 'status':
      return listed(next, document, judge);
  }
}

function mayIssue(state: ConsentState, document: ConsentDocument, judge: Judge): void {
  const { issuer } = document.credential;
  if (document.kind === 'status') {
    const known = issuer === state.owner || judge.standing.has(issuer);
    if (!known) throw refusal(document, 'TG_CREDENTIAL_ISSUER', '/issuer', `${issuer} issues no lists for this unit`);
  } else if (document.kind === 'standing') {
    if (issuer === document.recipient)
      throw refusal(document, 'TG_CREDENTIAL_ISSUER', '/issuer', `${issuer} may not rate itself`);
    if (!judge.standing.has(issuer))
      throw refusal(document, 'TG_CREDENTIAL_ISSUER', '/issuer', `${issuer} is no body that rates recipients here`);
  } else if (issuer !== state.owner) {
    const owner = state.owner === null ? 'this unit has no owner yet' : `the owner of this unit is ${state.owner}`;
    throw refusal(document, 'TG_CONSENT_OWNER', '/issuer', `${issuer} may not speak for the owner: ${owner}`);
  }
}

function grant(state: ConsentState, document: AgreementDocument, judge: Judge): Verdict {
  const { catalogue } = judge;
  const { agreement, act } = document;
  const { uid } = agreement;
  if (state.ended.has(uid)) {
    const message = `${uid} was withdrawn or is over, and what was destroyed with it does not come back`;
    throw refusal(document, 'TG_CONSENT_ENDED', '/credentialSubject/policy/uid', message);
  }
  mustLast(document, judge);
  const sensitive = bundled(agreement, catalogue);
  if (sensitive !== null) {
    const message = `it bundles ${sensitive} data with others: a sensitive class needs a consent of its own`;
    throw refusal(document, 'TG_CONSENT_BUNDLED', '/credentialSubject/policy/permission', message);
  }
  const held = state.agreements.get(uid);
  if (act === 'limit') {
    if (held === undefined)
      throw refusal(document, 'TG_CONSENT_LIMIT', '/credentialSubject/act', `there is no ${uid} that it could limit`);
    const wider = looser(held.document, document) ?? widened(held.document.agreement, agreement, catalogue);
    if (wider !== null)
      throw refusal(document, 'TG_CONSENT_LIMIT', '/credentialSubject/policy', `a limit only narrows: ${wider}`);
  }
  // A pause is the owner's word, and a new version of the text does not lift it.
  const agreements = new Map(state.agreements).set(uid, { document, paused: held?.paused ?? false });
  return { state: { ...state, agreements }, withdrawn: [], acts: [{ act, agreement: uid }] };
}

/** What opens something does so within its time: a carrier that keeps it back must not choose the moment. */
function mustLast(document: ConsentDocument, { nowMs }: Judge): void {
  const { validUntilMs } = document.credential;
  if (validUntilMs !== null && nowMs !== null && nowMs >= validUntilMs)
    throw refusal(document, 'TG_CREDENTIAL_EXPIRED', '/validUntil', 'the credential was over when it came');
}

/** What the credential itself gives longer or to more than the one before. */
function looser(before: AgreementDocument, after: AgreementDocument): string | null {
  const until = ({ credential: { validUntilMs } }: AgreementDocument) => validUntilMs ?? Number.POSITIVE_INFINITY;
  if (until(after) > until(before)) return 'it ends later than what it limits';
  if (after.credential.validFromMs < before.credential.validFromMs) return 'it begins earlier than what it limits';
  if (before.scope === 'drive' && after.scope !== 'drive') return 'the consent was for the drive';
  const { status } = after.credential;
  const gone = before.credential.status.find(
    ({ purpose, list, index }) =>
      !status.some((one) => one.purpose === purpose && one.list === list && one.index === index),
  );
  return gone === undefined ? null : `its entry in ${gone.list} is gone`;
}

function act(state: ConsentState, document: ConsentActDocument, judge: Judge): Verdict {
  const { agreement, act: word } = document;
  if (word === 'withdraw') {
    const next = end(state, [agreement]);
    // It holds for an agreement that has not come yet as well: the words may overtake each other on their way.
    return { state: next, withdrawn: [agreement], acts: withdrawals([agreement]) };
  }
  const held = state.agreements.get(agreement);
  if (held === undefined) {
    const message = `there is no ${agreement} that it could ${word}`;
    throw refusal(document, 'TG_CONSENT_ENDED', '/credentialSubject/id', message);
  }
  if (word === 'resume') mustLast(document, judge);
  const agreements = new Map(state.agreements).set(agreement, { ...held, paused: word === 'suspend' });
  const said = word === 'suspend' ? 'limit' : 'grant';
  return { state: { ...state, agreements }, withdrawn: [], acts: [{ act: said, agreement }] };
}

/** Agreements come to their end. */
export function end(state: ConsentState, uids: readonly string[]): ConsentState {
  const agreements = new Map(state.agreements);
  for (const uid of uids) agreements.delete(uid);
  return { ...state, agreements, ended: new Set([...state.ended, ...uids]) };
}

function transfer(state: ConsentState, document: OwnershipDocument, judge: Judge): Verdict {
  mustLast(document, judge);
  const all = [...state.agreements.keys()];
  return { state: { ...end(state, all), owner: document.owner }, withdrawn: all, acts: withdrawals(all) };
}

const withdrawals = (uids: readonly string[]) => uids.map((agreement) => ({ act: 'withdraw', agreement }) as const);

/** A list that revokes takes agreements back as the owner would. */
function listed(state: ConsentState, document: StatusDocument, { nowMs }: Judge): Verdict {
  const lists = new Map(state.lists).set(document.subject, document);
  const read: StatusLists = statusLists({ lists });
  const revoked = [...state.agreements]
    .filter(([, held]) => validity(held.document.credential, read, nowMs).state === 'revoked')
    .map(([uid]) => uid);
  return { state: { ...end(state, revoked), lists }, withdrawn: revoked, acts: withdrawals(revoked) };
}

export function statusLists({ lists }: Pick<ConsentState, 'lists'>): StatusLists {
  return new Map([...lists].map(([key, { list }]) => [key, list]));
}

/** A refusal that names the place in the document; what was in force stays. */
function refusal(
  { credential }: ConsentDocument,
  code: ConstructorParameters<typeof TollgateError>[0],
  pointer: string,
  message: string,
): TollgateError {
  return new TollgateError(code, message, { place: { file: credential.file, pointer } });
}
