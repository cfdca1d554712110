import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadDocuments } from '#agent/documents';
import { loadUnitKeys, writeEnrolment } from '#agent/keys';
import { logSource } from '#agent/sources/log';
import { Unit, type UnitStatus } from '#agent/unit';
import { type FrameSource, formatError, TollgateError } from '#contracts';
import { enrolment } from '#trust';
import type { Command, Io } from '../command.ts';
import { defectsText } from '../database.ts';
import { contextOf } from '../policies.ts';
import { Progress } from '../progress.ts';
import { bold, bytes, count, table } from '../text.ts';
import { TRANSPORT_ARGUMENTS, TRANSPORT_HELP, transportOptions, transportRows } from '../transports.ts';
import { version } from '../version.ts';
import { planText } from './check.ts';

/** How often progress is looked at, ms. */
const PROGRESS_MS = 250;

export const command: Command = {
  name: 'replay',
  summary: 'Runs a log through the whole path without a broker and shows what would have left',
  package: 'unit',
  help: `
Usage: tollgate replay LOG --dbc F [--mapping F] [--campaign F]… [--agreement F]… [--law-pack F]… [--context KEY=VALUE]…
                       [--j1939 MODE] [--isotp LINK]… [--obd LINK]… [--state DIR] [--json]

Decodes the log (candump, ASC, BLF, SavvyCAN CSV, PCAP, PCAPNG; plain or gzip), applies the plan that campaigns and agreements make, seals the records and commits them with
their ledger to a store. Without a campaign and an agreement nothing may leave, and the summary says so. Keys are made for the occasion.

  --dbc F         database of the log
  --mapping F     names: DBC signals to VSS paths
  --campaign F    what a recipient asks for (YAML); may be repeated
  --agreement F   what the owner allows (JSON-LD), trusted because you name it; may be repeated
  --law-pack F    what the land forbids; may be repeated
  --context KEY=VALUE  where context comes from, as in a configuration: speed=Vehicle.Speed; may be repeated (default: ignition=assume-on)
${TRANSPORT_HELP}
  --state DIR     keep store and keys there (default: a temporary folder, removed at the end)
  --json          the summary as one JSON object

Example:
  tollgate replay drive.log --dbc drive.dbc --campaign ubi.yaml --agreement ubi.json --state replayed
  tollgate verify replayed --keys replayed/keys/unit
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        dbc: { type: 'string' },
        mapping: { type: 'string' },
        campaign: { type: 'string', multiple: true, default: [] },
        agreement: { type: 'string', multiple: true, default: [] },
        'law-pack': { type: 'string', multiple: true, default: [] },
        context: { type: 'string', multiple: true, default: [] as string[] },
        ...TRANSPORT_ARGUMENTS,
        state: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    });
    const [log] = positionals;
    if (log === undefined || values.dbc === undefined || positionals.length > 1) {
      throw new TollgateError('TG_CLI_USAGE', 'replay takes one LOG and --dbc FILE');
    }
    const { documents, problems } = await loadDocuments(
      {
        channels: [
          {
            name: 'log',
            dbc: values.dbc,
            ...(values.mapping === undefined ? {} : { mapping: values.mapping }),
            ...transportOptions(values),
          },
        ],
        campaigns: values.campaign,
        agreements: values.agreement,
        lawPacks: values['law-pack'],
        context: { ignition: 'assume-on', ...contextOf(values.context) },
      },
      null,
      Date.now(),
    );
    if (documents === null || problems.length > 0) {
      if (values.json) io.out(`${JSON.stringify({ problems })}\n`);
      else for (const problem of problems) io.err(`${formatError(problem)}\n`);
      return 2;
    }
    for (const { database, findings } of documents.channels) io.err(defectsText(database.file, findings));
    const state = values.state ?? (await mkdtemp(join(tmpdir(), 'tollgate-replay-')));
    try {
      const recipients = [...new Set(documents.plan.streams.map(({ recipient }) => recipient))];
      const keyDir = join(state, 'keys');
      await writeEnrolment(keyDir, enrolment({ recipients, random: (size) => randomBytes(size) }));
      const unit = await Unit.open({
        documents,
        keys: await loadUnitKeys(join(keyDir, 'unit')),
        state,
        tenant: 'replay',
        version: version(),
        live: false,
        maxBytes: Number.MAX_SAFE_INTEGER,
        groupCommitMs: 1000,
      });
      const source = logSource({
        name: log,
        path: log,
        bootId: unit.bootId,
        onMalformed: (line, reason) => io.err(`${log}:${line}: ${reason}; skipped\n`),
      });
      const startMs = performance.now();
      const status = await played(unit, source, io);
      const seconds = (performance.now() - startMs) / 1000;
      if (values.json) {
        const { path, transports, store } = status;
        io.out(
          `${JSON.stringify({ ...path, malformed: source.malformed(), transports, seconds, records: store.queued, bytes: store.bytes, denials: documents.plan.denials, ledger: { size: store.head.size, root: Buffer.from(store.head.root).toString('base64') } })}\n`,
        );
      } else {
        io.out(planText(documents.plan, io));
        io.out(summary(status, seconds, io));
        if (values.state !== undefined) io.out(`\nStore and ledger: ${join(state, 'tollgate.sqlite')}\n`);
      }
      return 0;
    } finally {
      if (values.state === undefined) await rm(state, { recursive: true, force: true });
    }
  },
};

/** Plays the log to its end; the unit is closed whatever comes of it. */
async function played(unit: Unit, source: FrameSource, io: Io): Promise<UnitStatus> {
  const progress = new Progress(io);
  const show = () => progress.show(() => `${count(unit.counts.frames + unit.counts.skipped)} frames`);
  const timer = setInterval(show, PROGRESS_MS);
  try {
    await unit.play(source, 0);
    await unit.finish();
    return await unit.status();
  } finally {
    clearInterval(timer);
    progress.done();
    await unit.close();
  }
}

function summary({ path, transports, store }: UnitStatus, seconds: number, io: Io): string {
  const read = path.frames + path.skipped;
  return `\n${bold('What happened', io)}\n${table([
    ['frames', `${count(read)} in ${seconds.toFixed(1)} s (${count(read / seconds)}/s)`],
    ['without a decode right', `${count(path.skipped + path.unknown)}, never decoded`],
    ['short frames', count(path.short)],
    ['malformed lines', count(path.malformed)],
    ...transportRows(transports),
    ['values admitted', count(path.admitted)],
    ['values denied', count(path.denied)],
    ['messages in the outbox', `${count(store.queued)}, ${bytes(store.bytes)}`],
    ['ledger', `${count(store.head.size)} leaves, head ${Buffer.from(store.head.root).toString('base64')}`],
  ])}`;
}
