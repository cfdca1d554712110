import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { trustAgreements } from '#agent/keys';
import type { ServiceStatus } from '#agent/status';
import { buildAddon } from '../../scripts/addons.mjs';
import { tollgate } from './processes.ts';
import { agreementText, type UnitFolder, unitFolder } from './unit-folder.ts';

const DATABASE = fileURLToPath(new URL('../../dbc/databases/tollgate-gnss.dbc', import.meta.url));
const PATHS = ['Vehicle.CurrentLocation.Latitude', 'Vehicle.CurrentLocation.Longitude'];

let unit: UnitFolder;
const closers: (() => void)[] = [];
beforeEach(async () => {
  unit = await unitFolder();
});
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
  unit.remove();
});

describe.skipIf(buildAddon(process.arch) === null)('an agent with a gpsd (needs the package g++)', () => {
  it('records positions that an agreement permits, knows the time, and tells neither in its status', async () => {
    const report = () =>
      `{"class":"TPV","mode":3,"time":"${new Date().toISOString()}","lat":48.137154,"lon":11.576124,"eph":4.2}\n`;
    const gpsd = createServer((socket) => {
      const timer = setInterval(() => socket.write(report()), 200);
      socket.on('close', () => clearInterval(timer));
      socket.on('error', () => socket.destroy());
      closers.push(() => socket.destroy());
    }).listen(0, '127.0.0.1');
    closers.push(() => gpsd.close());
    await once(gpsd, 'listening');
    const { port } = gpsd.address() as AddressInfo;
    const agreement = agreementText({
      uid: 'urn:uuid:00000000-0000-4000-8000-00000000aa01',
      permit: PATHS.map((path) => `vss:${path}`),
    });
    writeFileSync(unit.file('agreements/a0.json'), agreement);
    await trustAgreements(unit.keys, [createHash('sha256').update(agreement).digest('hex')]);
    writeFileSync(
      unit.file('campaigns/ubi.yaml'),
      `campaign: ubi
version: 1
recipient: did:web:insurer.example
purpose: auto:UbiInsurance
priority: 3
signals:
${PATHS.map((path) => `  - { signal: ${path}, operation: raw }\n`).join('')}record: { every: 1s }
`,
    );
    const config = unit.file('gnss.yaml');
    const mapping = DATABASE.replace('.dbc', '.mapping.yaml');
    writeFileSync(
      config,
      JSON.stringify({
        version: 1,
        unit: { state: './state', keys: './keys/unit' },
        sources: [{ name: 'gnss', type: 'gnss', dbc: DATABASE, mapping }],
        gnss: { gpsd: `127.0.0.1:${port}` },
        context: { ignition: 'assume-on' },
        documents: { campaigns: ['campaigns/*.yaml'], agreements: ['agreements/*.json'] },
        store: { groupCommit: '50ms' },
      }),
    );
    const agent = tollgate(['run', '--config', config]);
    closers.push(() => agent.child.kill('SIGKILL'));
    await agent.shows(/"first-frame"/);
    const ask = async (...more: string[]) => {
      const asked = tollgate(['status', '--config', config, ...more]);
      await asked.exited;
      return asked.stdout();
    };
    let status: ServiceStatus = JSON.parse(await ask('--json'));
    const samples = () => status.meter.reduce((sum, { fields }) => sum + (fields[PATHS[0]!] ?? 0), 0);
    while (samples() < 5) {
      await sleep(100);
      status = JSON.parse(await ask('--json'));
    }
    expect(status.health?.gnss).toMatchObject({ connected: true, refused: 0 });
    expect(status.health?.time.source).toBe('gnss');
    expect(status.health?.time.errorMs).toBeLessThan(1_000);
    for (const text of [JSON.stringify(status), await ask(), agent.stderr()]) {
      expect(text).not.toMatch(/48\.13|481371|11\.57|115761/);
    }
    agent.child.kill('SIGTERM');
    expect(await agent.exited).toBe(0);
  }, 60_000);
});
