import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, Relay, start, tollgate } from '../../system/processes.ts';
import { agreementText, campaignText, configText, type DriveCase, RECIPIENT } from './case.ts';

/** Everything that a run left anywhere, by place. */
export interface Played {
  readonly agentExit: number | null;
  readonly receiverExit: number | null;
  /** Bytes by place: `outbox state/tollgate.sqlite`, `broker traffic`, `receiver records.jsonl` … */
  readonly places: ReadonlyMap<string, Uint8Array>;
  /** Rows of the receiver's JSON lines. */
  readonly rows: readonly ReceivedRow[];
  readonly folder: string;
  readonly messages: string;
}

/** One line of `tollgate receive --out`. */
export interface ReceivedRow {
  readonly stream: string;
  readonly seq: number;
  readonly time_ms: number;
  readonly window_ms: number;
  readonly values: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

const SETTLE_MS = 90_000;

/**
 * Plays a drive through real parts: mosquitto in a process of its own, `tollgate run`, `tollgate receive`, and a relay that keeps
 * every byte between agent and broker.
 *
 * @param folder empty folder of this run
 */
export async function playDrive(drive: DriveCase, folder: string, mosquitto: string): Promise<Played> {
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary);
  const env = { TMPDIR: temporary };
  writeFileSync(join(folder, 'campaign.yaml'), campaignText(drive));
  writeFileSync(join(folder, 'agreement.json'), agreementText(drive));
  const enrolled = tollgate(
    ['enroll', '--local', join(folder, 'keys'), '--recipient', RECIPIENT, '--trust', join(folder, 'agreement.json')],
    env,
  );
  if ((await enrolled.exited) !== 0) throw new Error(`enroll failed: ${enrolled.stderr()}`);

  const port = await freePort();
  const brokerLog = join(folder, 'mosquitto.log');
  writeFileSync(
    join(folder, 'mosquitto.conf'),
    `listener ${port} 127.0.0.1\nallow_anonymous true\nuser root\nlog_dest file ${brokerLog}\nlog_type all\n`,
  );
  const broker = start(mosquitto, ['-c', join(folder, 'mosquitto.conf')]);
  const relay = await Relay.to(port);
  await waitForPort(port);
  writeFileSync(join(folder, 'tollgate.yaml'), configText(drive, `mqtt://127.0.0.1:${relay.port}`));

  const receiver = tollgate(
    [
      'receive',
      '--keys',
      join(folder, 'keys', 'recipient'),
      '--broker',
      `mqtt://127.0.0.1:${port}`,
      '--db',
      join(folder, 'receiver.sqlite'),
      '--out',
      join(folder, 'records.jsonl'),
      '--until-idle',
      '5',
    ],
    env,
  );
  const agent = tollgate(['run', '--config', join(folder, 'tollgate.yaml')], env);
  const deadline = setTimeout(() => agent.child.kill('SIGKILL'), SETTLE_MS);
  const agentExit = await agent.exited;
  clearTimeout(deadline);
  const late = setTimeout(() => receiver.child.kill('SIGKILL'), SETTLE_MS);
  const receiverExit = await receiver.exited;
  clearTimeout(late);
  broker.child.kill('SIGTERM');
  await broker.exited;
  const traffic = relay.seen();
  await relay.close();

  const places = new Map<string, Uint8Array>([
    ['broker traffic', traffic],
    ['agent stdout', Buffer.from(agent.stdout(), 'latin1')],
    ['agent log', Buffer.from(agent.stderr(), 'latin1')],
    ['receiver stdout', Buffer.from(receiver.stdout(), 'latin1')],
    ['receiver stderr', Buffer.from(receiver.stderr(), 'latin1')],
  ]);
  for (const file of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (file.isFile()) {
      const path = join(file.parentPath, file.name);
      places.set(path.slice(folder.length + 1), readFileSync(path));
    }
  }
  const lines = Buffer.from(places.get('records.jsonl') ?? new Uint8Array()).toString('utf8');
  const rows = lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line): ReceivedRow => JSON.parse(line));
  return {
    agentExit,
    receiverExit,
    places,
    rows,
    folder,
    messages: `${agent.stderr()}\n${receiver.stderr()}\n${receiver.stdout()}`,
  };
}

async function waitForPort(port: number): Promise<void> {
  const { connect } = await import('node:net');
  for (let i = 0; i < 200; i++) {
    const up = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('the broker did not start');
}
