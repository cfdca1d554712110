import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { type Agreement, type ImportTerms, importPolicy, loadAgreement } from '#policies';
import type { Json } from './parts.ts';

const TERMS: ImportTerms = {
  uid: 'urn:uuid:00000000-0000-4000-8000-000000000001',
  version: 3,
  assigner: 'did:key:zOwner',
  assignee: 'did:web:partner.example',
  targets: ['vss:Vehicle.Powertrain'],
  partners: { BPNL000000000001: 'did:web:one.example' },
  mode: 'odrl-any',
};
const CX = [
  'https://w3id.org/catenax/2025/9/policy/odrl.jsonld',
  'https://w3id.org/catenax/2025/9/policy/context.jsonld',
];

const document = (more: Record<string, Json>): Uint8Array =>
  new TextEncoder().encode(JSON.stringify({ '@context': CX, '@type': 'Set', '@id': 'some-id', ...more }));
const atom = (leftOperand: string, operator: string, rightOperand: Json) => ({ leftOperand, operator, rightOperand });
const use = (...constraint: Json[]): Json => ({ action: 'use', constraint });

function imported(
  bytes: Uint8Array,
  change: Partial<ImportTerms> = {},
): { agreement: Agreement; notes: readonly string[] } {
  const { text, notes } = importPolicy(bytes, { ...TERMS, ...change }, { file: 'cx.json' });
  return { agreement: loadAgreement(new TextEncoder().encode(text), { file: 'imported.json' }), notes };
}

function refusal(work: () => unknown): TollgateError {
  try {
    work();
  } catch (error) {
    if (error instanceof TollgateError) return error;
    throw error;
  }
  throw new Error('was not refused');
}

const texts = ({ permissions }: Agreement) => JSON.stringify(permissions.map(({ condition }) => condition));

describe('a policy of a data space', () => {
  it('becomes an agreement on the signals that the owner names', () => {
    const { agreement } = imported(
      document({ permission: [use(atom('UsagePurpose', 'isAnyOf', ['cx.pcf.base:1', 'cx.dcm.base:1']))] }),
    );
    expect(agreement).toMatchObject({ version: 3, assignee: 'did:web:partner.example' });
    expect(agreement.permissions).toMatchObject([{ targets: ['vss:Vehicle.Powertrain'], actions: ['use'] }]);
    expect(texts(agreement)).toContain('purpose isAnyOf [cx.pcf.base:1, cx.dcm.base:1]');
  });

  it.each<[Json, string]>([
    [atom('BusinessPartnerNumber', 'isAnyOf', ['BPNL000000000001']), 'recipient isAnyOf did:web:one.example'],
    [atom('Membership', 'eq', 'active'), 'auto:recipientRole eq cx:ActiveMember'],
    [atom('DataUsageEndDate', 'eq', '2027-10-04T12:30:00Z'), 'dateTime lteq 2027-10-04T12:30:00.000Z'],
    [atom('DataUsageEndDurationDays', 'eq', 2), 'dateTime lteq 1970-01-03T00:00:00.000Z'],
    [
      atom('https://w3id.org/edc/v0.0.1/ns/inForceDate', 'lteq', 'contractAgreement+1d'),
      'dateTime lteq 1970-01-02T00:00:00.000Z',
    ],
    [atom('dateTime', 'lteq', '2027-12-31T06:00Z'), 'dateTime lteq 2027-12-31T06:00:00.000Z'],
  ])('with %j holds to %s', (constraint, text) => {
    expect(texts(imported(document({ permission: [use(constraint)] }), { agreedMs: 0 }).agreement)).toContain(text);
  });

  it('counts what may be fetched once', () => {
    const { agreement } = imported(
      document({ permission: [use(atom('DataFrequency', 'eq', 'cx.dataFrequency.once:1'))] }),
    );
    expect(agreement.permissions[0]!.budgets).toMatchObject([{ counts: 'count', limit: 1 }]);
  });

  it('ends with its provision, whatever it permits', () => {
    const bytes = document({
      permission: [use(), use(atom('UsagePurpose', 'eq', 'cx.pcf.base:1'))],
      obligation: [use({ and: [atom('DataProvisioningEndDate', 'eq', '2027-10-04T12:30:00Z')] })],
    });
    for (const { condition } of imported(bytes).agreement.permissions) {
      expect(JSON.stringify(condition)).toContain('dateTime lteq 2027-10-04');
    }
  });

  it.each<[string, Json]>([
    ['FrameworkAgreement', atom('FrameworkAgreement', 'eq', 'DataExchangeGovernance:1.0')],
    ['UsageRestriction', atom('UsageRestriction', 'isAllOf', ['cx.thirdParty.forbidden:1'])],
    ['BusinessPartnerNumber', atom('BusinessPartnerNumber', 'isAnyOf', ['BPNL999999999999'])],
    ['DataUsageEndDurationDays', atom('DataUsageEndDurationDays', 'eq', 2)],
    ['dateTime', atom('dateTime', 'lteq', '2027-12-31T06:00')],
    ['partner', atom('partner', 'eq', 'gold')],
  ])('is refused by the name of %s, with its place, where the unit cannot hold it', (name, constraint) => {
    const error = refusal(() =>
      imported(document({ permission: [use(atom('UsagePurpose', 'eq', 'a'), { and: [constraint] })] })),
    );
    expect(error.code).toBe('TG_POLICY_UNSUPPORTED');
    expect(error.message).toContain(`${name}: `);
    expect(error.place.pointer).toBe('/permission/0/constraint/1/and/0');
  });

  it('takes a term of the contract as met where the owner has agreed to that value, and notes it', () => {
    const agreed = {
      FrameworkAgreement: ['DataExchangeGovernance:1.0'],
      UsageRestriction: ['cx.thirdParty.forbidden:1'],
    };
    const bytes = document({
      permission: [use(atom('FrameworkAgreement', 'eq', 'DataExchangeGovernance:1.0'))],
      prohibition: [use(atom('UsageRestriction', 'isAllOf', ['cx.thirdParty.forbidden:1']))],
    });
    const { agreement, notes } = imported(bytes, { agreed });
    expect(agreement.prohibitions).toEqual([]);
    expect(notes).toHaveLength(2);
    const other = document({ permission: [use(atom('FrameworkAgreement', 'eq', 'Other:1.0'))] });
    expect(refusal(() => imported(other, { agreed })).message).toContain('FrameworkAgreement');
  });

  it('wants every permission to hold as a connector does, or any as ODRL does', () => {
    const bytes = document({
      permission: [use(atom('UsagePurpose', 'eq', 'a')), use(atom('DataUsageEndDate', 'eq', '2027-10-04T12:30:00Z'))],
    });
    expect(imported(bytes).agreement.permissions).toHaveLength(2);
    const [one, ...rest] = imported(bytes, { mode: 'edc-all' }).agreement.permissions;
    expect(rest).toEqual([]);
    expect(JSON.stringify(one)).toMatch(/purpose eq a.*dateTime lteq/);
  });

  it('is read in the prefixed form of EDC and out of a message', () => {
    const edc = {
      '@context': {
        '@vocab': 'https://w3id.org/edc/v0.0.1/ns/',
        odrl: 'http://www.w3.org/ns/odrl/2/',
        'cx-policy': 'https://w3id.org/catenax/policy/',
      },
      '@type': 'odrl:Agreement',
      '@id': 'urn:x:1',
      'odrl:permission': {
        'odrl:action': { '@id': 'odrl:use' },
        'odrl:constraint': {
          'odrl:leftOperand': { '@id': 'cx-policy:UsagePurpose' },
          'odrl:operator': { '@id': 'odrl:eq' },
          'odrl:rightOperand': 'cx.pcf.base:1',
        },
      },
    };
    expect(texts(imported(new TextEncoder().encode(JSON.stringify(edc))).agreement)).toContain(
      'purpose eq cx.pcf.base:1',
    );
  });

  it.each<[string, Record<string, Json>]>([
    ['a duty', { permission: [{ action: 'use', duty: [{ action: 'compensate' }] }] }],
    ['another action', { permission: [{ action: 'sell' }] }],
    [
      'a refined action',
      { permission: [{ action: { 'rdf:value': { '@id': 'odrl:use' }, refinement: [atom('count', 'lteq', 1)] } }] },
    ],
    ['no permission', { prohibition: [{ action: 'use' }] }],
    [
      'a choice over a contract',
      {
        permission: [
          use({ xone: [atom('DataFrequency', 'eq', 'cx.dataFrequency.unlimited:1'), atom('UsagePurpose', 'eq', 'a')] }),
        ],
      },
    ],
  ])('with %s is refused whole', (_, more) => {
    expect(refusal(() => imported(document(more))).code).toBe('TG_POLICY_UNSUPPORTED');
  });

  it('when damaged is imported into what loads, or refused, never a crash', () => {
    const whole = new TextDecoder().decode(
      document({
        permission: [
          use({
            and: [atom('UsagePurpose', 'isAnyOf', ['a', 'b']), atom('DataUsageEndDate', 'eq', '2027-10-04T12:30:00Z')],
          }),
        ],
        obligation: [use(atom('DataProvisioningEndDate', 'eq', '2027-10-04T12:30:00Z'))],
      }),
    );
    const edit = fc.record({ at: fc.nat(whole.length), cut: fc.nat(12), put: fc.string({ maxLength: 6 }) });
    let refused = 0;
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        const text = edits.reduce((text, { at, cut, put }) => text.slice(0, at) + put + text.slice(at + cut), whole);
        try {
          imported(new TextEncoder().encode(text));
        } catch (error) {
          if (!(error instanceof TollgateError)) throw error;
          refused++;
        }
      }),
      { numRuns: 2000, seed: 9 },
    );
    expect(refused).toBeGreaterThan(500);
  });
});
