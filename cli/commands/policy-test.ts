import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import type { SignalCatalogue } from '#dbc';
import { type Agreement, compilePlan, explainSignal } from '#policies';
import type { Command } from '../command.ts';
import { readAgreement, readBytes, readCampaign, readSignals } from '../policies.ts';

const VEHICLE = fileURLToPath(new URL('../../dbc/databases/tollgate-vehicle.dbc', import.meta.url));
const MAPPING = fileURLToPath(new URL('../../dbc/databases/tollgate-vehicle.mapping.yaml', import.meta.url));
/** Cases are about rules: unless told otherwise they happen at the beginning of 2026. */
const NOW = '2026-01-01T00:00:00Z';
const CASE_FILES = ['campaign.yaml', 'context.json', 'expected.json'];

export const command: Command = {
  name: 'policy test',
  summary: 'Runs the cases of agreements: what a campaign gets must be what is expected',
  package: 'unit',
  help: `
Usage: tollgate policy test DIR [--dbc F [--mapping F]] [--now TIME] [--json]

A case is a folder with campaign.yaml, context.json (the "context:" of a configuration) and expected.json; every case below DIR is run
against all agreement.json and law-pack.json below DIR, and compared:

  { "signals": [{ "signal", "sent", "agreement", "rule", "how", "conditions" }…], "raised": […] }

  --dbc F        database of the signals (default: the simulated vehicle)
  --mapping F    names: DBC signals to VSS paths
  --now TIME     time of the cases (default: ${NOW})
  --json         one JSON object a case and line

Exit code: 0 every case is as expected, 1 one is not, 2 bad usage or input.

Example:
  tollgate policy test policies/examples
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        dbc: { type: 'string' },
        mapping: { type: 'string' },
        now: { type: 'string', default: NOW },
        json: { type: 'boolean', default: false },
      },
    });
    const [dir] = positionals;
    if (dir === undefined || positionals.length > 1)
      throw new TollgateError('TG_CLI_USAGE', 'policy test takes one DIR');
    const nowUtcMs = Date.parse(values.now);
    if (Number.isNaN(nowUtcMs)) throw new TollgateError('TG_CLI_USAGE', `"${values.now}" is not a time such as ${NOW}`);
    const shipped = values.dbc === undefined && existsSync(VEHICLE);
    const signals = await readSignals(shipped ? VEHICLE : values.dbc, shipped ? MAPPING : values.mapping);
    if (signals === null) throw new TollgateError('TG_CLI_USAGE', 'this package has no database: name one with --dbc');
    const files = await filesBelow(dir);
    const found = files.filter((file) => basename(file) === 'expected.json').map(dirname);
    if (found.length === 0)
      throw new TollgateError('TG_CLI_USAGE', `no case below ${dir}: a case has an expected.json`);
    const named = (name: string) => files.filter((file) => basename(file) === name && !found.includes(dirname(file)));
    const policies = {
      agreements: await Promise.all(named('agreement.json').map(readAgreement)),
      lawPacks: await Promise.all(named('law-pack.json').map(readAgreement)),
    };
    let wrong = 0;
    for (const folder of found) {
      const differences = await runCase(folder, policies, signals, nowUtcMs);
      const name = relative(dir, folder) || '.';
      if (differences.length > 0) wrong++;
      if (values.json) io.out(`${JSON.stringify({ case: name, passed: differences.length === 0, differences })}\n`);
      else if (differences.length > 0) io.out(`${name}\n${differences.map(differenceText).join('')}`);
    }
    if (!values.json) io.out(`${found.length - wrong} of ${found.length} cases are as expected\n`);
    return wrong === 0 ? 0 : 1;
  },
};

interface Difference {
  /** JSON pointer into expected.json. */
  readonly at: string;
  readonly expected: unknown;
  readonly found: unknown;
}

async function runCase(
  folder: string,
  policies: { readonly agreements: readonly Agreement[]; readonly lawPacks: readonly Agreement[] },
  signals: SignalCatalogue,
  nowUtcMs: number,
): Promise<Difference[]> {
  const missing = CASE_FILES.find((name) => !existsSync(join(folder, name)));
  if (missing !== undefined) {
    const place = { file: join(folder, missing) };
    throw new TollgateError('TG_CLI_FILE', `a case has ${CASE_FILES.join(', ')}`, { place });
  }
  const campaign = await readCampaign(join(folder, 'campaign.yaml'));
  const context = (await readJson(join(folder, 'context.json'))) as Record<string, string>;
  const expected = await readJson(join(folder, 'expected.json'));
  const plan = compilePlan({ campaigns: [campaign], ...policies, signals, context, nowUtcMs });
  const explained = campaign.signals.flatMap(({ signal }) =>
    explainSignal(plan, [signal]).map(({ sent, agreement, rule, how, conditions }) => ({
      signal,
      sent,
      agreement,
      rule,
      how,
      conditions,
    })),
  );
  return differences(expected, { signals: explained, raised: plan.raised }, '');
}

async function readJson(file: string): Promise<unknown> {
  const text = (await readBytes(file)).toString('utf8');
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TollgateError('TG_CLI_FILE', `is no JSON: ${(cause as Error).message}`, { place: { file }, cause });
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Where two values differ, as deep as they are alike. */
function differences(expected: unknown, found: unknown, at: string): Difference[] {
  if (isDeepStrictEqual(expected, found)) return [];
  if (Array.isArray(expected) && Array.isArray(found)) {
    const length = Math.max(expected.length, found.length);
    return Array.from({ length }, (_, i) => differences(expected[i], found[i], `${at}/${i}`)).flat();
  }
  if (isObject(expected) && isObject(found)) {
    const keys = [...new Set([...Object.keys(expected), ...Object.keys(found)])];
    return keys.flatMap((key) => differences(expected[key], found[key], `${at}/${key}`));
  }
  return [{ at: at === '' ? '/' : at, expected, found }];
}

function differenceText({ at, expected, found }: Difference): string {
  const shown = (value: unknown) => (value === undefined ? 'nothing' : JSON.stringify(value));
  return `  ${at}\n    - ${shown(expected)}\n    + ${shown(found)}\n`;
}

/** Sorted, so that cases run in one order. */
async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch((cause: Error) => {
    throw new TollgateError('TG_CLI_FILE', `cannot be read: ${cause.message}`, { place: { file: dir }, cause });
  });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
