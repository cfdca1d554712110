import { createDecisionTable, type Decision, loadAgreement, type RecipientFacts } from '#policies';
import { SIGNALS } from '../parts.ts';
import { cedarAllows, cedarText, preparse } from './cedar.ts';
import { type Case, type Facts, Generator, OPERATORS, TARGETS } from './generate.ts';
import { odrl } from './spec.ts';

export interface Outcome {
  readonly policies: number;
  readonly requests: number;
  readonly permitted: number;
  readonly differences: readonly string[];
  /** `operand operator kind` that was never written. */
  readonly unwritten: readonly string[];
  /** How each decision came about, and how often. */
  readonly paths: Readonly<Record<string, number>>;
}

/** Policies and facts as the room takes them. */
export function loaded({ policies, facts }: Case) {
  const read = (law: boolean) =>
    policies
      .filter((policy) => policy.law === law)
      .map((policy) => loadAgreement(new TextEncoder().encode(odrl(policy)), { file: `${policy.uid}.json` }));
  const known = Object.entries(facts.recipients).flatMap(([did, about]) =>
    about === null ? [] : [[did, about] as const],
  );
  return {
    agreements: read(false),
    lawPacks: read(true),
    signals: SIGNALS,
    recipients: new Map<string, RecipientFacts>(known),
    unit: unitOf(facts),
  };
}

function unitOf({ attestation }: Facts) {
  return attestation === null ? {} : { attestation };
}

/** Random policies and requests, decided by the table and by Cedar. */
export function differential(seed: number, policies: number, requests: number): Outcome {
  const generator = new Generator(seed);
  const differences: string[] = [];
  const paths: Record<string, number> = {};
  let permitted = 0;
  for (let i = 0; i < policies; i++) {
    const one = generator.case(false);
    const table = createDecisionTable(loaded(one));
    preparse(
      'case',
      cedarText(one.policies, (target) => TARGETS[target]!),
    );
    for (let j = 0; j < requests; j++) {
      const { ours, theirs } = generator.request(one.facts, false);
      const decision = table.decide(ours);
      if (decision.permitted) permitted++;
      const path = pathOf(decision, one);
      paths[path] = (paths[path] ?? 0) + 1;
      if (decision.permitted !== cedarAllows('case', theirs)) {
        differences.push(`case ${i} of seed ${seed}: ${JSON.stringify({ ours, decision })}`);
      }
    }
  }
  const kinds = ['permission', 'prohibition'];
  const wanted = [
    ...Object.entries(OPERATORS).flatMap(([operand, list]) => list.map((operator) => `${operand} ${operator}`)),
    ...['and ', 'or ', 'xone ', 'andSequence '],
  ].flatMap((word) => kinds.map((kind) => `${word} ${kind}`));
  const unwritten = wanted.filter((word) => !generator.written.has(word));
  return { policies, requests: policies * requests, permitted, differences, unwritten, paths };
}

/** Paths on which a conflict is decided; a run covers all of them. */
export const PATHS = [
  'permitted',
  'no permission',
  'constraint false',
  'constraint unknown',
  'transform',
  'prohibited by the same agreement',
  'prohibited by another agreement',
  'prohibited by a set',
  'prohibited by a law pack',
  'prohibited by what is unknown',
  'obliged to transform',
  'duty that cannot be met',
] as const;

function pathOf(
  { permitted, reason, constraint, agreement, rule }: Decision,
  { policies }: Case,
): (typeof PATHS)[number] {
  if (permitted) return 'permitted';
  if (reason === 'no-permission' || reason === 'unknown-signal') return 'no permission';
  if (constraint?.includes('cannot be met') === true) return 'duty that cannot be met';
  if (reason === 'transform') return 'transform';
  if (reason === 'constraint')
    return constraint?.endsWith('is unknown') === true ? 'constraint unknown' : 'constraint false';
  const policy = policies.find(({ uid }) => uid === agreement)!;
  const own = policy.rules.find(({ uid }) => uid === rule)!;
  if (own.kind === 'obligation') return 'obliged to transform';
  if (constraint?.endsWith('is unknown') === true) return 'prohibited by what is unknown';
  if (policy.law) return 'prohibited by a law pack';
  if (policy.type === 'Set') return 'prohibited by a set';
  return policy.rules.some(({ kind }) => kind === 'permission')
    ? 'prohibited by the same agreement'
    : 'prohibited by another agreement';
}
