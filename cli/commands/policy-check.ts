import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { formatError, TollgateError } from '#contracts';
import { type Agreement, type Campaign, loadAgreement, loadCampaign } from '#policies';
import type { Command } from '../command.ts';

export const command: Command = {
  name: 'policy check',
  summary: 'Checks agreements, law packs and campaigns by themselves',
  package: 'unit',
  help: `
Usage: tollgate policy check FILE… [--json]

Reads each file as the unit would: *.json as an agreement or law pack, *.yaml as a campaign. A document that has a word which is not
understood, or cannot be enforced, is refused with its place and the nearest word. \`tollgate check\` shows what they let leave together.

  --json   one JSON object a file and line

Exit code: 0 all would be loaded, 1 one would be refused, 2 a file cannot be read.

Example:
  tollgate policy check policies/examples/insurance/agreement.json policies/examples/insurance/campaign.yaml
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { json: { type: 'boolean', default: false } },
    });
    if (positionals.length === 0) throw new TollgateError('TG_CLI_USAGE', 'policy check takes at least one FILE');
    let refused = 0;
    for (const file of positionals) {
      const result = check(await bytesOf(file), file);
      if (result.error !== null) refused++;
      if (values.json) io.out(`${JSON.stringify(result)}\n`);
      else if (result.error !== null) io.err(`${formatError(result.error)}\n`);
      else io.out(`${file}  ${result.words}\n${result.warnings.map((warning) => `   ${warning}\n`).join('')}`);
    }
    return refused === 0 ? 0 : 1;
  },
};

interface Checked {
  readonly file: string;
  readonly words: string;
  readonly warnings: readonly string[];
  readonly error: TollgateError | null;
}

function check(bytes: Buffer, file: string): Checked {
  try {
    if (/\.ya?ml$/.test(file)) {
      return { file, words: campaignWords(loadCampaign(bytes.toString('utf8'), { file })), warnings: [], error: null };
    }
    const agreement = loadAgreement(bytes, { file });
    return { file, words: agreementWords(agreement), warnings: agreement.warnings, error: null };
  } catch (error) {
    if (!(error instanceof TollgateError)) throw error;
    return { file, words: 'refused', warnings: [], error };
  }
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

async function bytesOf(file: string): Promise<Buffer> {
  return await readFile(file).catch((cause: Error) => {
    throw new TollgateError('TG_CLI_FILE', `cannot read the file: ${cause.message}`, { place: { file }, cause });
  });
}
