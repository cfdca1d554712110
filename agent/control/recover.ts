import { createHash } from 'node:crypto';
import { TollgateError } from '#contracts';
import {
  accept,
  type ConsentDocument,
  type ConsentState,
  emptyState,
  end,
  type Judge,
  readConsentDocument,
  versionKey,
} from '#policies/consent/index';
import type { Issuers } from '../keys.ts';
import type { DocumentVersion } from '../store/contract.ts';
import type { KeptDocument } from './folder.ts';

/** What the kept documents say. */
export interface Recovered {
  readonly state: ConsentState;
  /** Uids whose rows and keys are to be gone. */
  readonly withdrawn: ReadonlySet<string>;
  /** The vehicle changed hands: bare documents of its enrolment are another owner's. */
  readonly sold: boolean;
  /** Files that a power cut left before they counted. */
  readonly stray: readonly string[];
  readonly files: ReadonlyMap<string, { readonly key: string; readonly kind: ConsentDocument['kind'] }>;
  /** Files that do not count any more: an issuer that is pinned no longer, a database that changed. */
  readonly refused: readonly TollgateError[];
}

export interface RecoverOptions {
  readonly issuers: Issuers;
  readonly judge: Omit<Judge, 'nowMs'>;
  /** Uids of bare documents. */
  readonly bare: readonly string[];
  /** The newest committed version; absent: the files are believed (`consent list`, beside a running agent). */
  readonly committed?: (issuer: string, subject: string) => DocumentVersion | null;
}

/** Plays the documents once more, in the order in which they came. Asks no clock: what time says is asked afterwards. */
export function recover(kept: readonly KeptDocument[], options: RecoverOptions): Recovered {
  const { issuers, judge, bare, committed } = options;
  let state = emptyState(issuers.owner);
  let sold = false;
  const withdrawn = new Set<string>();
  const stray: string[] = [];
  const files = new Map<string, { key: string; kind: ConsentDocument['kind'] }>();
  const refused: TollgateError[] = [];
  const newest = new Map<string, number>();
  for (const { file, bytes } of kept) {
    try {
      const document = readConsentDocument(bytes, file, issuers.pinned);
      const { credential, subject, version } = document;
      if (committed !== undefined && !counts(committed(credential.issuer, subject), version, bytes)) {
        stray.push(file);
        continue;
      }
      const key = versionKey(credential.issuer, subject);
      const verdict = accept(state, document, { ...judge, nowMs: null });
      state = verdict.state;
      for (const uid of verdict.withdrawn) withdrawn.add(uid);
      if (document.kind === 'ownership') {
        sold = true;
        for (const uid of bare) withdrawn.add(uid);
      }
      newest.set(key, version);
      files.set(file, { key, kind: document.kind });
    } catch (error) {
      if (!(error instanceof TollgateError)) throw error;
      refused.push(error);
    }
  }
  if (committed !== undefined) {
    state = whole(state, newest, committed);
    // Of a bare document no other file says that it was withdrawn.
    for (const uid of bare) if (committed(issuers.owner, uid) !== null) withdrawn.add(uid);
  }
  return { state, withdrawn, sold, stray, files, refused };
}

/** A file counts when its version was committed, or a later one of its subject was. */
function counts(committed: DocumentVersion | null, version: number, bytes: Uint8Array): boolean {
  if (committed === null || version > committed.version) return false;
  if (version < committed.version) return true;
  return Buffer.compare(committed.hash, createHash('sha256').update(bytes).digest()) === 0;
}

/** A subject whose newest document is not here may have been withdrawn by it: it does not count. */
function whole(
  state: ConsentState,
  newest: ReadonlyMap<string, number>,
  committed: NonNullable<RecoverOptions['committed']>,
): ConsentState {
  const isWhole = ({ credential: { issuer }, subject }: ConsentDocument) =>
    committed(issuer, subject)?.version === newest.get(versionKey(issuer, subject));
  const gone = [...state.agreements.values()].filter(({ document }) => !isWhole(document));
  const kept = <D extends ConsentDocument>(documents: ReadonlyMap<string, D>) =>
    new Map([...documents].filter(([, document]) => isWhole(document)));
  const { standings, lists, owner } = state;
  // A sale whose document is gone: the owner is somebody whom nobody here knows, and not the one before.
  const sale = owner === null ? null : committed(owner, 'owner');
  const sold = sale !== null && newest.get(versionKey(owner!, 'owner')) !== sale.version;
  const uids = gone.map(({ document }) => document.subject);
  const kindred = { standings: kept(standings), lists: kept(lists) };
  if (sold) return { ...end(state, [...state.agreements.keys()]), ...kindred, owner: null };
  return { ...end(state, uids), ...kindred };
}
