import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { evaluateOdrl, loadOdrlTriples, type PolicyReport } from '#policies';
import { parseTurtle } from './turtle.ts';

/** What a suite of cases came to. */
export interface Tally {
  passed: number;
  failed: number;
  readonly problems: string[];
}

interface Turtle {
  readonly turtle: string;
}

interface SuiteCase {
  readonly n: number;
  readonly title: string;
  readonly policy: string;
  readonly request: string;
  readonly sotw: string;
  readonly expected: {
    readonly activation: readonly string[];
    readonly attempt: readonly string[];
    readonly ruleReportType: readonly string[];
    readonly rule: readonly string[];
    readonly ruleRequest: readonly string[];
    readonly TargetReport: readonly string[];
    readonly PartyReport: readonly string[];
    readonly ActionReport: readonly string[];
    readonly constraints: readonly (readonly [string, string])[];
  };
}

interface Suite {
  readonly policies: Readonly<Record<string, Turtle | string>>;
  readonly requests: Readonly<Record<string, Turtle | string>>;
  readonly sotw: Readonly<Record<string, Turtle | string>>;
  readonly cases: readonly SuiteCase[];
}

/** Every case of the ODRL test suite: activation, attempt, premises and constraint states equal to the expected report. */
export function odrlSuite(dir: string): Tally {
  const tally: Tally = { passed: 0, failed: 0, problems: [] };
  const file = join(dir, 'odrl-test-suite/cases.json');
  if (!existsSync(file)) return tally;
  const suite: Suite = JSON.parse(readFileSync(file, 'utf8'));
  const triples = (from: Readonly<Record<string, Turtle | string>>, id: string) => {
    const found = from[id];
    if (found === undefined) throw new Error(`the suite has no ${id}`);
    return parseTurtle(typeof found === 'string' ? found : found.turtle);
  };
  for (const one of suite.cases) {
    note(tally, `odrl-test-suite case ${one.n}`, () => {
      const reports = evaluateOdrl({
        policy: triples(suite.policies, one.policy),
        request: triples(suite.requests, one.request),
        state: triples(suite.sotw, one.sotw),
        anyDutyReport: true,
      });
      return differences(found(reports), wanted(one));
    });
  }
  return tally;
}

function wanted({ expected }: SuiteCase) {
  return {
    activation: sorted(expected.activation),
    attempt: sorted(expected.attempt),
    type: sorted(expected.ruleReportType),
    rule: sorted(expected.rule),
    request: sorted(expected.ruleRequest),
    target: sorted(expected.TargetReport),
    party: sorted(expected.PartyReport),
    action: sorted(expected.ActionReport),
    constraints: sorted(expected.constraints.map(([id, state]) => `${id} ${state}`)),
  };
}

const TYPES = {
  permission: 'PermissionReport',
  prohibition: 'ProhibitionReport',
  obligation: 'ObligationReport',
  duty: 'DutyReport',
} as const;

function found(reports: readonly PolicyReport[]) {
  const rules = reports.flatMap((report) => report.rules);
  const some = (states: readonly (string | null)[]) => sorted(states.filter((state) => state !== null));
  return {
    activation: some(rules.map(({ activation }) => activation)),
    attempt: some(rules.map(({ attempt }) => attempt)),
    type: some(rules.map(({ kind }) => TYPES[kind])),
    rule: some(rules.map(({ rule }) => rule)),
    request: some(rules.map(({ request }) => request)),
    target: some(rules.map(({ target }) => target)),
    party: some(rules.map(({ party }) => party)),
    action: some(rules.map(({ action }) => action)),
    constraints: some(
      rules.flatMap(({ constraints, refinements }) =>
        [...constraints, ...refinements].map(({ constraint, satisfaction }) => `${constraint} ${satisfaction}`),
      ),
    ),
  };
}

/** Each request of the formal semantics examples: activation and control state of the rule. */
export function formalSemantics(dir: string): Tally {
  const tally: Tally = { passed: 0, failed: 0, problems: [] };
  const files = jsonFiles(join(dir, 'odrl-formal-semantics'));
  for (const request of files.filter((file) => /evaluationrequest[^/]*$/i.test(file))) {
    const folder = join(request, '..');
    const report = files.find((file) => join(file, '..') === folder && /compliancereport/i.test(file));
    const policy = files.find((file) => join(file, '..') === join(folder, '..') && /policy[^/]*$/i.test(file));
    if (report === undefined || policy === undefined) continue;
    const state = files.find((file) => join(file, '..') === folder && /\/state[^/]*$/i.test(file));
    note(tally, request.slice(dir.length + 1), () => {
      const read = (file: string) => loadOdrlTriples(readFileSync(file), { file });
      const reports = evaluateOdrl({
        policy: read(policy),
        request: read(request),
        state: state === undefined ? [] : read(state),
      });
      const rule = reports[0]?.rules[0];
      const states = { activation: rule?.activation ?? 'none', control: rule?.control ?? 'none' };
      return differences(states, expectedStates(JSON.parse(readFileSync(report, 'utf8'))));
    });
  }
  return tally;
}

function expectedStates(report: Readonly<Record<string, unknown>>) {
  const rule = Object.values(report).find(
    (value): value is Record<string, string> =>
      typeof value === 'object' && value !== null && 'report:controlState' in value,
  );
  const bare = (state: string | undefined) => (state ?? 'none').replace('report:', '');
  return { activation: bare(rule?.['report:activationState']), control: bare(rule?.['report:controlState']) };
}

export function jsonFiles(dir: string): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .map((name) => join(dir, name))
    .sort();
}

/** Counts a case as passed where `differ` finds nothing. */
export function note(tally: Tally, name: string, differ: () => readonly string[]): void {
  try {
    const problems = differ();
    if (problems.length === 0) tally.passed++;
    else tally.failed++;
    tally.problems.push(...problems.map((problem) => `${name}: ${problem}`));
  } catch (error) {
    tally.failed++;
    tally.problems.push(`${name}: ${error}`);
  }
}

function differences(found: Record<string, unknown>, wanted: Record<string, unknown>): readonly string[] {
  return Object.keys(wanted).flatMap((key) => {
    const [came, want] = [JSON.stringify(found[key]), JSON.stringify(wanted[key])];
    return came === want ? [] : [`${key}: came ${came}, wanted ${want}`];
  });
}

const sorted = (states: readonly string[]) => [...states].sort();
