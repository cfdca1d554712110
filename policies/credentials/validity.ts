import type { Credential, StatusEntry } from './credential.ts';
import { type StatusList, statusBit } from './status-list.ts';

/** A status list may be this old, ms (`auto:maxStatusAge`): an offline vehicle stops trusting what it cannot ask about. */
export const MAX_STATUS_AGE_MS = 24 * 3_600_000;

/** Whether a credential is in force, and why not. `revoked` does not come back. */
export type Validity =
  | { readonly state: 'valid' }
  | { readonly state: 'suspended' | 'revoked'; readonly reason: string };

const VALID: Validity = { state: 'valid' };
const suspended = (reason: string): Validity => ({ state: 'suspended', reason });

export type StatusLists = ReadonlyMap<string, StatusList>;

/** Lists of one IRI may have two purposes. */
export const listKey = (issuer: string, list: string, purpose: string): string => `${purpose} ${issuer} ${list}`;

/**
 * What time and status lists say of a credential. What is not known suspends; nothing extends.
 *
 * @param nowMs ms since 1970 UTC, null where unknown
 */
export function validity(
  credential: Pick<Credential, 'issuer' | 'validFromMs' | 'validUntilMs' | 'status'>,
  lists: StatusLists,
  nowMs: number | null,
): Validity {
  const { issuer, validFromMs, validUntilMs, status } = credential;
  let worst: Validity = VALID;
  for (const entry of status) {
    const found = entryValidity(entry, lists.get(listKey(issuer, entry.list, entry.purpose)), nowMs);
    if (found.state === 'revoked') return found;
    if (worst.state === 'valid') worst = found;
  }
  if (nowMs === null) return suspended('the time is unknown');
  if (nowMs < validFromMs) return suspended(`it begins at ${new Date(validFromMs).toISOString()}`);
  if (validUntilMs !== null && nowMs >= validUntilMs)
    return suspended(`it ended at ${new Date(validUntilMs).toISOString()}`);
  return worst;
}

function entryValidity({ purpose, index }: StatusEntry, list: StatusList | undefined, nowMs: number | null): Validity {
  if (list === undefined) return suspended(`its list of ${purpose} has not come`);
  const bit = statusBit(list, index);
  if (bit === null) return suspended(`its list of ${purpose} is too short`);
  // What an old list took away stays away; what it allowed does not hold for ever.
  if (bit && purpose === 'revocation') return { state: 'revoked', reason: 'its issuer revoked it' };
  if (bit) return suspended('its issuer suspended it');
  if (nowMs === null) return suspended('the time is unknown');
  if (nowMs - list.madeMs > MAX_STATUS_AGE_MS || (list.validUntilMs !== null && nowMs >= list.validUntilMs))
    return suspended(`its list of ${purpose} is too old`);
  if (nowMs < list.madeMs) return suspended(`its list of ${purpose} lies in the future`);
  return VALID;
}

/** The next moment after `nowMs` at which `validity` may say something else, ms since 1970 UTC; Infinity where none. */
export function nextEdge(
  { issuer, validFromMs, validUntilMs, status }: Pick<Credential, 'issuer' | 'validFromMs' | 'validUntilMs' | 'status'>,
  lists: StatusLists,
  nowMs: number,
): number {
  const edges = [validFromMs, validUntilMs ?? Number.POSITIVE_INFINITY];
  for (const { list, purpose } of status) {
    const found = lists.get(listKey(issuer, list, purpose));
    if (found === undefined) continue;
    edges.push(found.madeMs, found.madeMs + MAX_STATUS_AGE_MS + 1, found.validUntilMs ?? Number.POSITIVE_INFINITY);
  }
  return Math.min(...edges.filter((edge) => edge > nowMs), Number.POSITIVE_INFINITY);
}
