import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compilePlan, createGate, loadAgreement, loadCampaign } from '#policies';
import { catalogueOf, signal } from './parts.ts';

const ROOM = new URL('../../policies/', import.meta.url);
const EXAMPLE = `const plan = compilePlan({
  campaigns: [loadCampaign(campaignText, { file: 'campaign.yaml' })],
  agreements: [loadAgreement(agreementBytes, { file: 'agreement.json' })],
  lawPacks: [],
  signals,
  context: { speed: 'Vehicle.Speed' },
  nowUtcMs: null,
});
const gate = createGate(plan);
gate.admits(0, 0); // false: the speed that the permission asks for is not known yet
gate.context(0, 0, 50);
gate.admits(0, 0); // true`;

describe('the example of the README', () => {
  it('stands there as it runs here', () => {
    expect(readFileSync(new URL('README.md', ROOM), 'utf8')).toContain(EXAMPLE);
  });

  it('does what it says', () => {
    const campaignText = readFileSync(new URL('examples/insurance/campaign.yaml', ROOM), 'utf8').replace(
      /^expires:.*\n/m,
      '',
    );
    const agreementBytes = readFileSync(new URL('examples/insurance/agreement.json', ROOM));
    const signals = catalogueOf([signal('Vehicle.Speed', 'VehicleMotion.Speed', { unit: 'km/h' })]);
    const plan = compilePlan({
      campaigns: [loadCampaign(campaignText, { file: 'campaign.yaml' })],
      agreements: [loadAgreement(agreementBytes, { file: 'agreement.json' })],
      lawPacks: [],
      signals,
      context: { speed: 'Vehicle.Speed' },
      nowUtcMs: null,
    });
    const gate = createGate(plan);
    expect(gate.admits(0, 0)).toBe(false);
    gate.context(0, 0, 50);
    expect(gate.admits(0, 0)).toBe(true);
  });
});
