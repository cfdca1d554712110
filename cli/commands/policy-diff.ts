import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import { diffPolicies, opens, type PolicyChange } from '#policies';
import type { Command, Io } from '../command.ts';
import { readAgreement, readCampaign, readSignals } from '../policies.ts';
import { bold } from '../text.ts';

export const command: Command = {
  name: 'policy diff',
  summary: 'Says in words what a new agreement or law pack opens and closes',
  package: 'unit',
  help: `
Usage: tollgate policy diff OLD NEW [--campaign F]… [--beside F]… [--dbc F [--mapping F]] [--json]

Compiles both and compares what may leave under each, signal by signal, recipient by recipient, purpose by purpose: the operation, its
transform, the conditions, the budgets, how long the recipient may keep it. Two documents that say the same in other words do not differ.
Without a campaign it compares the most that anyone could ask for. A law pack is compared on agreements beside it, or on one that permits
everything.

  --campaign F   compare only what this campaign gets; may be repeated
  --beside F     an agreement or law pack in force on both sides; may be repeated
  --dbc F        signals of a database (default: what the documents name)
  --mapping F    names: DBC signals to VSS paths
  --json         one JSON object a change and line

Exit code: 0 nothing opens, 1 something does, 2 bad usage or input.

Example:
  tollgate policy diff agreement.json agreement.new.json --campaign ubi.yaml
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        campaign: { type: 'string', multiple: true, default: [] },
        beside: { type: 'string', multiple: true, default: [] },
        dbc: { type: 'string' },
        mapping: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    });
    const [old, next] = positionals;
    if (old === undefined || next === undefined || positionals.length > 2)
      throw new TollgateError('TG_CLI_USAGE', 'policy diff takes OLD and NEW, two files');
    const changes = diffPolicies({
      before: await readAgreement(old),
      after: await readAgreement(next),
      beside: await Promise.all(values.beside.map(readAgreement)),
      campaigns: await Promise.all(values.campaign.map(readCampaign)),
      signals: await readSignals(values.dbc, values.mapping),
    });
    if (values.json) for (const change of changes) io.out(`${JSON.stringify(change)}\n`);
    else io.out(changesText(changes, io));
    return changes.some(opens) ? 1 : 0;
  },
};

const HEADS: readonly (readonly [PolicyChange['kind'], string])[] = [
  ['opens', 'Opens'],
  ['both', 'Opens and closes'],
  ['closes', 'Closes'],
  ['words', 'Says in other words'],
];

function changesText(changes: readonly PolicyChange[], io: Io): string {
  if (changes.length === 0) return 'Nothing opens and nothing closes.\n';
  const parts = HEADS.flatMap(([kind, head]) => {
    const own = changes.filter((change) => change.kind === kind);
    if (own.length === 0) return [];
    const lines = own.map(
      ({ text, campaign, example }) =>
        `  ${text}${campaign === null ? '' : ` (campaign ${campaign})`}\n${example === null ? '' : `    for example at ${example}\n`}`,
    );
    return [`${bold(head, io)}\n${lines.join('')}`];
  });
  return parts.join('\n');
}
