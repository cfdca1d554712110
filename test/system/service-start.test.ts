import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '#agent/config/load';
import { LEAF_RECORD } from '#wire/leaf';
import { kindsOf, unitFacts } from './examine.ts';
import { never, openService } from './service-parts.ts';
import { UBI, type UnitFolder, unitFolder } from './unit-folder.ts';

let folder: UnitFolder;
beforeEach(async () => {
  folder = await unitFolder({ seconds: 20, campaigns: [UBI] });
});
afterEach(() => folder.remove());

describe('a service whose sources play while it starts', () => {
  it('records what came meanwhile, once it stands', async () => {
    const service = await openService(folder.config({}), { playing: never() });
    await service.play(never());
    expect(await service.settle(never())).toBe(true);
    await service.end();
    const { records, audit } = await unitFacts(folder);
    expect(audit.findings).toEqual([]);
    expect(records.length).toBeGreaterThan(50);
  });

  it('records nothing where one of its files is missing: it starts whole or not at all', async () => {
    const config = await loadConfig(folder.config({ url: 'mqtts://127.0.0.1:1' }));
    const uplink = { ...config.uplink!, ca: folder.file('no-such-ca.pem') };
    const opening = openService(config.file, { config: { ...config, uplink }, playing: never() });
    await expect(opening).rejects.toMatchObject({ code: 'TG_CONFIG_FILE' });
    const facts = await unitFacts(folder);
    expect(facts.records).toEqual([]);
    expect(kindsOf(facts)[LEAF_RECORD]).toBeUndefined();
  });

  it('records nothing where a document is refused, and leaves the store to the next start', async () => {
    const config = await loadConfig(folder.config({}));
    const documents = { ...config.documents, agreements: [folder.file('no-such-agreement.json')] };
    const opening = openService(config.file, { config: { ...config, documents }, playing: never() });
    await expect(opening).rejects.toMatchObject({ code: 'TG_DOCUMENT_FILE' });
    const service = await openService(config.file, { playing: never() });
    await service.end();
  });
});
