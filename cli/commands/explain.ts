import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '#agent/config/load';
import { type Documents, documentFiles, loadDocuments } from '#agent/documents';
import { loadUnitKeys } from '#agent/keys';
import { type RecordInfo, readStore, type StoreReader } from '#agent/store/index';
import { readLedger } from '#agent/store/read-ledger';
import { STORE_FILE } from '#agent/unit';
import { TollgateError } from '#contracts';
import { type Explanation, explainSignal } from '#policies';
import type { InForce } from '#policies/consent/index';
import { type DecisionBody, decisionBody, decodeLeaf, LEAF_DECISION } from '#wire';
import type { Command, Io } from '../command.ts';
import { consentsOf, documentsNow } from '../consents.ts';
import { bold, count, table } from '../text.ts';

/** Records and denials this far around the asked time belong to the answer, ms. */
const AROUND_MS = 60_000;
const SHOWN_RECORDS = 5;

export const command: Command = {
  name: 'explain',
  summary: 'Says why a signal was sent or not sent, from ledger and policies alone',
  package: 'unit',
  help: `
Usage: tollgate explain SIGNAL [--at TIME] [--config FILE] [--json]

For each campaign that asked for the signal: the agreement and the rule that let it out, or the rule and the constraint that held it back;
the records that carried it (stream, number, ledger leaf, whether a receiver proved it), and what the gate kept back. With --at only what
happened within a minute of that time.

Databases, law packs, classes of signals, J1939 and ISO-TP links are those of the configuration, as the agent takes them.

  SIGNAL          VSS path or dbc: name
  --at TIME       ISO 8601, e.g. 2026-01-01T08:00:30Z
  --config FILE   configuration (default: tollgate.yaml)
  --json          the answer as one JSON object

Exit code: 0 the signal was sent, 1 it was not, 2 bad usage or input.

Example:
  tollgate explain Vehicle.Speed --at 2026-01-01T08:00:30Z
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        at: { type: 'string' },
        config: { type: 'string', default: 'tollgate.yaml' },
        json: { type: 'boolean', default: false },
      },
    });
    const [asked] = positionals;
    if (asked === undefined || positionals.length > 1)
      throw new TollgateError('TG_CLI_USAGE', 'explain takes one SIGNAL');
    const at = values.at === undefined ? null : Date.parse(values.at);
    if (Number.isNaN(at))
      throw new TollgateError('TG_CLI_USAGE', `"${values.at}" is not a time such as 2026-01-01T08:00:30Z`);
    const config = await loadConfig(values.config);
    const keys = await loadUnitKeys(config.unit.keys);
    const { documents, problems } = await loadDocuments(documentFiles(config), keys.trusted, Date.now(), keys.issuers);
    if (documents === null) throw problems[0];
    const consents = await consentsOf(config, keys, documents);
    const now = documentsNow(documents, consents);
    const answer = {
      ...explain(now, asked, join(config.unit.state, STORE_FILE), at),
      suspended: consents?.now.suspended ?? [],
    };
    io.out(values.json ? `${JSON.stringify(answer)}\n` : answerText(answer, io));
    return answer.records.length > 0 ? 0 : 1;
  },
};

interface ExplainedRecord extends Omit<RecordInfo, 'stream'> {
  readonly stream: string;
}

interface Answer {
  readonly signal: string;
  readonly at: string | null;
  readonly verdicts: readonly Explanation[];
  readonly records: readonly ExplainedRecord[];
  /** Samples that the gate kept back, by rule. */
  readonly keptBack: readonly DecisionBody[];
  /** Agreements that were given and do not count now: nothing that they license leaves. */
  readonly suspended: InForce['suspended'];
}

function explain(
  { plan, byName }: Documents,
  asked: string,
  file: string,
  at: number | null,
): Omit<Answer, 'suspended'> {
  const signal = byName.get(asked);
  if (signal === undefined) throw new TollgateError('TG_CLI_USAGE', `no database has a signal ${asked}`);
  const names = [...new Set([asked, signal.name, signal.dbcName])];
  return {
    signal: signal.name,
    at: at === null ? null : new Date(at).toISOString(),
    verdicts: explainSignal(plan, names),
    records: recordsOf(file, signal.name, at),
    keptBack: keptBack(file, names, at),
  };
}

function recordsOf(file: string, field: string, at: number | null): ExplainedRecord[] {
  let store: StoreReader;
  try {
    store = readStore(file);
  } catch (error) {
    // Nothing was ever committed: the policies alone answer.
    if (error instanceof TollgateError) return [];
    throw error;
  }
  try {
    const around = at === null ? {} : { fromMs: at - AROUND_MS, toMs: at + AROUND_MS };
    return store
      .recordsAbout({ field, ...around })
      .map((record) => ({ ...record, stream: Buffer.from(record.stream).toString('base64url') }));
  } finally {
    store.close();
  }
}

/** Decision leaves about the signal with counts: what the gate kept back while it ran. */
function keptBack(file: string, names: readonly string[], at: number | null): DecisionBody[] {
  try {
    const ledger = readLedger(file);
    try {
      const found: DecisionBody[] = [];
      for (let index = 0; index < ledger.size; index++) {
        const bytes = ledger.leaf(index);
        const leaf = bytes === null ? null : decodeLeaf(bytes);
        if (leaf?.kind !== LEAF_DECISION) continue;
        const near = at === null || (leaf.utcMs !== null && Math.abs(leaf.utcMs - at) <= AROUND_MS);
        const body = decisionBody(leaf);
        if (near && body.count > 0 && names.includes(body.signal)) found.push(body);
      }
      return found;
    } finally {
      ledger.close();
    }
  } catch (error) {
    if (error instanceof TollgateError) return [];
    throw error;
  }
}

function answerText({ signal, at, verdicts, records, keptBack: kept, suspended }: Answer, io: Io): string {
  const parts = [`${bold(signal, io)}${at === null ? '' : ` around ${at}`}\n`];
  if (verdicts.length === 0) parts.push('  No campaign asks for it: it is not decoded and nothing of it leaves.\n');
  for (const { campaign, recipient, sent, agreement, rule, how, conditions } of verdicts) {
    const by =
      agreement === null
        ? 'no agreement speaks of it'
        : `agreement ${agreement}${rule === null ? '' : `, rule ${rule}`}`;
    parts.push(
      `  ${sent ? 'may leave' : 'does not leave'} to ${recipient} (campaign ${campaign}): ${how ?? ''}; ${by}\n`,
    );
    for (const condition of conditions) parts.push(`    as long as ${condition}\n`);
  }
  for (const { agreement, reason } of suspended) parts.push(`  agreement ${agreement} is suspended: ${reason}\n`);
  for (const { count: samples, rule, constraint } of kept) {
    parts.push(`  ${count(samples)} samples kept back by rule ${rule}: ${constraint}\n`);
  }
  if (records.length > 0) {
    parts.push(`\n${bold(`In ${count(records.length)} records`, io)}, the newest:\n`);
    const rows = records
      .slice(0, SHOWN_RECORDS)
      .map(({ utcMs, stream, seq, leafIndex, recipient, state, proven }) => [
        utcMs === null ? 'UTC unknown' : new Date(utcMs).toISOString(),
        `stream ${stream} record ${seq}`,
        `leaf ${leafIndex}`,
        recipient,
        `${state}${proven ? ', proven' : ''}`,
      ]);
    parts.push(table(rows));
  }
  return parts.join('');
}
