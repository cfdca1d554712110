import { appendFileSync } from 'node:fs';
import { loadConfig } from '#agent/config/load';
import { logSource } from '#agent/sources/log';
import { Service } from '../../agent/service.ts';
import type { ProtocolState } from '../../agent/store/contract.ts';

// One life of an agent, in a process that kills itself when it reaches a state for the n-th time. What it learns to be
// durable it writes down first: `size root`, one line a commit.
// Arguments: configuration, file of promises, state, occurrence.

const [file, promises, state, occurrence] = process.argv.slice(2);
/** States of the store's own thread: it kills the process itself. */
const IN_THE_STORE = [
  'transaction-begun',
  'rows-written',
  'transaction-committed',
  'checkpoint-stored',
  'proof-stored',
  'puback-stored',
  'ack-stored',
];
const die = () => process.kill(process.pid, 'SIGKILL');
const config = await loadConfig(file!);
let reached = 0;
let service: Service | null = null;

function observe(now: ProtocolState): void {
  const due = now === state && !IN_THE_STORE.includes(now) && ++reached === Number(occurrence);
  if (now !== 'committed') return void (due && die());
  const head = service?.unit.store.head() ?? Promise.resolve(null);
  void head.then((committed) => {
    if (committed !== null)
      appendFileSync(promises!, `${committed.size} ${Buffer.from(committed.root).toString('hex')}\n`);
    if (due) die();
  });
}

service = await Service.open({
  config,
  log: { info: () => undefined, warn: () => undefined },
  version: '0.0.0',
  publishMs: 100,
  source: async ({ name, path, realtime }, channel) =>
    logSource({ name, path: path!, channel, realtime, bootId: new Uint8Array(8) }),
  // Each answer reaches the disk by itself, so that its state is met soon and often.
  gatherMs: 0,
  observe,
  ...(IN_THE_STORE.includes(state!)
    ? { faultAt: { state: state as ProtocolState, occurrence: Number(occurrence) } }
    : {}),
});
await service.play(new AbortController().signal);
await service.settle(new AbortController().signal);
await service.end();
process.stdout.write('lived to the end\n');
