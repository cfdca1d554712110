import { parseArgs } from 'node:util';
import { formatError, TollgateError } from '#contracts';
import { type Agreement, type Campaign, findingsOf, loadAgreement, loadCampaign, type PolicyFinding } from '#policies';
import type { Command } from '../command.ts';
import { readAgreement, readBytes, readSignals } from '../policies.ts';

export const command: Command = {
  name: 'policy check',
  summary: 'Checks agreements, law packs and campaigns by themselves',
  package: 'unit',
  help: `
Usage: tollgate policy check FILE… [--beside F]… [--dbc F [--mapping F]] [--strict] [--json]

Reads each file as the unit would: *.json as an agreement or law pack, *.yaml as a campaign. A document that has a word which is not
understood, or cannot be enforced, is refused with its place and the nearest word. Of an agreement that would be loaded it names the rules
that cannot mean what their author meant, each with its JSON pointer and a remedy:

  shadowed        a rule without which nothing changes
  contradictory   a permission of which prohibitions, obligations or its own duties leave nothing
  never-true      a rule whose constraints cannot hold together
  over-broad      a permission for any purpose, of the whole vehicle, or of an exact place

\`tollgate check\` shows what documents let leave together.

  --beside F   a law pack or agreement in force beside the files; its prohibitions count. May be repeated
  --dbc F      signals of a database (default: what the documents name)
  --mapping F  names: DBC signals to VSS paths
  --strict     a finding is a refusal, for the exit code
  --json       one JSON object a file and line

Exit code: 0 all would be loaded, 1 one would be refused, 2 a file cannot be read.

Example:
  tollgate policy check policies/examples/insurance/agreement.json policies/examples/insurance/campaign.yaml
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        beside: { type: 'string', multiple: true, default: [] },
        dbc: { type: 'string' },
        mapping: { type: 'string' },
        strict: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
    });
    if (positionals.length === 0) throw new TollgateError('TG_CLI_USAGE', 'policy check takes at least one FILE');
    const beside = await Promise.all(values.beside.map(readAgreement));
    const signals = await readSignals(values.dbc, values.mapping);
    let refused = 0;
    for (const file of positionals) {
      const result = check(await readBytes(file), file, (policy) => findingsOf(policy, { beside, signals }));
      const { error, findings } = result;
      if (error !== null || (values.strict && findings.length > 0)) refused++;
      if (values.json) io.out(`${JSON.stringify(result)}\n`);
      else if (error !== null) io.err(`${formatError(error)}\n`);
      else {
        const warnings = result.warnings.map((warning) => `   ${warning}\n`);
        io.out(`${file}  ${result.words}\n${warnings.join('')}${findings.map(findingText).join('')}`);
      }
    }
    return refused === 0 ? 0 : 1;
  },
};

interface Checked {
  readonly file: string;
  readonly words: string;
  readonly warnings: readonly string[];
  readonly findings: readonly PolicyFinding[];
  readonly error: TollgateError | null;
}

function check(bytes: Buffer, file: string, find: (policy: Agreement) => readonly PolicyFinding[]): Checked {
  const plain = { file, warnings: [], findings: [], error: null };
  try {
    if (/\.ya?ml$/.test(file))
      return { ...plain, words: campaignWords(loadCampaign(bytes.toString('utf8'), { file })) };
    const agreement = loadAgreement(bytes, { file });
    const findings = find(agreement);
    return { ...plain, words: agreementWords(agreement), warnings: agreement.warnings, findings };
  } catch (error) {
    if (!(error instanceof TollgateError)) throw error;
    return { ...plain, words: 'refused', error };
  }
}

function findingText({ kind, pointer, message, remedy }: PolicyFinding): string {
  return `   ${kind}  ${message}\n      at ${pointer}\n      ${remedy}\n`;
}

function campaignWords({ campaign, version, recipient, purpose, signals }: Campaign): string {
  return `campaign ${campaign}, version ${version}: ${plural(signals.length, 'signal')} for ${recipient}, purpose ${purpose}`;
}

function agreementWords({ type, uid, version, assignee, permissions, prohibitions, obligations }: Agreement): string {
  const what = type === 'Set' ? 'law pack' : 'agreement';
  const rules = [
    plural(permissions.length, 'permission'),
    plural(prohibitions.length, 'prohibition'),
    plural(obligations.length, 'obligation'),
  ];
  return `${what} ${uid}, version ${version}: ${rules.join(', ')} for ${assignee ?? 'everyone'}`;
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
