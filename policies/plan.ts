import type { ResultKind, SignalInfo } from '#contracts';

/** Why the plan lets a signal be decoded. */
export type DecodeRight = 'record' | 'context' | 'integrity';

/** The parameters of one operation after every demand has been applied (the strictest of campaign, agreement, law). */
export type OperationPlan =
  | { readonly kind: 'raw' }
  | { readonly kind: 'decimate'; readonly periodMs: number }
  | { readonly kind: 'aggregate'; readonly windowMs: number; readonly results: readonly ResultKind[] }
  | { readonly kind: 'cloak'; readonly cellMetres: number; readonly axis: 'latitude' | 'longitude'; readonly periodMs: number };

/** A signal that leaves, and the rule that lets it. */
export interface PlannedSignal {
  readonly signal: SignalInfo;
  readonly operation: OperationPlan;
  /** Uid of the permission that licenses it, `#p1`. */
  readonly rule: string;
}

/** One (recipient, agreement, campaign): one stream, one envelope key. */
export interface StreamPlan {
  readonly recipient: string;
  readonly purpose: string;
  readonly campaign: string;
  readonly campaignVersion: number;
  readonly agreement: string;
  readonly agreementVersion: number;
  /** SHA-256 of the agreement's bytes. */
  readonly agreementHash: Uint8Array;
  /** 0 low … 7 high. */
  readonly priority: number;
  /** Time that one record spans, ms. */
  readonly recordMs: number;
  readonly signals: readonly PlannedSignal[];
}

/** A signal that a campaign asked for and does not get. */
export interface Denial {
  readonly campaign: string;
  readonly recipient: string;
  /** As the campaign names it. */
  readonly signal: string;
  /** The agreement whose rule decides; null where no agreement speaks of it (deny by default). */
  readonly agreement: string | null;
  /** Uid of the prohibition, or of the permission that came closest; null where there is none. */
  readonly rule: string | null;
  /** The constraint that failed, in words: `purpose isA auto:UbiInsurance, is auto:Advertising`. */
  readonly constraint: string | null;
  readonly reason: 'prohibited' | 'no-permission' | 'constraint' | 'transform' | 'unknown-signal' | 'expired';
}

export interface Plan {
  readonly streams: readonly StreamPlan[];
  readonly denials: readonly Denial[];
  /** Every decode right by signal name, with its reason; what is not here is not decoded. */
  readonly rights: readonly { readonly signal: SignalInfo; readonly right: DecodeRight; readonly because: string }[];
  /** Parameters that an agreement raised, in words, for `check`. */
  readonly raised: readonly string[];
}
