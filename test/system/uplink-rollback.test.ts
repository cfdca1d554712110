import { cpSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LEAF_ACK, sha256 } from '#wire';
import { anyBroker } from './brokers.ts';
import { unitFacts } from './examine.ts';
import { quickReceiver } from './quick-receiver.ts';
import { keptLog, never, openService } from './service-parts.ts';
import { unitFolder } from './unit-folder.ts';

describe('a disk that is put back as it was yesterday', () => {
  it('is noticed by the unit at the first answer of a recipient; it suspends, says so, and stays so', async () => {
    const broker = await anyBroker();
    const unit = await unitFolder({ seconds: 2 });
    const config = unit.config({ url: broker.url, protocol: broker.protocol });
    const live = async () => {
      const log = keptLog();
      const service = await openService(config, { log });
      await service.play(never());
      return { service, log };
    };
    const receiver = await quickReceiver(unit, broker.url, broker.protocol);

    const yesterday = await live();
    expect(await yesterday.service.settle(never())).toBe(true);
    await yesterday.service.end();
    cpSync(unit.state, unit.file('copy'), { recursive: true });
    for (let day = 0; day < 3; day++) {
      const today = await live();
      expect(await today.service.settle(never())).toBe(true);
      await today.service.end();
    }
    expect(await receiver.proven()).toBe(true);
    const seen = Math.max(...receiver.acks.map(({ checkpointSize }) => checkpointSize));
    await receiver.close();

    rmSync(unit.state, { recursive: true });
    cpSync(unit.file('copy'), unit.state, { recursive: true });
    const before = await unitFacts(unit);
    expect(before.audit.findings).toEqual([]);

    const answers = await quickReceiver(unit, broker.url, broker.protocol);
    const back = await live();
    const { service } = back;
    await service.unit.finish();
    const status = () => service.uplink!.status();
    await expect.poll(() => status().suspended, { timeout: 20_000 }).not.toBeNull();
    expect(status().suspended).toMatchObject({ reason: 'rolled back', code: 'TG_UPLINK_ROLLED_BACK', seen });
    expect(status().suspended!.size).toBeLessThan(seen);
    await expect.poll(() => existsSync(join(unit.state, 'suspended.json'))).toBe(true);
    expect(back.log.lines.map(({ fields }) => fields.code)).toContain('TG_UPLINK_ROLLED_BACK');
    const { published } = status();
    await service.end();

    // The answer that says so is in the ledger, and kept.
    const { evidence } = JSON.parse(readFileSync(join(unit.state, 'suspended.json'), 'utf8')) as { evidence: string };
    const after = await unitFacts(unit);
    expect(after.audit.findings).toEqual([]);
    const leaves = after.leaves.filter(({ kind }) => kind === LEAF_ACK).map(({ bodyHash }) => Buffer.from(bodyHash));
    expect(leaves.some((hash) => hash.equals(sha256(Buffer.from(evidence, 'base64'))))).toBe(true);
    expect(published).toBeGreaterThan(0);

    const again = await live();
    await again.service.unit.finish();
    await expect.poll(() => again.service.uplink!.status().connected).toBe(true);
    expect(again.service.uplink!.status()).toMatchObject({
      published: 0,
      suspended: { code: 'TG_UPLINK_ROLLED_BACK' },
    });
    expect(again.log.lines.map(({ event }) => event)).toContain('uplink-suspended');
    await again.service.end();
    await answers.close();
    await broker.stop();
    unit.remove();
  });
});
