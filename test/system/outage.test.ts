import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ackVerifier } from '#agent/acks';
import { loadUnitKeys } from '#agent/keys';
import { createUplink } from '#agent/uplink';
import { PACKET, startTappedBroker } from '#sim/broker';
import { frames, minutes, openUnit } from '../agent/unit-parts.ts';
import { fastTiming } from '../agent/uplink-parts.ts';
import { unitFacts } from './examine.ts';
import { type QuickReceiver, quickReceiver } from './quick-receiver.ts';
import { keptLog, never, openService } from './service-parts.ts';
import { type UnitFolder, unitFolder } from './unit-folder.ts';

const CAMPAIGNS = [
  { name: 'speed', record: '100ms', priority: 3, signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] },
  { name: 'throttle', record: '150ms', priority: 5, signals: ['{ signal: "dbc:Motion.Throttle", operation: raw }'] },
];
const PROTOCOL = 4;
const HOUR_IN_SECONDS = 3_600;

/** Everything that the ledger has arrived, once, in the order of its stream, and is proven. */
async function allThere(unit: UnitFolder, receiver: QuickReceiver): Promise<void> {
  expect(await receiver.proven()).toBe(true);
  const facts = await unitFacts(unit);
  expect(facts.waiting).toBe(0);
  expect(facts.audit.findings).toEqual([]);
  expect(facts.records.length).toBeGreaterThan(0);
  expect(facts.metered).toBe(facts.records.length);
  const { records, disordered } = receiver.facts();
  expect(records).toEqual([...facts.records].sort());
  expect(disordered).toEqual([]);
  expect(receiver.alarms).toEqual([]);
}

describe('a broker that fails', () => {
  it('by refusing, gets everything once it takes connections', async () => {
    const { broker, tap } = await startTappedBroker();
    const unit = await unitFolder({ campaigns: CAMPAIGNS, seconds: 2 });
    const receiver = await quickReceiver(unit, broker.url, PROTOCOL);
    broker.refuse = true;
    const log = keptLog();
    const service = await openService(unit.config({ url: tap.url, protocol: PROTOCOL }), { log });
    await service.play(never());
    await service.unit.finish();
    expect((await service.unit.store.stats()).queued).toBeGreaterThan(30);
    await expect.poll(() => log.lines.map(({ fields }) => fields.code)).toContain('TG_BROKER_REFUSED');
    expect(receiver.facts().records).toEqual([]);
    broker.refuse = false;
    expect(await service.settle(never())).toBe(true);
    await service.end();
    await allThere(unit, receiver);
    await receiver.close();
    await tap.close();
    await broker.close();
    unit.remove();
  });

  it.each(['cut-before', 'cut-inside', 'cut-after'] as const)(
    'by closing in the middle of a publication (%s), gets each record and in order',
    async (verdict) => {
      const { broker, tap } = await startTappedBroker();
      const unit = await unitFolder({ campaigns: CAMPAIGNS, seconds: 3 });
      const receiver = await quickReceiver(unit, broker.url, PROTOCOL);
      let publications = 0;
      let cuts = 0;
      tap.judge = (direction, type) => {
        if (direction !== 'to-broker' || type !== PACKET.publish || ++publications % 17 !== 0 || cuts === 2)
          return 'pass';
        cuts++;
        return verdict;
      };
      const service = await openService(unit.config({ url: tap.url, protocol: PROTOCOL }));
      await service.play(never());
      expect(await service.settle(never())).toBe(true);
      await service.end();
      expect(cuts).toBe(2);
      await allThere(unit, receiver);
      await receiver.close();
      await tap.close();
      await broker.close();
      unit.remove();
    },
  );

  it('by going away while the unit drives, gets what was made meanwhile', async () => {
    const { broker, tap } = await startTappedBroker();
    const unit = await unitFolder({ campaigns: CAMPAIGNS, seconds: 3 });
    const receiver = await quickReceiver(unit, broker.url, PROTOCOL);
    const service = await openService(unit.config({ url: tap.url, protocol: PROTOCOL, realtime: true }));
    const played = service.play(never());
    await expect.poll(() => receiver.facts().records.length).toBeGreaterThan(0);
    tap.refuse = true;
    tap.cut();
    await sleep(1_000);
    const during = await service.unit.store.stats();
    expect(service.uplink!.status().connected).toBe(false);
    expect(during.queued + during.inflight + during.pubacked).toBeGreaterThan(5);
    tap.refuse = false;
    await played;
    expect(await service.settle(never())).toBe(true);
    expect(service.uplink!.status().connects).toBeGreaterThan(1);
    await service.end();
    await allThere(unit, receiver);
    await receiver.close();
    await tap.close();
    await broker.close();
    unit.remove();
  });

  it('by staying away for an hour, gets the whole hour, session by session', async () => {
    const { broker, tap } = await startTappedBroker();
    const folder = await unitFolder({
      campaigns: [{ name: 'hour', record: '2s', signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] }],
    });
    const receiver = await quickReceiver(folder, broker.url, PROTOCOL);
    const unit = await openUnit(folder, { live: false, publishMs: 1_000 });
    const { recipients } = await loadUnitKeys(folder.keys);
    // An hour of back-off passes in 3.6 s.
    const timing = fastTiming(1_000);
    const uplink = createUplink({
      store: unit.store,
      link: { url: tap.url, protocol: PROTOCOL },
      tenant: 't1',
      pseudonym: unit.pseudonym,
      window: 64,
      verifyAck: ackVerifier(unit.store, recipients),
      timing,
    });
    tap.refuse = true;
    uplink.start();
    const beganMs = timing.monotonicMs();
    for (let second = 0; second <= HOUR_IN_SECONDS; second += 60) {
      await unit.frames(frames(minutes(second, 60, 1_000)), 0);
    }
    await unit.finish();
    while (timing.monotonicMs() - beganMs < HOUR_IN_SECONDS * 1_000) await sleep(20);
    expect(uplink.status()).toMatchObject({ connected: false, published: 0 });
    const { queued } = await unit.store.stats();
    expect(queued).toBeGreaterThan(HOUR_IN_SECONDS / 2);
    tap.refuse = false;
    expect(await uplink.settle(60_000 * 1_000)).toBe(true);
    await uplink.close();
    await unit.close();
    await allThere(folder, receiver);
    expect(receiver.receiver.status().sessions).toBe(2);
    await receiver.close();
    await tap.close();
    await broker.close();
    folder.remove();
  });
});
