import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { loadCampaign } from '#policies';

const WHOLE = `# what an insurer asks for
campaign: insurer-ubi
version: 1
recipient: did:web:insurer.example
purpose: auto:UbiInsurance
priority: 3
expires: 2027-01-01T00:00:00Z
trigger: { every: 100ms }
signals:
  - { signal: Vehicle.Speed, operation: aggregate, window: PT1S, results: [min, max, mean, count, last] }
  - { signal: "dbc:ID_140.THROTTLE", operation: raw }
  - { signal: Vehicle.CurrentLocation.Latitude, operation: cloak, cell: 200 }
context: [Vehicle.CurrentLocation.Heading]
record: { every: 1s }
`;

const load = (text: string) => loadCampaign(text, { file: 'campaign.yaml' });

function refusal(text: string): TollgateError {
  try {
    load(text);
  } catch (error) {
    if (error instanceof TollgateError) return error;
    throw error;
  }
  throw new Error('was not refused');
}

describe('a campaign', () => {
  it('is read with durations in ms', () => {
    expect(load(WHOLE)).toMatchObject({
      campaign: 'insurer-ubi',
      priority: 3,
      expiresMs: Date.UTC(2027, 0, 1),
      everyMs: 100,
      recordMs: 1000,
      context: ['Vehicle.CurrentLocation.Heading'],
      signals: [
        {
          signal: 'Vehicle.Speed',
          operation: 'aggregate',
          windowMs: 1000,
          results: ['min', 'max', 'mean', 'count', 'last'],
        },
        { signal: 'dbc:ID_140.THROTTLE', operation: 'raw' },
        { operation: 'cloak', cellMetres: 200 },
      ],
    });
  });

  it('has a priority, a period and a record span where it names none', () => {
    const bare = WHOLE.replace(/^(priority|expires|trigger|context|record):.*\n/gm, '');
    expect(load(bare)).toMatchObject({ priority: 3, expiresMs: null, everyMs: 0, recordMs: 1000, context: [] });
  });
});

describe('an entry of a campaign', () => {
  const entry = (text: string) =>
    load(WHOLE.replace(/signals:\n( {2}- .*\n)+/, `signals:\n  - { signal: Vehicle.Speed, ${text} }\n`)).signals[0];

  it.each([
    ['operation: raw, every: 2s, deadband: 0.5, precision: 5', { everyMs: 2000, deadband: 0.5, step: 5 }],
    ['operation: raw, trim: { time: 2min, distance: 300 }', { trim: { timeMs: 120_000, metres: 300 } }],
    ['operation: pseudonymise, rotate: 1d', { rotateMs: 86_400_000 }],
    [
      'operation: noise, window: 1min, epsilon: 0.5, range: [0, 200]',
      { windowMs: 60_000, epsilonMicro: 500_000, range: [0, 200] },
    ],
  ])('may be "%s"', (text, wanted) => {
    expect(entry(text)).toMatchObject(wanted);
  });

  it.each([
    ['operation: aggregate, window: 1s, results: [mean], deadband: 1', '/signals/0/deadband'],
    ['operation: raw, precision: 0', '/signals/0/precision'],
    ['operation: raw, trim: {}', '/signals/0/trim'],
    ['operation: pseudonymise, rotate: 2d', '/signals/0/rotate'],
    ['operation: noise, window: 1s, epsilon: 0, range: [0, 1]', '/signals/0/epsilon'],
    ['operation: noise, window: 1s, epsilon: 1, range: [1, 0]', '/signals/0/range'],
    ['operation: noise, window: 1s, epsilon: 1', '/signals/0'],
  ])('may not be "%s"', (text, pointer) => {
    const fault = () => entry(text);
    expect(fault).toThrow(TollgateError);
    expect(
      refusal(WHOLE.replace(/signals:\n( {2}- .*\n)+/, `signals:\n  - { signal: Vehicle.Speed, ${text} }\n`)).place
        .pointer,
    ).toBe(pointer);
  });

  it('is told to 100 µs where the record asks for it', () => {
    expect(load(WHOLE.replace('record: { every: 1s }', 'record: { every: 1s, resolution: 100us }')).ticksPerMs).toBe(
      10,
    );
    expect(load(WHOLE).ticksPerMs).toBeUndefined();
    expect(
      refusal(WHOLE.replace('record: { every: 1s }', 'record: { every: 1s, resolution: 1us }')).place.pointer,
    ).toBe('/record/resolution');
  });
});

describe('a refused campaign', () => {
  it('names pointer, line, column and the nearest key', () => {
    const error = refusal(WHOLE.replace('results:', 'result:'));
    expect(error.code).toBe('TG_CAMPAIGN_UNKNOWN_KEY');
    expect(error.place).toEqual({ file: 'campaign.yaml', line: 10, column: 66, pointer: '/signals/0/result' });
    expect(error.remedy).toMatch(/did you mean "results"\?/);
  });

  it.each([
    ['recipient: did:web:insurer.example', 'recipient: insurer', '/recipient'],
    ['priority: 3', 'priority: 8', '/priority'],
    ['version: 1', 'version: 1.5', '/version'],
    ['campaign: insurer-ubi', 'campaign: Insurer UBI', '/campaign'],
    ['expires: 2027-01-01T00:00:00Z', 'expires: tomorrow', '/expires'],
    ['every: 100ms', 'every: 100', '/trigger/every'],
    ['every: 1s', 'every: 0', '/record'],
    ['window: PT1S', 'window: 0s', '/signals/0/window'],
    ['[min, max,', '[min, min,', '/signals/0/results'],
    ['[min, max,', '[min, maxx,', '/signals/0/results/1'],
    ['operation: raw', 'operation: rwa', '/signals/1/operation'],
    ['operation: raw', 'operation: raw, window: 1s', '/signals/1/window'],
    ['operation: raw', 'operation: aggregate, window: 1s', '/signals/1'],
    ['dbc:ID_140.THROTTLE', 'vss:Vehicle.Speed', '/signals/1/signal'],
    ['dbc:ID_140.THROTTLE', 'Vehicle.Speed', '/signals/1'],
    ['cell: 200', 'cell: 0', '/signals/2/cell'],
    ['trigger: { every: 100ms }', 'trigger: { when: "Vehicle.Speed > 20" }', '/trigger/when'],
  ])('may hold "%s" as "%s"', (from, to, pointer) => {
    const error = refusal(WHOLE.replace(from, to));
    expect(error.place.pointer).toBe(pointer);
    expect(error.code).toMatch(/^TG_CAMPAIGN_(VALUE|UNKNOWN_KEY)$/);
  });

  it.each([
    ['a broken flow', WHOLE.replace('{ every: 1s }', '{ every: 1s'), 'TG_CAMPAIGN_SYNTAX'],
    ['a key twice', `${WHOLE}version: 2\n`, 'TG_CAMPAIGN_SYNTAX'],
    ['an anchor', WHOLE.replace('version: 1', 'version: &v 1'), 'TG_CAMPAIGN_SYNTAX'],
    [
      'an alias',
      WHOLE.replace('version: 1', 'version: &v 1').replace('priority: 3', 'priority: *v'),
      'TG_CAMPAIGN_SYNTAX',
    ],
    ['a tag', WHOLE.replace('version: 1', 'version: !secret 1'), 'TG_CAMPAIGN_SYNTAX'],
    ['nothing', '', 'TG_CAMPAIGN_VALUE'],
    ['two documents', `${WHOLE}---\n${WHOLE}`, 'TG_CAMPAIGN_SYNTAX'],
    ['a well without bottom', '['.repeat(20_000), 'TG_CAMPAIGN_SYNTAX'],
  ])('may be %s', (_, text, code) => {
    expect(refusal(text).code).toBe(code);
  });

  it('may be a period that decimate lacks', () => {
    const text = WHOLE.replace('operation: raw', 'operation: decimate').replace('trigger: { every: 100ms }\n', '');
    expect(refusal(text).message).toMatch(/decimate needs a period/);
  });
});

describe('a damaged campaign', () => {
  it('is read or refused, never a crash', () => {
    const edit = fc.record({ at: fc.nat(WHOLE.length), cut: fc.nat(10), put: fc.string({ maxLength: 5 }) });
    let refused = 0;
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        const text = edits.reduce((text, { at, cut, put }) => text.slice(0, at) + put + text.slice(at + cut), WHOLE);
        try {
          load(text);
        } catch (error) {
          if (!(error instanceof TollgateError)) throw error;
          refused++;
        }
      }),
      { numRuns: 1500, seed: 43 },
    );
    expect(refused).toBeGreaterThan(500);
  });
});
