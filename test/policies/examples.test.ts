import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadDatabase, loadMapping, signalCatalogue } from '#dbc';
import { compilePlan, explainSignal, loadAgreement, loadCampaign } from '#policies';

const EXAMPLES = new URL('../../policies/examples/', import.meta.url);
const DATABASES = new URL('../../dbc/databases/', import.meta.url);
/** Cases are about rules; the examples' agreements have no end, the campaigns one far away. */
const NOW = Date.UTC(2026, 0, 1);

const text = (url: URL) => readFileSync(url, 'utf8');
const folders = (url: URL) =>
  readdirSync(url, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);

const file = 'tollgate-vehicle.dbc';
const { database } = loadDatabase(readFileSync(new URL(file, DATABASES)), { file });
const mapping = loadMapping(text(new URL('tollgate-vehicle.mapping.yaml', DATABASES)), {
  file: 'tollgate-vehicle.mapping.yaml',
});
const signals = signalCatalogue([{ name: 'can0', database, mapping }]);

const agreements = folders(EXAMPLES)
  .map((name) => new URL(`${name}/agreement.json`, EXAMPLES))
  .filter((url) => existsSync(url))
  .map((url) => loadAgreement(readFileSync(url), { file: url.pathname }));

describe('the example agreements', () => {
  const cases = folders(EXAMPLES).flatMap((example) => {
    const url = new URL(`${example}/cases/`, EXAMPLES);
    return existsSync(url)
      ? folders(url).map((name): [string, URL] => [`${example}: ${name}`, new URL(`${name}/`, url)])
      : [];
  });

  it.each(cases)('%s', (_, folder) => {
    const campaign = loadCampaign(text(new URL('campaign.yaml', folder)), { file: 'campaign.yaml' });
    const context: Record<string, string> = JSON.parse(text(new URL('context.json', folder)));
    const plan = compilePlan({ campaigns: [campaign], agreements, lawPacks: [], signals, context, nowUtcMs: NOW });
    const explained = campaign.signals.map(({ signal }) => {
      const [answer, ...more] = explainSignal(plan, [signal]);
      expect(more).toEqual([]);
      const { sent, agreement, rule, how, conditions } = answer!;
      return { signal, sent, agreement, rule, how, conditions };
    });
    expect({ signals: explained, raised: plan.raised }).toEqual(JSON.parse(text(new URL('expected.json', folder))));
  });

  it('each have cases', () => {
    expect(new Set(cases.map(([name]) => name.split(':')[0]))).toEqual(new Set(folders(EXAMPLES)));
  });
});
