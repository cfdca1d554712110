import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { connectMqtt } from '#firmware-bridge/mqtt';
import { startBroker } from '#sim/broker';
import { documentTopic } from '#wire';
import { grant, say } from '../policies/consent-parts.ts';
import { keptLog, never, openService } from '../system/service-parts.ts';
import { campaignText, UBI_AGREEMENT, type UnitFolder, unitFolder } from '../system/unit-folder.ts';
import { pinIssuers } from './control-parts.ts';

const RAW = { name: 'ubi', record: '100ms', signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] };
const CHARGE = { name: 'battery', record: '100ms', signals: ['{ signal: "dbc:Battery.Charge", operation: raw }'] };

const cleanUps: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A broker that counts what units send as records, sessions and proofs. */
async function broker() {
  const running = await startBroker();
  cleanUps.push(() => running.close());
  const sent: string[] = [];
  running.onMessage((topic) => {
    if (topic.includes('/tx/')) sent.push(topic);
  });
  return { url: running.url, sent };
}

async function send(url: string, pseudonym: string, bytes: Uint8Array): Promise<void> {
  const owner = await connectMqtt({
    url,
    protocol: 4,
    clientId: 'owner',
    keepalive: 30,
    onMessage: () => undefined,
    onClose: () => undefined,
  });
  await owner.publish(documentTopic('t1', pseudonym), bytes, { retain: false });
  await owner.end();
}

async function folderOf(more: Parameters<typeof unitFolder>[0] = {}): Promise<UnitFolder> {
  const folder = await unitFolder({ campaigns: [RAW], agreements: [], seconds: 2, ...more });
  cleanUps.push(() => folder.remove());
  return folder;
}

describe('an agent with a broker', () => {
  it('whose state folder is yesterday’s sends nothing, is suspended, and says why', async () => {
    const { url, sent } = await broker();
    const folder = await folderOf();
    pinIssuers(folder);
    const config = folder.config({ url, protocol: 4 });
    const first = await openService(config);
    await expect.poll(() => first.uplink!.status().connected).toBe(true);
    await send(url, first.unit.pseudonym, grant({ targets: ['dbc:Motion.Speed'] }));
    await expect.poll(() => first.plan.streams.length).toBe(1);
    await first.play(never());
    await first.stop();
    expect(sent.length).toBeGreaterThan(0);
    cpSync(folder.state, folder.file('yesterday'), { recursive: true });

    const second = await openService(config);
    await expect.poll(() => second.uplink!.status().connected).toBe(true);
    await send(url, second.unit.pseudonym, say('withdraw', 2));
    await expect.poll(() => second.plan.streams.length).toBe(0);
    await second.stop();

    rmSync(folder.state, { recursive: true });
    cpSync(folder.file('yesterday'), folder.state, { recursive: true });
    sent.length = 0;
    const log = keptLog();
    const third = await openService(config, { log });
    expect(third.plan.streams).toEqual([]);
    expect(third.uplink!.status().suspended).toMatchObject({ reason: 'rolled back' });
    expect(log.lines).toContainEqual({ event: 'consent-rolled-back', fields: { code: 'TG_CONSENT_ROLLBACK' } });
    await expect.poll(() => third.uplink!.status().connected).toBe(true);
    await third.play(never());
    await third.unit.finish();
    await third.stop();
    expect(sent).toEqual([]);
  });

  it('takes a campaign in and lets one go without a stop, and keeps all of it where one document is refused', async () => {
    const folder = await folderOf({ agreements: [UBI_AGREEMENT], seconds: 60 });
    const service = await openService(folder.config({ realtime: true }));
    cleanUps.push(() => service.end());
    const campaigns = () => service.plan.streams.map(({ campaign }) => campaign);
    expect(campaigns()).toEqual(['ubi']);
    writeFileSync(folder.file('campaigns/battery.yaml'), campaignText(CHARGE));
    await service.reload();
    expect(campaigns().sort()).toEqual(['battery', 'ubi']);
    writeFileSync(folder.file('campaigns/other.yaml'), 'campaign: other\nversion: 1\nunknown: word\n');
    await expect(service.reload()).rejects.toThrow('unknown');
    expect(campaigns().sort()).toEqual(['battery', 'ubi']);
    rmSync(folder.file('campaigns/other.yaml'));
    rmSync(folder.file('campaigns/ubi.yaml'));
    await service.reload();
    expect(campaigns()).toEqual(['battery']);
  });
});
