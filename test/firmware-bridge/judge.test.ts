import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { TimeBounds } from '../../firmware-bridge/mqtt/judge.ts';
import { connectMqtt } from '../../firmware-bridge/mqtt.ts';
import { authority, OPENSSL } from './certificates.ts';

/** Certificates of 2090, seen from a host whose clock says now: what a host at 1970 sees of those of today. */
const BEGINS = '20900101000000Z';
const ENDS = '20910101000000Z';
const ms = (text: string) => Date.parse(`${text.slice(0, 4)}-01-01T00:00:00Z`);
const UNKNOWN: TimeBounds = { lowestMs: ms(BEGINS) - 1, highestMs: null };
const CONF = `[ca]
default_ca=d
[d]
new_certs_dir=.
database=index.txt
rand_serial=yes
default_md=sha256
policy=p
unique_subject=no
[p]
commonName=supplied
[root]
basicConstraints=critical,CA:TRUE
[leaf]
basicConstraints=CA:FALSE
subjectAltName=IP:127.0.0.1
[client]
subjectAltName=IP:127.0.0.1
extendedKeyUsage=clientAuth
[other]
subjectAltName=DNS:other.example
`;

const folder = mkdtempSync(join(tmpdir(), 'tollgate-future-'));
afterAll(() => rmSync(folder, { recursive: true }));
const run = (...args: string[]) => spawnSync('openssl', args, { cwd: folder, stdio: 'ignore' });
const read = (file: string) => readFileSync(join(folder, file), 'utf8');
const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
const dates = ['-startdate', BEGINS, '-enddate', ENDS, '-batch', '-notext', '-config', 'ca.cnf'];

if (OPENSSL) {
  writeFileSync(join(folder, 'ca.cnf'), CONF);
  writeFileSync(join(folder, 'index.txt'), '');
  run('req', '-new', ...EC, '-keyout', 'ca.key', '-out', 'ca.csr', '-subj', '/CN=future CA');
  run('ca', '-selfsign', '-keyfile', 'ca.key', '-in', 'ca.csr', '-out', 'ca.pem', '-extensions', 'root', ...dates);
  for (const name of ['leaf', 'client', 'other', 'root']) {
    run('req', '-new', ...EC, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const signer = ['-cert', 'ca.pem', '-keyfile', 'ca.key', '-extensions', name];
    run('ca', ...signer, '-in', `${name}.csr`, '-out', `${name}.pem`, ...dates);
  }
}

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A broker that takes every CONNECT of 3.1.1; `bytes` is what reached it behind TLS. */
async function broker(name: string): Promise<{ url: string; bytes: () => number }> {
  let bytes = 0;
  const sockets = new Set<TLSSocket>();
  const server = createServer({ cert: read(`${name}.pem`), key: read(`${name}.key`), minVersion: 'TLSv1.3' });
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      socket.write(Buffer.from([0x20, 2, 0, 0]));
    });
  });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `mqtts://127.0.0.1:${(server.address() as AddressInfo).port}`, bytes: () => bytes };
}

async function connect(url: string, time: TimeBounds | null, ca = read('ca.pem')): Promise<'connected' | string> {
  const tls = { ca, ...(time === null ? {} : { time: () => time }) };
  try {
    const options = { url, protocol: 4, clientId: 'unit', keepalive: 30, tls } as const;
    const link = await connectMqtt({ ...options, onMessage: () => undefined, onClose: () => undefined });
    link.reset();
    return 'connected';
  } catch (error) {
    return `${(error as { code: string }).code} ${(error as Error).message}`;
  }
}

describe.skipIf(!OPENSSL)(
  'a broker whose certificate begins after what the clock of the host says (needs openssl)',
  () => {
    it('is refused where nobody knows better', async () => {
      const { url, bytes } = await broker('leaf');
      expect(await connect(url, null)).toMatch(/^TG_BROKER_TLS/);
      expect(bytes()).toBe(0);
    });

    it('is taken where the floor shows that the clock is wrong: the first boot gets its session', async () => {
      const { url, bytes } = await broker('leaf');
      expect(await connect(url, UNKNOWN)).toBe('connected');
      expect(bytes()).toBeGreaterThan(0);
    });

    it('is taken where satellites tell the time', async () => {
      const { url } = await broker('leaf');
      expect(await connect(url, { lowestMs: ms(BEGINS) + 5e3, highestMs: ms(BEGINS) + 6e3 })).toBe('connected');
    });

    it.each([
      ['it expired before the floor', 'leaf', { lowestMs: ms(ENDS) + 1, highestMs: null }, /expired/],
      ['it is not valid yet', 'leaf', { lowestMs: ms(BEGINS) - 9, highestMs: ms(BEGINS) - 1 }, /not valid yet/],
      ['it is of another host', 'other', UNKNOWN, /is not of/],
      ['it is of a client', 'client', UNKNOWN, /of no server/],
    ])('is refused where %s, and hears nothing', async (_, name, time, reason) => {
      const { url, bytes } = await broker(name);
      const said = await connect(url, time);
      expect(said).toMatch(/^TG_BROKER_TLS/);
      expect(said).toMatch(reason);
      expect(bytes()).toBe(0);
    });

    it('is refused where another CA is configured, also one of the same name', async () => {
      const { url, bytes } = await broker('leaf');
      const other = authority('future CA');
      expect(await connect(url, UNKNOWN, other.ca)).toMatch(/no configured CA/);
      expect(await connect(url, UNKNOWN, '')).toMatch(/no configured CA/);
      expect(bytes()).toBe(0);
      other.remove();
    });

    it('is judged by OpenSSL alone where the clock may be right', async () => {
      const { url } = await broker('leaf');
      expect(await connect(url, { lowestMs: 0, highestMs: null })).toMatch(/^TG_BROKER_TLS/);
    });
  },
);
