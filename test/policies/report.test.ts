import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { evaluateOdrl, loadOdrlTriples, type PolicyReport, reportJsonLd } from '#policies';
import type { Json } from './parts.ts';

const ALICE = 'http://example.org/alice';
const X = 'http://example.org/x';
const RULE = 'http://example.org/rule';
const DUTY = 'http://example.org/duty';
const ODRL = 'http://www.w3.org/ns/odrl.jsonld';

const bytes = (json: Json) => new TextEncoder().encode(JSON.stringify(json));
const triples = (json: Json) => loadOdrlTriples(bytes(json), { file: 'test.json' });

function policy(rule: Record<string, Json>, kind = 'permission', more: Record<string, Json> = {}): Json {
  return {
    '@context': ODRL,
    '@type': 'Set',
    uid: 'http://example.org/policy',
    ...more,
    [kind]: [{ '@id': RULE, ...rule }],
  };
}

function request(action = 'read', more: Record<string, Json> = {}): Json {
  const asked = { '@id': 'http://example.org/asked', assignee: ALICE, action, target: X, ...more };
  return { '@context': ODRL, '@type': 'Request', uid: 'http://example.org/request', permission: [asked] };
}

const now = (dateTime: string): Json => ({
  '@id': 'http://example.com/request/currentTime',
  'dct:issued': { '@value': dateTime, '@type': 'xsd:dateTime' },
});

function evaluate(own: Json, asked: Json = request(), state: Json = []): PolicyReport {
  const list = Array.isArray(state) ? state : [state];
  const reports = evaluateOdrl({
    policy: triples(own),
    request: triples(asked),
    state: list.flatMap((one) => triples(one)),
  });
  expect(reports).toHaveLength(1);
  return reports[0]!;
}

const rule = (report: PolicyReport) => report.rules[0]!;
const constrained = (constraint: Json) => policy({ action: 'use', constraint: [constraint] });
const atom = (leftOperand: string, operator: string, rightOperand: Json) => ({ leftOperand, operator, rightOperand });

describe('a rule of plain ODRL', () => {
  it('names nothing and holds for all', () => {
    expect(rule(evaluate(policy({})))).toMatchObject({
      activation: 'Active',
      control: 'Permit',
      attempt: 'Attempted',
      target: null,
      party: null,
      action: null,
    });
  });

  it('reports target, party and action each by itself', () => {
    const own = policy({ target: X, assignee: 'http://example.org/bob', action: 'print' });
    expect(rule(evaluate(own))).toMatchObject({
      target: 'Satisfied',
      party: 'Unsatisfied',
      action: 'Unsatisfied',
      activation: 'Inactive',
      control: 'Deny',
    });
  });

  it.each([
    ['use', 'read', true],
    ['use', 'display', true],
    ['play', 'display', true],
    ['read', 'use', false],
    ['use', 'sell', false],
    ['transfer', 'sell', true],
    ['modify', 'write', true],
    ['use', 'write', true],
    ['write', 'append', true],
    ['reproduce', 'copy', true],
    ['lease', 'lease', true],
    ['use', 'lease', false],
  ])('of the action %s, asked for %s: %s', (permitted, asked, active) => {
    expect(rule(evaluate(policy({ action: permitted }), request(asked))).activation).toBe(
      active ? 'Active' : 'Inactive',
    );
  });

  it('takes from its policy what it does not say itself', () => {
    const own = policy({ target: X }, 'permission', { assignee: 'http://example.org/bob', action: 'read' });
    expect(rule(evaluate(own))).toMatchObject({ party: 'Unsatisfied', action: 'Satisfied' });
  });

  it('reaches members of a collection by its source, its name or over steps', () => {
    const own = policy({
      assignee: { '@type': 'PartyCollection', '@id': 'http://example.org/team', source: 'http://example.org/list' },
      target: { '@type': 'AssetCollection', source: 'http://example.org/shelf' },
    });
    const part = (of: string, whole: string): Json => ({ '@id': of, partOf: whole });
    expect(rule(evaluate(own))).toMatchObject({ party: 'Unsatisfied', target: 'Unsatisfied' });
    const state = [
      part(ALICE, 'http://example.org/list'),
      part(X, 'http://example.org/box'),
      part('http://example.org/box', 'http://example.org/shelf'),
    ];
    expect(rule(evaluate(own, request(), state))).toMatchObject({ party: 'Satisfied', target: 'Satisfied' });
  });

  it('narrows a collection by refinements on its members', () => {
    const own = policy({
      target: {
        '@type': 'AssetCollection',
        source: 'http://example.org/shelf',
        refinement: [atom('fileFormat', 'eq', 'mp3')],
      },
    });
    const member = (fileFormat: string): Json => ({
      '@id': X,
      partOf: 'http://example.org/shelf',
      'odrl:fileFormat': fileFormat,
    });
    expect(rule(evaluate(own, request(), member('mp3'))).target).toBe('Satisfied');
    expect(rule(evaluate(own, request(), member('wav'))).target).toBe('Unsatisfied');
  });
});

describe('a constraint', () => {
  it.each([
    ['eq', '2024-01-01T01:00:00+01:00', true],
    ['neq', '2024-01-01T00:00:00Z', false],
    ['lt', '2024-01-01T00:00:00.001Z', true],
    ['lteq', '2024-01-01T00:00:00Z', true],
    ['gt', '2023-12-31T23:59:59Z', true],
    ['gteq', '2024-01-02', false],
  ])('on time, %s %s: %s', (operator, value, holds) => {
    const own = constrained(atom('dateTime', operator, { '@value': value, '@type': 'xsd:dateTime' }));
    const { constraints, activation } = rule(evaluate(own, request(), now('2024-01-01T00:00:00Z')));
    expect(constraints).toMatchObject([{ satisfaction: holds ? 'Satisfied' : 'Unsatisfied' }]);
    expect(activation).toBe(holds ? 'Active' : 'Inactive');
  });

  const research = (value: Json) => request('read', { constraint: [atom('purpose', 'eq', value)] });
  it.each<[string, Json, Json, boolean]>([
    ['isAnyOf', ['ex:a', 'ex:b'], 'ex:b', true],
    ['isNoneOf', ['ex:a', 'ex:b'], 'ex:b', false],
    ['isNoneOf', ['ex:a'], 'ex:b', true],
    ['isAllOf', ['ex:a', 'ex:b'], ['ex:b', 'ex:a', 'ex:c'], true],
    ['isAllOf', ['ex:a', 'ex:b'], ['ex:b'], false],
    ['isAnyOf', { '@list': ['ex:a', 'ex:b'] }, 'ex:a', true],
    ['isA', { '@id': 'http://example.org/kind' }, { '@id': 'http://example.org/sub' }, true],
    ['isPartOf', { '@id': 'http://example.org/whole' }, { '@id': 'http://example.org/sub' }, true],
    ['hasPart', { '@id': 'http://example.org/sub' }, { '@id': 'http://example.org/whole' }, true],
    ['hasPart', { '@id': 'http://example.org/whole' }, { '@id': 'http://example.org/sub' }, false],
  ])('on a purpose, %s %j of %j: %s', (operator, wanted, found, holds) => {
    const state = {
      '@id': 'http://example.org/sub',
      'skos:broader': { '@id': 'http://example.org/kind' },
      partOf: 'http://example.org/whole',
    };
    const { activation } = rule(evaluate(constrained(atom('purpose', operator, wanted)), research(found), state));
    expect(activation).toBe(holds ? 'Active' : 'Inactive');
  });

  it.each(['eq', 'neq', 'isNoneOf', 'lt'])('with %s on what nobody tells is not satisfied', (operator) => {
    expect(rule(evaluate(constrained(atom('purpose', operator, 'ex:a')))).activation).toBe('Inactive');
  });

  it.each([
    ['and', [true, true], true],
    ['and', [true, false], false],
    ['or', [false, true], true],
    ['xone', [true, true], false],
    ['xone', [false, true], true],
    ['andSequence', [true, true], true],
  ])('%s of %j: %s, with a report for each part', (logic, parts, holds) => {
    const before = (yes: boolean) =>
      atom('dateTime', yes ? 'lt' : 'gt', { '@value': '2030-01-01T00:00:00Z', '@type': 'xsd:dateTime' });
    const list = parts.map(before);
    const own = constrained({ [logic]: logic === 'andSequence' ? { '@list': list } : list });
    const { constraints, activation } = rule(evaluate(own, request(), now('2024-01-01T00:00:00Z')));
    expect(constraints).toHaveLength(3);
    expect(activation).toBe(holds ? 'Active' : 'Inactive');
  });
});

describe('a duty of a permission', () => {
  const own = policy({ action: 'read', duty: [{ '@id': DUTY, action: 'compensate' }] });
  const report = (deonticState: string, performanceState: string, about = DUTY): Json => ({
    'report:rule': { '@id': about },
    'report:deonticState': { '@id': `report:${deonticState}` },
    'report:performanceState': { '@id': `report:${performanceState}` },
  });

  it.each([
    ['Fulfilled', 'Performed', 'Active'],
    ['NonSet', 'Unknown', 'Inactive'],
    ['Violated', 'Unperformed', 'Inactive'],
  ])('%s and %s makes it %s', (deontic, performance, activation) => {
    const found = rule(evaluate(own, request(), report(deontic, performance)));
    expect(found).toMatchObject({ activation, duties: [{ rule: DUTY, deontic, performance, activation: 'Active' }] });
  });

  it('is unperformed where nobody reports of it, or of another only', () => {
    for (const state of [[], report('Fulfilled', 'Performed', 'http://example.org/other')]) {
      expect(rule(evaluate(own, request(), state))).toMatchObject({
        activation: 'Inactive',
        duties: [{ deontic: 'NonSet' }],
      });
    }
  });

  it('does not bind where its own constraint fails', () => {
    const sometimes = policy({
      action: 'read',
      duty: [
        {
          '@id': DUTY,
          action: 'compensate',
          constraint: [atom('dateTime', 'gt', { '@value': '2030-01-01', '@type': 'xsd:date' })],
        },
      ],
    });
    const found = rule(evaluate(sometimes, request(), now('2024-01-01T00:00:00Z')));
    expect(found).toMatchObject({ activation: 'Active', duties: [{ activation: 'Inactive' }] });
  });
});

describe('a prohibition', () => {
  it('denies where it is active, and beats a permission', () => {
    const both = {
      '@context': ODRL,
      uid: 'http://example.org/policy',
      permission: [{ '@id': RULE, action: 'use' }],
      prohibition: [{ '@id': 'http://example.org/no', action: 'read' }],
    };
    expect(evaluate(both)).toMatchObject({ decision: 'Deny', rules: [{ control: 'Permit' }, { control: 'Deny' }] });
    expect(evaluate(both, request('print'))).toMatchObject({ decision: 'Permit' });
  });
});

describe('a report', () => {
  it('is written in the vocabulary of the compliance reports', () => {
    const report = evaluate(policy({ target: X, action: 'read' }));
    expect(reportJsonLd(report, '2026-01-01T00:00:00Z')).toMatchObject({
      '@type': 'report:PolicyReport',
      'report:policy': { '@id': 'http://example.org/policy' },
      'report:ruleReport': [
        {
          '@type': 'report:PermissionReport',
          'report:activationState': { '@id': 'report:Active' },
          'report:premiseReport': [{ '@type': 'report:TargetReport' }, { '@type': 'report:ActionReport' }],
        },
      ],
    });
  });
});

describe('a damaged document of plain ODRL', () => {
  it('is read or refused with its place, never a crash', () => {
    const whole = JSON.stringify(
      policy({
        target: {
          '@type': 'AssetCollection',
          source: 'http://example.org/shelf',
          refinement: [atom('fileFormat', 'eq', 'mp3')],
        },
        action: [{ 'rdf:value': { '@id': 'odrl:print' }, refinement: [atom('resolution', 'lteq', 1200)] }],
        constraint: [
          { or: { '@list': [atom('dateTime', 'lt', '2030-01-01'), atom('purpose', 'isAnyOf', ['a', 'b'])] } },
        ],
      }),
    );
    const edit = fc.record({ at: fc.nat(whole.length), cut: fc.nat(12), put: fc.string({ maxLength: 6 }) });
    let refused = 0;
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        const text = edits.reduce((text, { at, cut, put }) => text.slice(0, at) + put + text.slice(at + cut), whole);
        try {
          const read = loadOdrlTriples(new TextEncoder().encode(text), { file: 'test.json' });
          evaluateOdrl({ policy: read, request: triples(request()), state: [] });
        } catch (error) {
          if (!(error instanceof TollgateError)) throw error;
          refused++;
        }
      }),
      { numRuns: 2000, seed: 5 },
    );
    expect(refused).toBeGreaterThan(500);
  });

  it('that is part of itself is read once', () => {
    const circle = { '@id': RULE, constraint: [{ '@id': 'ex:c', and: [{ '@id': 'ex:c' }, { '@id': 'ex:c' }] }] };
    expect(() => evaluate({ '@context': ODRL, uid: 'ex:p', permission: [circle] })).not.toThrow();
  });
});
