import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it } from 'vitest';
import { serviceManager } from '../../firmware-bridge/service-manager.ts';
import { buildAddon } from '../../scripts/addons.mjs';
import { part } from '../parts.ts';

const python = part('python3');
const ready = python !== null && buildAddon(process.arch) !== null;
/** A datagram socket as systemd has it; prints each message as a line. */
const LISTENER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = sys.argv[1]
s.bind("\\0" + name[1:] if name[0] == "@" else name)
print("bound", flush=True)
while True:
    print(s.recv(4096).decode(), flush=True)
`;
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function listen(address: string): Promise<() => Promise<string>> {
  const child = spawn(python!, ['-c', LISTENER, address], { stdio: ['ignore', 'pipe', 'inherit'] });
  closers.push(() => child.kill());
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => String((await lines.next()).value);
  expect(await next()).toBe('bound');
  return next;
}

describe.skipIf(!ready)('a service manager that listens (needs the packages python3 and g++)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-notify-'));
  const places = [join(folder, 'notify'), `@tollgate-test-${process.pid}`];

  it.each(places)('hears what sd_notify says, at %s', async (socket) => {
    const next = await listen(socket);
    const manager = serviceManager({ socket, watchdogUsec: '30000000', watchdogPid: '77', pid: 77 });
    expect(manager).toMatchObject({ listens: true, watchdogMs: 30_000 });
    manager.ready();
    expect(await next()).toBe('READY=1');
    manager.status('2 sources\nWATCHDOG=trigger');
    expect(await next()).toBe('STATUS=2 sources WATCHDOG=trigger');
    manager.ping();
    expect(await next()).toBe('WATCHDOG=1');
    manager.stopping();
    expect(await next()).toBe('STOPPING=1');
    manager.status('x'.repeat(5_000));
    expect((await next()).length).toBe(500);
    expect(manager.failed).toBe(0);
  });

  it('is no reason to stop when it is gone', () => {
    const manager = serviceManager({ socket: join(folder, 'nobody'), pid: 1 });
    manager.ready();
    expect(manager.failed).toBe(1);
    rmSync(folder, { recursive: true });
  });
});

describe('without a service manager', () => {
  it.each([undefined, '', 'relative/path', '@'])('nothing is said (NOTIFY_SOCKET %s)', (socket) => {
    const sent: string[] = [];
    const manager = serviceManager({ socket, watchdogUsec: '1000000', pid: 1 }, (_, text) => void sent.push(text));
    manager.ready();
    expect(manager).toMatchObject({ listens: false, watchdogMs: null });
    expect(sent).toEqual([]);
  });

  it.each([
    ['30000000', '78'],
    ['0', undefined],
    ['soon', undefined],
    [undefined, undefined],
  ])('nobody watches (WATCHDOG_USEC %s, WATCHDOG_PID %s)', (watchdogUsec, watchdogPid) => {
    const manager = serviceManager({ socket: '/run/notify', watchdogUsec, watchdogPid, pid: 77 }, () => undefined);
    expect(manager.watchdogMs).toBeNull();
  });
});
