import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { formatError, TollgateError } from '#contracts';
import type { MqttTls } from '#firmware-bridge/mqtt';
import {
  JsonLines,
  loadReceiverKeys,
  type ReceiverAlarm,
  type ReceiverService,
  SqliteStore,
  startReceiver,
} from '#receiver';
import type { Command, Io } from '../command.ts';
import { OWNER_ONLY } from '../hardening.ts';
import { Progress } from '../progress.ts';
import { count, table } from '../text.ts';

/** How often the command looks whether it is done, ms. */
const STEP_MS = 100;

export const command: Command = {
  name: 'receive',
  summary: 'The other end: opens, stores, proves and acknowledges what units send',
  package: 'tools',
  help: `
Usage: tollgate receive --keys DIR --broker URL [--protocol 4|5] [--db FILE] [--out FILE] [--until-idle S] [--json]

Subscribes to the records of all units whose ledger keys stand in DIR/units.json, opens them with DIR/hpke.jwk, checks each proof when its
checkpoint comes, and acknowledges with DIR/ack.jwk what is stored. Runs until it is stopped.

  --keys DIR        hpke.jwk, ack.jwk and units.json, as \`tollgate enroll --local\` writes them to recipient/
  --broker URL      mqtt://host:port or mqtts://host:port
  --protocol 4|5    MQTT 3.1.1 or 5 (default 5); never changed silently
  --ca FILE         CA of the broker, PEM; with --cert FILE and --key FILE for a client certificate
  --db FILE         SQLite database of records, values and acknowledgements (default: receiver.sqlite in DIR)
  --out FILE        also JSON lines, one a row
  --until-idle S    stop when no message has come for S seconds
  --json            alarms and the summary as JSON lines

Exit code: 0 done, 1 something was refused or stayed unproven, 2 bad usage, no connection, or a store that cannot be written.

Example:
  tollgate receive --keys keys/recipient --broker mqtt://localhost:1883 --out records.jsonl --until-idle 10
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
        out: { type: 'string' },
        'until-idle': { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    });
    const { keys: folder, broker: url, json } = values;
    if (folder === undefined || url === undefined) throw usage('receive needs --keys DIR and --broker URL');
    if (!/^mqtts?:\/\/[^/\s]+$/.test(url)) throw usage('--broker is mqtt://host:port or mqtts://host:port');
    if (values.protocol !== '4' && values.protocol !== '5') throw usage('--protocol is 4 (MQTT 3.1.1) or 5');
    const idleMs = values['until-idle'] === undefined ? Number.POSITIVE_INFINITY : seconds(values['until-idle']);
    process.umask(OWNER_ONLY);
    const keys = await loadReceiverKeys(folder);
    const tls = await tlsOf(values);
    const store = new SqliteStore(values.db ?? join(folder, 'receiver.sqlite'));
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
          sinks: sink === null ? [] : [sink],
          alarm: (alarm) => io.err(alarmText(alarm, json)),
          connection: (up, error) => {
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

function summary(status: Readonly<Record<string, number>>): string {
  return table(Object.entries(status).map(([name, value]) => [count(value), name]));
}

function alarmText({ error, pseudonym, stream }: ReceiverAlarm, json: boolean): string {
  if (json) return `${JSON.stringify({ alarm: error, pseudonym, stream })}\n`;
  return `${pseudonym} ${stream}\n${formatError(error)}\n`;
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
