import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { type Documents, loadDocuments } from '#agent/documents';
import { type SimulatedField, type Simulation, simulate } from '#agent/simulate';
import { logSource } from '#agent/sources/log';
import { formatError, TollgateError } from '#contracts';
import { leavesAs } from '#policies';
import type { Command, Io } from '../command.ts';
import { defectsText } from '../database.ts';
import { contextOf } from '../policies.ts';
import { Progress } from '../progress.ts';
import { bold, bytes, count, table } from '../text.ts';
import { TRANSPORT_ARGUMENTS, TRANSPORT_HELP, transportOptions, transportRows } from '../transports.ts';

export const command: Command = {
  name: 'policy simulate',
  summary: 'Replays a drive and shows field by field what would have left; nothing leaves and nothing is stored',
  package: 'unit',
  help: `
Usage: tollgate policy simulate LOG --dbc F [--mapping F] --campaign F… --agreement F… [--law-pack F]… [--context KEY=VALUE]…
                                [--j1939 MODE] [--isotp LINK]… [--obd LINK]… [--against F]… [--json]

Takes the log through decoding, gate, operations and sealing as a unit does, and counts. For each signal of each campaign: the values that
would have left, under which rule and operation, and what was kept back by which rule and constraint. For each stream: records and bytes.

  --dbc F             database of the log
  --mapping F         names: DBC signals to VSS paths
  --campaign F        what a recipient asks for (YAML); may be repeated
  --agreement F       what the owner allows (JSON-LD); may be repeated
  --law-pack F        what the land forbids; may be repeated
  --context KEY=VALUE where context comes from, as in a configuration: speed=Vehicle.Speed; may be repeated (default: ignition=assume-on)
${TRANSPORT_HELP}
  --against F         once more with these agreements in place of --agreement, and what that changes; may be repeated
  --json              the result as one JSON object

Exit code: 0 done, 1 with --against and more would have left than under --agreement, 2 bad usage or input.

Example:
  tollgate policy simulate drive.log --dbc car.dbc --campaign ubi.yaml --agreement ubi.json --against ubi.new.json
`,
  async run(args, io) {
    const many = { type: 'string', multiple: true, default: [] as string[] } as const;
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        dbc: { type: 'string' },
        mapping: { type: 'string' },
        campaign: many,
        agreement: many,
        'law-pack': many,
        context: many,
        ...TRANSPORT_ARGUMENTS,
        against: many,
        json: { type: 'boolean', default: false },
      },
    });
    const [log] = positionals;
    if (log === undefined || positionals.length > 1 || values.dbc === undefined || values.campaign.length === 0)
      throw new TollgateError('TG_CLI_USAGE', 'policy simulate takes one LOG, --dbc FILE and --campaign FILE');
    const channel = {
      name: 'log',
      dbc: values.dbc,
      ...(values.mapping === undefined ? {} : { mapping: values.mapping }),
      ...transportOptions(values),
    };
    const load = async (agreements: readonly string[]): Promise<Documents> => {
      const { documents, problems } = await loadDocuments(
        {
          channels: [channel],
          campaigns: values.campaign,
          agreements,
          lawPacks: values['law-pack'],
          context: { ignition: 'assume-on', ...contextOf(values.context) },
        },
        null,
        null,
      );
      if (documents !== null && problems.length === 0) return documents;
      for (const problem of problems.slice(1)) io.err(`${formatError(problem)}\n`);
      throw problems[0]!;
    };
    const documents = await load(values.agreement);
    for (const { database, findings } of documents.channels) io.err(defectsText(database.file, findings));
    const result = await played(documents, log, io);
    const other = values.against.length === 0 ? null : await played(await load(values.against), log, io);
    const changes = other === null ? [] : compared(result, other);
    if (values.json)
      io.out(`${JSON.stringify({ ...result, ...(other === null ? {} : { against: other, changes }) })}\n`);
    else {
      io.out(simulationText(result, io));
      if (other !== null) io.out(changesText(changes, io));
    }
    return changes.some(({ was, now }) => now > was) ? 1 : 0;
  },
};

async function played(documents: Documents, log: string, io: Io): Promise<Simulation> {
  const bootId = new Uint8Array(randomBytes(8));
  const progress = new Progress(io);
  const source = logSource({
    name: log,
    path: log,
    bootId,
    onMalformed: (line, reason) => io.err(`${log}:${line}: ${reason}; skipped\n`),
  });
  try {
    return await simulate({
      documents,
      sources: [source],
      bootId,
      recipientKey: generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' }),
      onProgress: (frames) => progress.show(() => `${count(frames)} frames`),
    });
  } finally {
    progress.done();
  }
}

interface Change {
  readonly signal: string;
  readonly campaign: string;
  readonly recipient: string;
  /** Values that would have left under --agreement and under --against. */
  readonly was: number;
  readonly now: number;
  readonly text: string;
}

/** What another set of agreements would have changed, field by field; a signal of two streams is counted together. */
function compared(result: Simulation, other: Simulation): Change[] {
  const fields = new Map<string, { was: SimulatedField[]; now: SimulatedField[] }>();
  for (const [side, { fields: all }] of [['was', result] as const, ['now', other] as const]) {
    for (const field of all) {
      const key = JSON.stringify([field.campaign, field.recipient, field.signal]);
      const pair = fields.get(key) ?? { was: [], now: [] };
      pair[side].push(field);
      fields.set(key, pair);
    }
  }
  const total = (side: readonly SimulatedField[]) => side.reduce((sum, { samples }) => sum + samples, 0);
  const words = (side: readonly SimulatedField[]) =>
    side.length === 0
      ? 'closed'
      : `${count(total(side))} values (${side.map(({ operation }) => leavesAs(operation)).join(', ')})`;
  return [...fields].flatMap(([key, { was, now }]): Change[] => {
    const [before, after] = [words(was), words(now)];
    if (before === after) return [];
    const [campaign, recipient, signal] = JSON.parse(key) as [string, string, string];
    const text = `${signal} to ${recipient} (campaign ${campaign}): was ${before}, would be ${after}`;
    return [{ signal, campaign, recipient, was: total(was), now: total(now), text }];
  });
}

function changesText(changes: readonly Change[], io: Io): string {
  const head = `\n${bold('Against the other agreements', io)}\n`;
  if (changes.length === 0) return `${head}  The same would have left.\n`;
  return head + changes.map(({ text }) => `  ${text}\n`).join('');
}

function simulationText({ frames, transports, streams, fields, denials, raised }: Simulation, io: Io): string {
  const carried = transportRows(transports);
  const parts = [
    `${count(frames)} frames; nothing left and nothing was stored.\n${carried.length === 0 ? '' : table(carried)}`,
  ];
  for (const stream of streams) {
    const { campaign, recipient, purpose, agreement, records, bytes: size, overBudget } = stream;
    const own = fields.filter(
      (field) => field.campaign === campaign && field.recipient === recipient && field.agreement === agreement,
    );
    const rows = own.map(({ signal, operation, rule, samples }) => [
      signal,
      `${count(samples)} values`,
      leavesAs(operation),
      `rule ${rule}`,
    ]);
    const head = bold(`Would have left to ${recipient}`, io);
    const dropped = overBudget === 0 ? '' : `, ${count(overBudget)} refused by a budget`;
    parts.push(
      `${head} for ${purpose} (campaign ${campaign}, agreement ${agreement}): ${count(records)} records, ${bytes(size)}${dropped}\n${table(rows)}`,
    );
  }
  const kept = fields.flatMap(({ signal, campaign, keptBack }) =>
    keptBack.map(({ rule, constraint, count: samples }) => [
      signal,
      `campaign ${campaign}`,
      `${count(samples)} samples`,
      `rule ${rule}: ${constraint}`,
    ]),
  );
  if (kept.length > 0) parts.push(`${bold('Kept back by the gate', io)}\n${table(kept)}`);
  if (denials.length > 0) {
    const rows = denials.map(({ signal, campaign, agreement, reason, rule, constraint }) => [
      signal,
      `campaign ${campaign}`,
      `${reason}${rule === null ? '' : `, rule ${rule} of ${agreement}`}${constraint === null ? '' : `: ${constraint}`}`,
    ]);
    parts.push(`${bold('Would not have left at all', io)}\n${table(rows)}`);
  }
  if (raised.length > 0)
    parts.push(`${bold('Raised to what the agreements demand', io)}\n${raised.map((line) => `  ${line}\n`).join('')}`);
  return parts.join('\n');
}
