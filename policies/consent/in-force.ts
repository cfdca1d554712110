import type { Agreement } from '../agreement.ts';
import type { Condition } from '../condition.ts';
import { nextEdge, validity } from '../credentials/validity.ts';
import { type ConsentState, statusLists } from './state.ts';

/** What the unit knows of a recipient by credentials that hold now. */
export interface RecipientFacts {
  /** The lowest that a body gives; null: no rating holds. */
  readonly credit: number | null;
  readonly roles: readonly string[];
  /** null: no body says, or two differ. */
  readonly region: string | null;
}

/** Consent as of one moment. */
export interface InForce {
  readonly agreements: readonly Agreement[];
  /** By DID. A recipient without an entry is unknown, and unknown fails closed. */
  readonly recipients: ReadonlyMap<string, RecipientFacts>;
  /** Agreements that are given and do not count now, with the reason in words. */
  readonly suspended: readonly { readonly agreement: string; readonly reason: string }[];
  /** When this may change by time alone, ms since 1970 UTC; Infinity: never. */
  readonly nextMs: number;
}

/** A drive is a time of ignition on: the gate stops at the first sample after it, and the unit ends the consent. */
const IGNITION_ON: Condition = {
  op: 'atom',
  operand: 'auto:ignition',
  operator: 'eq',
  value: { type: 'numbers', numbers: [1] },
  text: 'auto:ignition eq on',
  pointer: '',
};

/**
 * What may be compiled into a plan at a moment.
 *
 * @param nowMs ms since 1970 UTC, null where unknown: then nothing that credentials give is in force
 */
export function inForce(state: ConsentState, nowMs: number | null): InForce {
  const lists = statusLists(state);
  const agreements: Agreement[] = [];
  const suspended: { agreement: string; reason: string }[] = [];
  let nextMs = Number.POSITIVE_INFINITY;
  const edge = (credential: Parameters<typeof nextEdge>[0]) => {
    if (nowMs !== null) nextMs = Math.min(nextMs, nextEdge(credential, lists, nowMs));
  };
  for (const [uid, { document, paused }] of state.agreements) {
    const { credential, agreement, scope } = document;
    const found = paused
      ? ({ state: 'suspended', reason: 'the owner suspended it' } as const)
      : validity(credential, lists, nowMs);
    edge(credential);
    if (found.state === 'valid') agreements.push(scope === 'drive' ? forTheDrive(agreement) : agreement);
    else suspended.push({ agreement: uid, reason: found.reason });
  }
  const recipients = new Map<string, RecipientFacts>();
  for (const { credential, recipient, credit, roles, region } of state.standings.values()) {
    edge(credential);
    if (validity(credential, lists, nowMs).state !== 'valid') continue;
    const before = recipients.get(recipient);
    recipients.set(recipient, {
      // Several bodies: the worst rating counts.
      credit: credit === null ? (before?.credit ?? null) : Math.min(credit, before?.credit ?? credit),
      roles: [...new Set([...(before?.roles ?? []), ...roles])].sort(),
      region: agreed(before?.region ?? null, region),
    });
  }
  return { agreements, recipients, suspended, nextMs };
}

/** Of two that differ none is known. */
function agreed(one: string | null, other: string | null): string | null {
  if (one === null || other === null) return one ?? other;
  return one === other ? one : null;
}

function forTheDrive(agreement: Agreement): Agreement {
  return {
    ...agreement,
    permissions: agreement.permissions.map((rule) => ({
      ...rule,
      condition: { op: 'and', parts: [rule.condition, IGNITION_ON] },
    })),
  };
}
