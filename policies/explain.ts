import { conditionText, isAlways } from './condition.ts';
import type { Denial, Plan } from './plan.ts';
import { operationText } from './transforms.ts';

/** What the plan says of one signal for one campaign and agreement. */
export interface Explanation {
  readonly campaign: string;
  readonly recipient: string;
  /** It may leave, as long as `conditions` hold. */
  readonly sent: boolean;
  readonly agreement: string | null;
  readonly rule: string | null;
  /** The constraint that failed, or the operation under which it leaves. */
  readonly how: string | null;
  /** What the gate asks of each sample, in words. */
  readonly conditions: readonly string[];
}

const REASONS: Readonly<Record<Denial['reason'], string>> = {
  prohibited: 'prohibited',
  'no-permission': 'no agreement permits it',
  constraint: 'a constraint does not hold',
  transform: 'the operation does not fit',
  'unknown-signal': 'the databases have no such signal',
  expired: 'expired',
};

/**
 * Why a signal leaves or does not, for each campaign that asks for it.
 *
 * @param names every name of the signal; a campaign may use either
 */
export function explainSignal(plan: Plan, names: readonly string[]): readonly Explanation[] {
  const sent = plan.streams.flatMap(({ campaign, recipient, agreement, signals }) =>
    signals
      .filter(({ signal }) => names.includes(signal.name) || names.includes(signal.dbcName))
      .map(({ operation, rule, gate }): Explanation => {
        const open = gate.permissions.map(({ condition }) => condition);
        const conditions = [
          ...(open.some(isAlways) ? [] : [open.map(conditionText).join(', or ')]),
          ...gate.prohibitions.map(({ uid, condition }) => `not while ${conditionText(condition)} (${uid})`),
          ...(gate.expiresMs === null ? [] : [`until ${new Date(gate.expiresMs).toISOString()}`]),
        ];
        return { campaign, recipient, sent: true, agreement, rule, how: operationText(operation), conditions };
      }),
  );
  const kept = plan.denials
    .filter(({ signal }) => names.includes(signal))
    .map(({ campaign, recipient, agreement, rule, constraint, reason }): Explanation => {
      const how = constraint === null ? REASONS[reason] : `${REASONS[reason]}: ${constraint}`;
      return { campaign, recipient, sent: false, agreement, rule, how, conditions: [] };
    });
  return [...sent, ...kept];
}
