import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadReceiverKeys, type ReceiverAlarm, type ReceiverService, SqliteStore, startReceiver } from '#receiver';
import { anyBroker } from './brokers.ts';
import { receiverFacts, unitFacts } from './examine.ts';
import { never, openService } from './service-parts.ts';
import { INSURER, type UnitFolder, unitFolder, WORKSHOP } from './unit-folder.ts';

const CAMPAIGNS = [
  { name: 'insurer', recipient: INSURER, record: '200ms', signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] },
  {
    name: 'workshop',
    recipient: WORKSHOP,
    record: '500ms',
    signals: ['{ signal: "dbc:Battery.Charge", operation: raw }'],
  },
];
const AGREEMENTS = [
  { uid: 'urn:uuid:00000000-0000-4000-8000-00000000aa01', assignee: INSURER, permit: ['dbc:Motion.Speed'] },
  { uid: 'urn:uuid:00000000-0000-4000-8000-00000000aa02', assignee: WORKSHOP, permit: ['dbc:Battery.Charge'] },
];

interface End {
  readonly service: ReceiverService;
  readonly alarms: ReceiverAlarm[];
  readonly file: string;
  close(): Promise<void>;
}

async function receiverOf(unit: UnitFolder, index: number, url: string, protocol: 4 | 5): Promise<End> {
  const folder = unit.recipients[index]!;
  const file = join(folder, 'receiver.sqlite');
  const store = new SqliteStore(file);
  const alarms: ReceiverAlarm[] = [];
  const service = await startReceiver({
    url,
    protocol,
    keys: await loadReceiverKeys(folder),
    store,
    alarm: (alarm) => alarms.push(alarm),
  });
  const close = async () => {
    await service.close();
    await store.close();
  };
  return { service, alarms, file, close };
}

describe('two recipients at one broker', () => {
  it('each open their own stream and pass over the other’s, without an alarm', async () => {
    const { url, protocol, stop } = await anyBroker();
    const unit = await unitFolder({
      campaigns: CAMPAIGNS,
      agreements: AGREEMENTS,
      recipients: [INSURER, WORKSHOP],
      seconds: 2,
    });
    const ends = [await receiverOf(unit, 0, url, protocol), await receiverOf(unit, 1, url, protocol)];
    const service = await openService(unit.config({ url, protocol }));
    await service.play(never());
    expect(await service.settle(never())).toBe(true);
    await service.end();
    await expect.poll(() => ends.map((end) => end.service.status().proven), { timeout: 10_000 }).toEqual([10, 4]);
    for (const { service: end, alarms } of ends) {
      expect(alarms).toEqual([]);
      expect(end.status()).toMatchObject({ sessions: 1, others: 1, refused: 0, alarms: 0, waiting: 0 });
    }
    for (const end of ends) await end.close();
    const facts = await unitFacts(unit);
    const received = ends.flatMap(({ file }) => receiverFacts(file).records);
    expect(received.sort()).toEqual([...facts.records].sort());
    await stop();
    unit.remove();
  });
});
