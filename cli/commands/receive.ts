import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { formatError, TollgateError } from '#contracts';
import type { MqttTls } from '#firmware-bridge/mqtt';
import {
  JsonLines,
  loadReceiverKeys,
  openReceiverStore,
  type ReceiverAlarm,
  type ReceiverService,
  type ReceiverStore,
  startReceiver,
} from '#receiver';
import type { Command, Io } from '../command.ts';
import { OWNER_ONLY } from '../hardening.ts';
import { Progress } from '../progress.ts';
import { count, table } from '../text.ts';

/** How often the command looks whether it is done, ms. */
const STEP_MS = 100;
/** Stored alarms that are shown. */
const MOST_ALARMS = 1_000;
const GROUP = /^[A-Za-z0-9_-]{1,64}$/;
type Told = Awaited<ReturnType<ReceiverStore['alarms']>>[number];

export const command: Command = {
  name: 'receive',
  summary: 'The other end: opens, stores, proves and acknowledges what units send',
  package: 'tools',
  help: `
Usage: tollgate receive --keys DIR --broker URL [--store WHERE] [--group NAME] [--protocol 4|5] [--out FILE] [--until-idle S] [--json]
       tollgate receive --keys DIR [--store WHERE] --alarms [--json]
       tollgate receive --keys DIR [--store WHERE] --readmit UNIT

Subscribes to the records of all units whose ledger keys stand in DIR/units.json, opens them with DIR/hpke.jwk, checks each proof when its
checkpoint comes, and acknowledges with DIR/ack.jwk what is stored. Runs until it is stopped.

Any number of these may run with the same --store and --group: the broker gives each record and each proof to one of them, and what each
says is what the store says. A record is stored once, however often and to whomever it comes.

  --keys DIR        hpke.jwk, ack.jwk and units.json, as \`tollgate enroll --local\` writes them to recipient/
  --broker URL      mqtt://host:port or mqtts://host:port
  --store WHERE     SQLite file (default: receiver.sqlite in DIR), or postgres://user@host:port/database; tables are made where there are
                    none. --db is the same
  --group NAME      share records and proofs with the other receivers of this name ($share of MQTT 5; mosquitto has it for 3.1.1 too)
  --protocol 4|5    MQTT 3.1.1 or 5 (default 5); never changed silently
  --ca FILE         CA of the broker, PEM; with --cert FILE and --key FILE for a client certificate
  --out FILE        also JSON lines, one a row; each process of a group has a file of its own
  --until-idle S    stop when no message has come for S seconds
  --json            alarms and the summary as JSON lines
  --alarms          show the stored alarms, newest first, with the signed notes that prove them, and end
  --readmit UNIT    a unit whose ledger was rolled back or rewritten was examined: take its next checkpoint as a beginning, and end.
                    UNIT is the name of its ledger key, as alarms say it; what it signed before stays as evidence

A record is \`opened\` when it is stored and \`proven\` when its unit's ledger covers it; 180 s without a proof are an alarm. Records of a unit
whose ledger does not continue what was accepted stay opened.

Exit code: 0 done, 1 something was refused or stayed unproven, 2 bad usage, no connection, or a store that cannot be written.

Examples:
  tollgate receive --keys keys/recipient --broker mqtt://localhost:1883 --out records.jsonl --until-idle 10
  tollgate receive --keys keys/recipient --broker mqtts://broker:8883 --ca ca.pem --store postgres://receiver@db/records --group insurer
`,
  async run(args, io) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        keys: { type: 'string' },
        broker: { type: 'string' },
        protocol: { type: 'string', default: '5' },
        ca: { type: 'string' },
        cert: { type: 'string' },
        key: { type: 'string' },
        db: { type: 'string' },
        store: { type: 'string' },
        group: { type: 'string' },
        alarms: { type: 'boolean', default: false },
        readmit: { type: 'string' },
        out: { type: 'string' },
        'until-idle': { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    });
    const { keys: folder, broker: url, json, readmit } = values;
    const asks = values.alarms || readmit !== undefined;
    if (folder === undefined) throw usage('receive needs --keys DIR');
    if (values.db !== undefined && values.store !== undefined) throw usage('--db and --store are the same');
    const where = values.store ?? values.db ?? join(folder, 'receiver.sqlite');
    process.umask(OWNER_ONLY);
    if (asks) return await ask(where, readmit, json, io);
    if (url === undefined) throw usage('receive needs --keys DIR and --broker URL');
    if (!/^mqtts?:\/\/[^/\s]+$/.test(url)) throw usage('--broker is mqtt://host:port or mqtts://host:port');
    if (values.protocol !== '4' && values.protocol !== '5') throw usage('--protocol is 4 (MQTT 3.1.1) or 5');
    if (values.group !== undefined && !GROUP.test(values.group)) {
      throw usage('--group is a name of letters, digits, _ and -, at most 64');
    }
    const idleMs = values['until-idle'] === undefined ? Number.POSITIVE_INFINITY : seconds(values['until-idle']);
    const keys = await loadReceiverKeys(folder);
    const tls = await tlsOf(values);
    const store = await openReceiverStore(where);
    try {
      const out = values.out === undefined ? null : resolve(values.out);
      const sink = out === null ? null : await JsonLines.open(out, await store.mark(out));
      try {
        const service = await startReceiver({
          url,
          protocol: values.protocol === '4' ? 4 : 5,
          tls,
          keys,
          store,
          group: values.group,
          sinks: sink === null ? [] : [sink],
          alarm: (alarm) => io.err(alarmText(alarm, json)),
          connection: (up, error) => {
            if (up && json) io.err('{"connected":true}\n');
            if (!up && error !== null) io.err(json ? `${JSON.stringify({ error })}\n` : `${formatError(error)}\n`);
          },
        });
        return await receive(service, idleMs, json, io);
      } finally {
        await sink?.close();
      }
    } finally {
      await store.close();
    }
  },
};

async function receive(service: ReceiverService, idleMs: number, json: boolean, io: Io): Promise<number> {
  const progress = new Progress(io);
  let failure: Error | null = null;
  void service.failed.then((error) => {
    failure = error;
  });
  while (!io.signal.aborted && failure === null && service.idleMs() < idleMs) {
    await sleep(STEP_MS, undefined, { signal: io.signal }).catch(() => undefined);
    progress.show(() => {
      const { opened, proven, connected } = service.status();
      return `${connected ? '' : 'not connected · '}${count(opened)} records opened, ${count(proven)} proven`;
    });
  }
  progress.done();
  await service.close();
  if (failure !== null) throw failure;
  const { connected: _, ...status } = service.status();
  io.out(json ? `${JSON.stringify(status)}\n` : summary(status));
  return status.alarms === 0 ? 0 : 1;
}

/** What an operator asks of the store, without a broker. */
async function ask(where: string, readmit: string | undefined, json: boolean, io: Io): Promise<number> {
  const store = await openReceiverStore(where);
  try {
    if (readmit !== undefined) {
      if (!(await store.readmit(readmit))) throw usage(`nothing is known of a unit ${readmit}`);
      io.out(json ? `${JSON.stringify({ readmitted: readmit })}\n` : `${readmit} begins anew\n`);
      return 0;
    }
    const alarms = await store.alarms(MOST_ALARMS);
    for (const alarm of alarms) io.out(json ? `${JSON.stringify(alarm)}\n` : storedText(alarm));
    return alarms.length === 0 ? 0 : 1;
  } finally {
    await store.close();
  }
}

function storedText({ atMs, code, unit, pseudonym, stream, seq, message, evidence }: Told): string {
  const record = seq === null ? '' : ` record ${seq}`;
  const notes = evidence.map((note) => note.replace(/^/gm, '   ').trimEnd()).join('\n\n');
  const head = `${new Date(atMs).toISOString()}  ${code}  ${message}\n   ${unit}  ${pseudonym} ${stream}${record}\n`;
  return notes === '' ? head : `${head}${notes}\n`;
}

function summary(status: Readonly<Record<string, number>>): string {
  return table(Object.entries(status).map(([name, value]) => [count(value), name]));
}

function alarmText({ error, unit, pseudonym, stream, seq }: ReceiverAlarm, json: boolean): string {
  if (json) return `${JSON.stringify({ alarm: error, unit, pseudonym, stream, seq })}\n`;
  const record = seq === null ? '' : ` record ${seq}`;
  return `${unit === '' ? '' : `${unit}  `}${pseudonym} ${stream}${record}\n${formatError(error)}\n`;
}

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw usage('--until-idle takes a number of seconds');
  return value * 1000;
}

interface TlsFiles {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

async function tlsOf({ ca, cert, key }: TlsFiles): Promise<MqttTls | undefined> {
  if ((cert === undefined) !== (key === undefined)) throw usage('--cert and --key go together');
  if (ca === undefined) {
    if (cert !== undefined) throw usage('--cert and --key need --ca');
    return undefined;
  }
  return {
    ca: await pem(ca),
    ...(cert === undefined || key === undefined ? {} : { cert: await pem(cert), key: await pem(key) }),
  };
}

async function pem(file: string): Promise<string> {
  return await readFile(file, 'utf8').catch((cause: Error) => {
    throw new TollgateError('TG_CLI_FILE', `cannot be read: ${cause.message}`, { place: { file }, cause });
  });
}

function usage(message: string): TollgateError {
  return new TollgateError('TG_CLI_USAGE', message);
}
