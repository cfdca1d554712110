import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { agreement, agreementJson, agreementOf, atom, CONTEXT, type Json, permit, prohibit } from './parts.ts';

const SPEED = 'vss:Vehicle.Speed';

function refusal(work: () => unknown): TollgateError {
  try {
    work();
  } catch (error) {
    if (error instanceof TollgateError) return error;
    throw error;
  }
  throw new Error('was not refused');
}

const withConstraint = (constraint: Json) => () => agreement({ permission: [permit('#p1', SPEED, [constraint])] });
const withRule = (rule: Record<string, Json>) => () =>
  agreement({ permission: [{ target: SPEED, action: 'distribute', ...rule }] });

describe('an agreement', () => {
  it('is read with its parties, rules, demands and the hash of its bytes', () => {
    const read = agreement({
      permission: [
        permit(
          '#p1',
          [SPEED, 'dbc:ID_140.THROTTLE'],
          [atom('purpose', 'isA', 'auto:UbiInsurance')],
          [atom('auto:aggregationWindow', 'gteq', 'PT1S')],
        ),
      ],
      prohibition: [prohibit('#n1', 'dbc:ID_D0.STEER_ANGLE')],
    });
    expect(read).toMatchObject({ type: 'Agreement', version: 1, assignee: 'did:web:insurer.example', warnings: [] });
    expect(read.permissions[0]).toMatchObject({
      uid: '#p1',
      targets: [SPEED, 'dbc:ID_140.THROTTLE'],
      actions: ['distribute'],
      demands: [{ operand: 'auto:aggregationWindow', atLeast: 1000 }],
    });
    expect(read.prohibitions[0]).toMatchObject({ uid: '#n1', targets: ['dbc:ID_D0.STEER_ANGLE'], actions: ['use'] });
    expect(read.hash).toHaveLength(32);
  });

  it('takes typed literals, references, lists of one without brackets and logical constraints', () => {
    const read = agreement({
      permission: {
        target: { '@id': SPEED }['@id'],
        action: 'distribute',
        constraint: {
          or: [
            atom('dateTime', 'lt', { '@value': '2027-01-01T00:00:00+01:00', '@type': 'xsd:dateTime' }),
            {
              andSequence: {
                '@list': [atom('purpose', 'isA', { '@id': 'auto:Research' }), atom('auto:ignition', 'eq', 'on')],
              },
            },
          ],
        },
      },
    });
    expect(read.permissions[0]!.uid).toBe('#permission/0');
    expect(read.permissions[0]!.condition).toMatchObject({
      parts: [{ op: 'or', parts: [{ op: 'atom' }, { op: 'and' }] }],
    });
    expect(read.warnings[0]).toMatch(/andSequence is read as and/);
  });

  it('notes a purpose that the profile does not know, with the one it may mean', () => {
    const read = agreement({ permission: [permit('#p1', SPEED, [atom('purpose', 'isA', 'auto:UbiInsurence')])] });
    expect(read.warnings[0]).toMatch(/auto:UbiInsurence.*did you mean "auto:UbiInsurance"/);
  });
});

describe('a refused agreement', () => {
  it('names code, pointer, line, column and the word that was meant', () => {
    const error = refusal(withConstraint(atom('auto:vehicleSpeeed', 'lt', 30)));
    expect(error.code).toBe('TG_POLICY_UNKNOWN_OPERAND');
    expect(error.place.pointer).toBe('/permission/0/constraint/0/leftOperand');
    expect(error.remedy).toMatch(/did you mean "auto:vehicleSpeed"\?/);
    const text = JSON.stringify(
      agreementJson({ permission: [permit('#p1', SPEED, [atom('auto:vehicleSpeeed', 'lt', 30)])] }),
      null,
      1,
    );
    const line = text.split('\n')[error.place.line! - 1]!;
    expect(line.slice(error.place.column! - 1)).toMatch(/^"auto:vehicleSpeeed"/);
  });

  it.each<[string, () => unknown, string, string]>([
    [
      'an operator',
      withConstraint(atom('purpose', 'isAn', 'x:y')),
      'TG_POLICY_UNKNOWN_OPERATOR',
      '/permission/0/constraint/0/operator',
    ],
    [
      'an operator that its operand does not take',
      withConstraint(atom('dateTime', 'isA', '2027-01-01T00:00:00Z')),
      'TG_POLICY_UNKNOWN_OPERATOR',
      '/permission/0/constraint/0/operator',
    ],
    ['an action', withRule({ action: 'distrbute' }), 'TG_POLICY_UNKNOWN_ACTION', '/permission/0/action'],
    ['to actuate', withRule({ action: 'actuate' }), 'TG_POLICY_UNSUPPORTED', '/permission/0/action'],
    ['a key', withRule({ targets: SPEED }), 'TG_POLICY_UNKNOWN_KEY', '/permission/0/targets'],
    ['a remedy of a permission', withRule({ remedy: [] }), 'TG_POLICY_UNKNOWN_KEY', '/permission/0/remedy'],
    [
      'a duty of no known kind',
      withRule({ duty: [{ action: 'delet' }] }),
      'TG_POLICY_UNKNOWN_ACTION',
      '/permission/0/duty/0/action',
    ],
    [
      'a duty to delete under a condition',
      withRule({ duty: [{ action: 'delete', constraint: [atom('dateTime', 'lt', '2027-01-01T00:00:00Z')] }] }),
      'TG_POLICY_UNSUPPORTED',
      '/permission/0/duty/0/constraint',
    ],
    [
      'more stars than anyone could follow',
      withRule({ target: 'vss:*.*.*.*.*.*.*' }),
      'TG_POLICY_VALUE',
      '/permission/0/target',
    ],
    [
      'a counter that is one of two',
      withConstraint({ or: [atom('count', 'lteq', 5), atom('auto:ignition', 'eq', 'on')] }),
      'TG_POLICY_UNSUPPORTED',
      '/permission/0/constraint',
    ],
    [
      'a counter on a prohibition',
      () => agreement({ prohibition: [prohibit('#n1', SPEED, [atom('count', 'lteq', 5)])] }),
      'TG_POLICY_UNSUPPORTED',
      '/prohibition/0/constraint',
    ],
    [
      'a party collection without members',
      withRule({ assignee: { '@type': 'PartyCollection', uid: 'urn:x:insurers' } }),
      'TG_POLICY_VALUE',
      '/permission/0/assignee',
    ],
    [
      'a party narrowed by what is not of a party',
      withRule({
        assignee: { '@type': 'Party', uid: 'did:web:a.example', refinement: [atom('auto:ignition', 'eq', 'on')] },
      }),
      'TG_POLICY_UNSUPPORTED',
      '/permission/0/assignee/refinement',
    ],
    [
      'a layer that makes it law',
      () => agreement({ 'auto:layer': 'law', permission: [permit('#p1', SPEED)] }),
      'TG_POLICY_VALUE',
      '/auto:layer',
    ],
    ['another assigner', withRule({ assigner: 'did:key:zOther' }), 'TG_POLICY_UNSUPPORTED', '/permission/0/assigner'],
    ['a target of no kind', withRule({ target: 'Vehicle.Speed' }), 'TG_POLICY_VALUE', '/permission/0/target'],
    [
      'a rule without target',
      () => agreement({ permission: [{ action: 'distribute' }] }),
      'TG_POLICY_VALUE',
      '/permission/0',
    ],
    [
      'a time without zone',
      withConstraint(atom('dateTime', 'lt', '2027-01-01T00:00:00')),
      'TG_POLICY_VALUE',
      '/permission/0/constraint/0/rightOperand',
    ],
    [
      'a day that is none',
      withConstraint(atom('dateTime', 'lt', '2027-02-30T00:00:00Z')),
      'TG_POLICY_VALUE',
      '/permission/0/constraint/0/rightOperand',
    ],
    [
      'a demand from above',
      () => agreement({ permission: [permit('#p1', SPEED, [], [atom('auto:precision', 'lteq', 10)])] }),
      'TG_POLICY_UNKNOWN_OPERATOR',
      '/permission/0/action/0/refinement/0',
    ],
    [
      'a demand that is one of two',
      () =>
        agreement({
          permission: [
            permit(
              '#p1',
              SPEED,
              [],
              [{ or: [atom('auto:precision', 'gteq', 10), atom('auto:sampling', 'gteq', 'PT1S')] }],
            ),
          ],
        }),
      'TG_POLICY_UNSUPPORTED',
      '/permission/0/action/0/refinement/0',
    ],
    [
      'a prohibition of what happens elsewhere',
      () => agreement({ prohibition: [prohibit('#n', SPEED, [], 'train')] }),
      'TG_POLICY_UNSUPPORTED',
      '/prohibition/0/action',
    ],
    ['a profile', () => agreement({ profile: 'https://w3id.org/other' }), 'TG_POLICY_PROFILE', '/profile'],
    ['a conflict strategy', () => agreement({ conflict: 'perm' }), 'TG_POLICY_CONFLICT', '/conflict'],
    ['a type', () => agreement({ '@type': 'Agrement' }), 'TG_POLICY_TYPE', '/@type'],
    [
      'a context that is not pinned',
      () => agreement({ '@context': [...CONTEXT, 'https://example.org/more.jsonld'] as unknown as Json }),
      'TG_POLICY_CONTEXT',
      '/@context',
    ],
    ['no rule at all', () => agreement(), 'TG_POLICY_VALUE', ''],
    [
      'two rules of one uid',
      () => agreement({ permission: [permit('#a', SPEED), permit('#a', SPEED)] }),
      'TG_POLICY_VALUE',
      '/permission/1/uid',
    ],
  ])('may hold %s', (_, work, code, pointer) => {
    const error = refusal(work);
    expect([error.code, error.place.pointer]).toEqual([code, pointer]);
    expect(error.place.line).toBeGreaterThan(0);
  });

  it.each(['elapsedTime', 'auto:consentScope', 'auto:maxStatusAge'])(
    'may use %s, which this version cannot enforce, and is told so by name',
    (operand) => {
      const error = refusal(withConstraint(atom(operand, 'lteq', 3)));
      expect(error.code).toBe('TG_POLICY_UNSUPPORTED');
      expect(error.message).toContain(`"${operand}"`);
    },
  );

  it.each([
    ['{"a":1,}', '1:8'],
    ['{"a":1}{', '1:8'],
    ['{"a":"\u0001"}', '1:7'],
    ['{"a":01}', '1:7'],
    ['{\n "a":1,\n "a":2}', '3:2'],
    ['', '1:1'],
    ['[1,2', '1:5'],
  ])('may be no JSON: %j at %s', (text, place) => {
    const error = refusal(() => agreementOf(text));
    expect(error.code).toBe('TG_POLICY_SYNTAX');
    expect(`${error.place.line}:${error.place.column}`).toBe(place);
  });

  it('may be nested beyond reason', () => {
    expect(refusal(() => agreementOf(`${'['.repeat(100_000)}`)).code).toBe('TG_POLICY_SYNTAX');
  });
});

describe('the JSON reader', () => {
  it('reads every JSON text as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), (json) => {
        // A document that parses is refused for its meaning, never for its syntax.
        const error = refusal(() => agreementOf(json));
        return error.code !== 'TG_POLICY_SYNTAX' || /each key once/.test(error.message);
      }),
      { numRuns: 300, seed: 7 },
    );
  });
});

describe('a damaged agreement', () => {
  const whole = JSON.stringify(
    agreementJson({
      permission: [
        permit(
          '#p1',
          [SPEED],
          [
            atom('purpose', 'isA', 'auto:UbiInsurance'),
            { xone: [atom('auto:ignition', 'eq', 'on'), atom('auto:dayOfWeek', 'isAnyOf', ['mon'])] },
          ],
          [atom('auto:aggregationWindow', 'gteq', 'PT1S')],
        ),
        {
          uid: '#p2',
          target: {
            '@type': 'AssetCollection',
            uid: 'vss:Vehicle.*.Brake',
            'auto:member': ['vss:**.Angle', 'dbc:M*.S'],
            refinement: [atom('auto:sensitivity', 'lteq', 'personal')],
          },
          assignee: {
            '@type': 'PartyCollection',
            uid: 'urn:x:some',
            'auto:member': ['did:web:a.example'],
            refinement: [atom('auto:recipientCredit', 'gteq', 3)],
          },
          action: [{ value: 'distribute', refinement: [atom('auto:rate', 'lteq', 2)] }],
          constraint: [atom('count', 'lteq', 100), atom('auto:region', 'isPartOf', 'auto:EU')],
          duty: [
            {
              action: 'delete',
              constraint: [atom('elapsedTime', 'lteq', 'P30D')],
              consequence: [{ action: 'inform' }],
            },
          ],
        },
      ],
      prohibition: [
        prohibit('#n1', 'vss:Vehicle.CurrentLocation', [
          atom('auto:position', 'isPartOf', {
            '@type': 'auto:Circle',
            'auto:latitude': 52,
            'auto:longitude': 13,
            'auto:radius': 500,
          }),
        ]),
      ],
    }),
  );

  it('is read or refused as a whole, never a crash', () => {
    expect(() => agreementOf(whole)).not.toThrow();
    const edit = fc.record({ at: fc.nat(whole.length), cut: fc.nat(12), put: fc.string({ maxLength: 6 }) });
    let refused = 0;
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        const text = edits.reduce((text, { at, cut, put }) => text.slice(0, at) + put + text.slice(at + cut), whole);
        try {
          agreementOf(text);
        } catch (error) {
          if (!(error instanceof TollgateError)) throw error;
          refused++;
        }
      }),
      { numRuns: 3000, seed: 42 },
    );
    expect(refused).toBeGreaterThan(1000);
  });

  it('is never read where one of its words was changed', () => {
    const words = [
      'permission',
      'prohibition',
      'leftOperand',
      'operator',
      'rightOperand',
      'refinement',
      'distribute',
      'auto:ignition',
      'isAnyOf',
      'xone',
      'assignee',
      'auto:radius',
    ];
    for (const word of words) {
      expect(refusal(() => agreementOf(whole.replace(`"${word}"`, `"${word}x"`))).place.pointer).toBeDefined();
    }
  });
});
