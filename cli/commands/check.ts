import { parseArgs } from 'node:util';
import { loadConfig } from '#agent/config/load';
import { documentFiles, loadDocuments } from '#agent/documents';
import { loadUnitKeys } from '#agent/keys';
import { formatError, TollgateError } from '#contracts';
import { findingError } from '#dbc';
import type { Plan } from '#policies';
import type { Command, Io } from '../command.ts';
import { defectsText } from '../database.ts';
import { bold, table } from '../text.ts';

export const command: Command = {
  name: 'check',
  summary: 'Checks the configuration and every document, and prints the plan that follows',
  package: 'unit',
  help: `
Usage: tollgate check [--config FILE] [--json]

Reads the configuration and every document that it names, and prints what may leave, under which rule, and what may not, and why.
Nothing is started and nothing is written.

  --config FILE   configuration (default: tollgate.yaml)
  --json          the plan and the problems as one JSON object

Exit code: 0 all good, 1 problems were found, 2 the configuration itself cannot be read.

Example:
  tollgate check --config /etc/tollgate/tollgate.yaml
`,
  async run(args, io) {
    const { values } = parseArgs({
      args: [...args],
      options: { config: { type: 'string', default: 'tollgate.yaml' }, json: { type: 'boolean', default: false } },
    });
    const config = await loadConfig(values.config);
    const keys = await attempt(() => loadUnitKeys(config.unit.keys));
    const trusted = keys instanceof TollgateError ? null : keys.trusted;
    const issuers = keys instanceof TollgateError ? null : keys.issuers;
    const { documents, problems } = await loadDocuments(documentFiles(config), trusted, Date.now(), issuers);
    const all = [...(keys instanceof TollgateError ? [keys] : []), ...problems];
    if (documents !== null && !(keys instanceof TollgateError)) {
      for (const { recipient, campaign } of documents.plan.streams) {
        if (keys.recipients.has(recipient)) continue;
        all.push(new TollgateError('TG_RECIPIENT_UNKNOWN', `campaign ${campaign}: no key for ${recipient}`));
      }
    }
    const channels = documents?.channels ?? [];
    const defects = channels.flatMap(({ database, findings }) =>
      findings.filter(({ severity }) => severity === 'error').map((finding) => findingError(finding, database.file)),
    );
    if (values.json) io.out(`${JSON.stringify({ plan: documents?.plan ?? null, problems: all, defects }, asJson)}\n`);
    else {
      if (documents !== null) io.out(planText(documents.plan, io));
      for (const { database, findings } of channels) io.err(defectsText(database.file, findings));
      for (const warning of documents?.plan.warnings ?? []) io.out(`${warning}\n`);
      for (const problem of all) io.err(`${formatError(problem)}\n`);
      io.out(all.length === 0 ? '\nNo problems.\n' : `\n${all.length} problem${all.length === 1 ? '' : 's'}.\n`);
    }
    return all.length === 0 ? 0 : 1;
  },
};

async function attempt<T>(work: () => Promise<T>): Promise<T | TollgateError> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TollgateError) return error;
    throw error;
  }
}

/** Hashes as hex. */
function asJson(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
}

/** The plan for a person: what leaves and why, what is only context, what does not leave and why. */
export function planText(plan: Plan, io: Io): string {
  const parts: string[] = [];
  for (const stream of plan.streams) {
    const rows = stream.signals.map(({ signal, operation, rule }) => {
      const { kind, ...parameters } = operation;
      const words = Object.entries(parameters).map(
        ([key, value]) => `${key} ${Array.isArray(value) ? value.join(' ') : value}`,
      );
      return [signal.name, `${kind}${words.length > 0 ? ` (${words.join(', ')})` : ''}`, `rule ${rule}`];
    });
    parts.push(
      `${bold(`May leave to ${stream.recipient}`, io)} for ${stream.purpose} (campaign ${stream.campaign}, agreement ${stream.agreement})\n${table(rows)}`,
    );
  }
  const context = plan.rights.filter(({ right }) => right !== 'record');
  if (context.length > 0) {
    const rows = context.map(({ signal, right, because }) => [signal.name, right, because]);
    parts.push(`${bold('Decoded for the gate alone', io)}\n${table(rows)}`);
  }
  if (plan.denials.length > 0) {
    const rows = plan.denials.map(({ signal, campaign, reason, rule, constraint }) => [
      signal,
      `campaign ${campaign}`,
      `${reason}${rule === null ? '' : `, rule ${rule}`}${constraint === null ? '' : `: ${constraint}`}`,
    ]);
    parts.push(`${bold('Does not leave', io)}\n${table(rows)}`);
  }
  if (plan.raised.length > 0)
    parts.push(
      `${bold('Raised to what the agreements demand', io)}\n${plan.raised.map((line) => `  ${line}\n`).join('')}`,
    );
  return parts.length === 0 ? 'Nothing may leave: no campaign is licensed by an agreement.\n' : parts.join('\n');
}
