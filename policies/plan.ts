import type { OperationSpec, SignalInfo } from '#contracts';
import type { Condition } from './condition.ts';

/** Why the plan lets a signal be decoded. */
export type DecodeRight = 'record' | 'context' | 'integrity';

/** A signal that leaves, and the rule that lets it. */
export interface PlannedSignal {
  readonly signal: SignalInfo;
  readonly operation: OperationSpec;
  /** Uid of the permission that licenses it, `#p1`. */
  readonly rule: string;
  /** What the gate asks of each sample. */
  readonly gate: SlotRules;
}

/** A rule of which something is left to ask while the unit runs. */
export interface GateRule {
  readonly uid: string;
  readonly agreement: string;
  readonly condition: Condition;
}

/** A sample leaves when one permission holds, no prohibition may be active and no `instead` lets it leave elsewhere. */
export interface SlotRules {
  readonly permissions: readonly GateRule[];
  readonly prohibitions: readonly GateRule[];
  /** End of the campaign, ms since 1970 UTC; null: none. */
  readonly expiresMs: number | null;
  /** Where a lower agreement licenses the same signal: it goes there as long as that agreement lets it. */
  readonly instead: readonly { readonly stream: number; readonly signal: number }[];
}

/** A limit that the store keeps in the transaction that queues a record: at it, the stream stops. */
export interface BudgetPlan {
  readonly agreement: string;
  /** What a record takes: one, the bytes of its envelope, or the privacy loss of its values in millionths. */
  readonly counts: 'count' | 'bytes' | 'epsilon';
  /** `count/#p1`, `bytes/#p1` or `epsilon/#p1/dbc:Motion.Speed`: names the budget within its agreement. */
  readonly key: string;
  readonly limit: number;
  /** The budget is a new one in each such period of UTC, ms; absent: never. */
  readonly periodMs?: number;
}

/** A duty that the recipient carries out and answers for with a receipt. */
export interface DutyPlan {
  /** Uid of the permission or obligation. */
  readonly rule: string;
  readonly agreement: string;
  readonly action: string;
  readonly withinMs: number;
}

/** One (recipient, agreement, campaign, set of budgets): one stream, one envelope key. */
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
  /** 10: times to 100 µs; absent: to 1 ms. */
  readonly ticksPerMs?: 10;
  readonly signals: readonly PlannedSignal[];
  /** Limits of the permissions that license its signals; empty where none has any. */
  readonly budgets: readonly BudgetPlan[];
  /** What the recipient owes for them. */
  readonly duties: readonly DutyPlan[];
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

/** Where an operand of the gate gets its value. */
export type ContextSource =
  | { readonly operand: string; readonly kind: 'assume'; readonly value: number }
  /** Unknown: what asks for it fails closed. */
  | { readonly operand: string; readonly kind: 'none' }
  /**
   * Value of the operand = value of the signal · `scale`; `index` is the place among `Plan.rights` of right `context`.
   * A position has two entries, by `axis`.
   */
  | {
      readonly operand: string;
      readonly kind: 'signal';
      readonly index: number;
      readonly scale: number;
      readonly axis: 'latitude' | 'longitude' | null;
    };

export interface Plan {
  readonly streams: readonly StreamPlan[];
  readonly denials: readonly Denial[];
  /** Every decode right by signal name, with its reason; what is not here is not decoded. */
  readonly rights: readonly { readonly signal: SignalInfo; readonly right: DecodeRight; readonly because: string }[];
  /** Parameters that an agreement raised, in words, for `check`. */
  readonly raised: readonly string[];
  /** What is understood but may not be meant, in words, for `check`. */
  readonly warnings: readonly string[];
  /** Where the operands that the gate asks for come from. */
  readonly context: readonly ContextSource[];
}
