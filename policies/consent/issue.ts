import { gzipSync } from 'node:zlib';
import { CONTEXT_CONSENT, CONTEXT_VC, type CredentialType, type StatusEntry } from '../credentials/credential.ts';

/** What every credential says of itself; times are ms since 1970 UTC. */
export interface Envelope {
  /** DID. */
  readonly issuer: string;
  readonly id?: string;
  readonly validFromMs: number;
  readonly validUntilMs?: number;
  readonly status?: readonly StatusEntry[];
}

function credential(type: CredentialType, envelope: Envelope, credentialSubject: object): object {
  const { issuer, id, validFromMs, validUntilMs, status = [] } = envelope;
  return {
    '@context': [CONTEXT_VC, CONTEXT_CONSENT],
    ...(id === undefined ? {} : { id }),
    type: ['VerifiableCredential', type],
    issuer,
    validFrom: new Date(validFromMs).toISOString(),
    ...(validUntilMs === undefined ? {} : { validUntil: new Date(validUntilMs).toISOString() }),
    ...(status.length === 0
      ? {}
      : {
          credentialStatus: status.map(({ purpose, index, list }) => ({
            type: 'BitstringStatusListEntry',
            statusPurpose: purpose,
            statusListIndex: String(index),
            statusListCredential: list,
          })),
        }),
    credentialSubject,
  };
}

/** What an agreement credential says beside the policy. */
export interface Grant {
  readonly act: 'grant' | 'limit';
  readonly scope?: 'standing' | 'drive';
  /** Name of the unit's ledger key, `tollgate/…`. */
  readonly unit?: string;
}

/** @param policy an Agreement of auto-odrl/1 with `auto:version`, its assigner the issuer */
export function agreementCredential(envelope: Envelope, policy: { readonly assignee?: unknown }, grant: Grant): object {
  return credential('AutoAgreementCredential', envelope, { id: policy.assignee, ...grant, policy });
}

export function consentCredential(
  envelope: Envelope,
  subject: {
    readonly agreement: string;
    readonly act: 'withdraw' | 'suspend' | 'resume';
    readonly version: number;
    readonly unit?: string;
  },
): object {
  const { agreement, ...rest } = subject;
  return credential('AutoConsentCredential', envelope, { id: agreement, ...rest });
}

export function ownershipCredential(
  envelope: Envelope,
  subject: { readonly owner: string; readonly version: number; readonly unit: string },
): object {
  return credential('AutoOwnershipCredential', envelope, subject);
}

export function standingCredential(
  envelope: Envelope,
  subject: {
    readonly recipient: string;
    readonly credit?: number;
    readonly role?: readonly string[];
    readonly region?: string;
    readonly version: number;
  },
): object {
  const { recipient, ...rest } = subject;
  return credential('AutoStandingCredential', envelope, { id: recipient, ...rest });
}

/** 2^17 bits are 16 KiB, the least that the standard takes (§2.2). */
const LIST_BYTES = 16 * 1024;

/** @param set indices whose bit is 1, below 131,072 */
export function statusListCredential(
  envelope: Envelope & { readonly id: string },
  purpose: StatusEntry['purpose'],
  set: readonly number[],
): object {
  const bits = new Uint8Array(LIST_BYTES);
  for (const index of set) bits[index >>> 3]! |= 0x80 >>> (index & 7);
  return credential('BitstringStatusListCredential', envelope, {
    type: 'BitstringStatusList',
    statusPurpose: purpose,
    encodedList: `u${gzipSync(bits).toString('base64url')}`,
  });
}
