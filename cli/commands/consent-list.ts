import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '#agent/config/load';
import { documentFiles, loadDocuments } from '#agent/documents';
import { loadUnitKeys } from '#agent/keys';
import { TollgateError } from '#contracts';
import type { Command, Io } from '../command.ts';
import { consentsOf } from '../consents.ts';
import { bold, table } from '../text.ts';

interface Shown {
  readonly agreement: string;
  readonly recipient: string | null;
  readonly version: number | null;
  readonly scope: 'standing' | 'drive' | null;
  readonly state: 'in force' | 'suspended' | 'withdrawn' | 'trusted file';
  readonly reason: string | null;
}

export const command: Command = {
  name: 'consent list',
  summary: 'Shows what the owner of this unit has granted, and what of it is in force',
  package: 'unit',
  help: `
Usage: tollgate consent list [--config FILE] [--json]

Each agreement with its recipient, version and state: in force, suspended and why, withdrawn. Read from the documents that the unit keeps
beside its store, by the clock of this machine; the agent may be running.

  --config FILE   configuration (default: tollgate.yaml)
  --json          the answer as one JSON object

Example:
  tollgate consent list
`,
  async run(args, io) {
    const { values } = parseArgs({
      args: [...args],
      options: { config: { type: 'string', default: 'tollgate.yaml' }, json: { type: 'boolean', default: false } },
    });
    const config = await loadConfig(values.config);
    const keys = await loadUnitKeys(config.unit.keys);
    const { trusted, issuers } = keys;
    const { documents, problems } = await loadDocuments(documentFiles(config), trusted, Date.now(), issuers);
    if (documents === null) throw problems[0];
    const consents = await consentsOf(config, keys, documents);
    if (consents === null) {
      throw new TollgateError('TG_CONSENT_OWNER', 'this unit was enrolled without an owner: it takes no consents', {
        place: { file: join(config.unit.keys, 'issuers.json') },
        remedy: '`tollgate enroll --local DIR --owner` makes one.',
      });
    }
    const { state, withdrawn, sold } = consents;
    const { suspended, recipients } = consents.now;
    const shown: Shown[] = [...state.agreements].map(([uid, { document }]) => {
      const resting = suspended.find(({ agreement }) => agreement === uid);
      return {
        agreement: uid,
        recipient: document.agreement.assignee,
        version: document.version,
        scope: document.scope,
        state: resting === undefined ? 'in force' : 'suspended',
        reason: resting?.reason ?? null,
      };
    });
    for (const { uid, assignee, version } of sold ? [] : documents.bare) {
      if (withdrawn.has(uid) || state.agreements.has(uid)) continue;
      const rest = { scope: null, state: 'trusted file', reason: null } as const;
      shown.push({ agreement: uid, recipient: assignee, version, ...rest });
    }
    const gone = { recipient: null, version: null, scope: null, reason: null } as const;
    for (const agreement of withdrawn) shown.push({ agreement, ...gone, state: 'withdrawn' });
    const answer = { owner: state.owner, agreements: shown, recipients: Object.fromEntries(recipients) };
    io.out(values.json ? `${JSON.stringify(answer)}\n` : listText(answer.owner, shown, io));
    return 0;
  },
};

function listText(owner: string | null, shown: readonly Shown[], io: Io): string {
  const rows = shown.map(({ agreement, recipient, version, scope, state, reason }) => [
    agreement,
    recipient ?? '',
    version === null ? '' : `version ${version}`,
    scope === 'drive' ? 'this drive' : '',
    reason === null ? state : `${state}: ${reason}`,
  ]);
  return `${bold('Owner', io)} ${owner ?? 'none'}\n${rows.length === 0 ? 'Nothing was granted.\n' : table(rows)}`;
}
