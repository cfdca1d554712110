import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import {
  accept,
  type ConsentState,
  consentCredential,
  emptyState,
  inForce,
  type Judge,
  readConsentDocument,
  standingCredential,
  versionKey,
} from '#policies/consent/index';
import { MAX_STATUS_AGE_MS } from '#policies/credentials/index';
import {
  BUYER,
  DAY,
  grant,
  INSURER,
  JUDGE,
  LIST,
  limit,
  list,
  NONE,
  NOW,
  OWNER,
  RATER,
  rate,
  STRANGER,
  say,
  sell,
  signed,
  UID,
} from './consent-parts.ts';

const OTHER = 'urn:uuid:00000000-0000-4000-8000-00000000bb02';
const HOUR = 3_600_000;

/** What the unit knows after these documents, in this order. */
function stateAfter(...documents: readonly Uint8Array[]): ConsentState {
  return documents.reduce((state, bytes) => judged(state, bytes).state, emptyState(OWNER.did));
}
const judged = (state: ConsentState, bytes: Uint8Array, judge: Judge = JUDGE) =>
  accept(state, readConsentDocument(bytes, 'c.jwt', NONE), judge);
function refusedWith(state: ConsentState, bytes: Uint8Array, judge: Judge = JUDGE): string {
  try {
    judged(state, bytes, judge);
  } catch (error) {
    if (error instanceof TollgateError) {
      expect(error.place.pointer, error.message).toMatch(/^\//);
      expect(error.remedy).not.toBe('');
      return error.code;
    }
    throw error;
  }
  return 'taken';
}
const uids = (state: ConsentState, nowMs: number | null = NOW) =>
  inForce(state, nowMs).agreements.map(({ uid }) => uid);

describe('a consent', () => {
  it('is in force from the owner’s grant until the owner’s withdrawal', () => {
    const given = stateAfter(grant());
    expect(uids(given)).toEqual([UID]);
    const { state, withdrawn, acts } = judged(given, say('withdraw', 2));
    expect(uids(state)).toEqual([]);
    expect(withdrawn).toEqual([UID]);
    expect(acts).toEqual([{ act: 'withdraw', agreement: UID }]);
  });

  it('is refused from anybody but the owner, and a stranger uses up no version', () => {
    const state = stateAfter(grant());
    expect(refusedWith(state, grant({ version: 7 }, {}, STRANGER))).toBe('TG_CONSENT_OWNER');
    expect(refusedWith(state, say('withdraw', 9, UID, STRANGER))).toBe('TG_CONSENT_OWNER');
    expect(refusedWith(emptyState(null), grant())).toBe('TG_CONSENT_OWNER');
    expect(refusedWith(state, say('withdraw', 2))).toBe('taken');
  });

  it('is refused for ever at a lower or equal version, whatever came between', () => {
    const old = grant({ version: 3 });
    const state = stateAfter(old);
    for (const version of [1, 2, 3]) expect(refusedWith(state, grant({ version }))).toBe('TG_CONSENT_VERSION');
    const gone = stateAfter(old, say('withdraw', 4));
    expect(refusedWith(gone, old)).toBe('TG_CONSENT_VERSION');
    expect(refusedWith(gone, say('withdraw', 4))).toBe('TG_CONSENT_VERSION');
    expect(refusedWith(gone, grant({ version: 5 })), 'its key is destroyed').toBe('TG_CONSENT_ENDED');
  });

  it('does not come when its withdrawal overtook it', () => {
    const state = stateAfter(say('withdraw', 2));
    expect(refusedWith(state, grant({ version: 1 }))).toBe('TG_CONSENT_VERSION');
    expect(refusedWith(state, grant({ version: 3 }))).toBe('TG_CONSENT_ENDED');
  });

  it('counts versions of each agreement apart', () => {
    expect(uids(stateAfter(grant({ version: 9 }), grant({ uid: OTHER, version: 1 })))).toEqual([UID, OTHER]);
  });

  it('is narrowed by a limit, and a limit that widens is refused', () => {
    const state = stateAfter(
      grant({ targets: ['dbc:Motion.Speed', 'dbc:Battery.Charge'], deny: ['dbc:Steering.Angle'] }),
    );
    expect(refusedWith(state, limit({ version: 2, targets: ['dbc:Motion.Speed'], deny: ['dbc:Steering.Angle'] }))).toBe(
      'taken',
    );
    expect(refusedWith(state, limit({ version: 2, targets: ['dbc:Motion.Speed'] }))).toBe('TG_CONSENT_LIMIT');
    expect(
      refusedWith(state, limit({ version: 2, targets: ['dbc:Steering.Angle'], deny: ['dbc:Steering.Angle'] })),
    ).toBe('TG_CONSENT_LIMIT');
    expect(refusedWith(state, limit({ version: 2, targets: ['dbc:Not.There'], deny: ['dbc:Steering.Angle'] }))).toBe(
      'TG_CONSENT_LIMIT',
    );
    expect(refusedWith(state, limit({ uid: OTHER }))).toBe('TG_CONSENT_LIMIT');
  });

  it('rests while the owner suspends it, and a new text does not wake it', () => {
    const resting = stateAfter(grant(), say('suspend', 2));
    expect(inForce(resting, NOW)).toMatchObject({
      agreements: [],
      suspended: [{ agreement: UID, reason: 'the owner suspended it' }],
    });
    expect(uids(stateAfter(grant(), say('suspend', 2), grant({ version: 3 })))).toEqual([]);
    expect(uids(stateAfter(grant(), say('suspend', 2), say('resume', 3)))).toEqual([UID]);
    expect(refusedWith(resting, say('resume', 2))).toBe('TG_CONSENT_VERSION');
  });

  it('for another unit is refused', () => {
    const other = 'tollgate/ffffffffffffffff';
    expect(refusedWith(emptyState(OWNER.did), grant({}, {}, OWNER, { unit: other }))).toBe('TG_CONSENT_UNIT');
    expect(refusedWith(stateAfter(grant()), say('withdraw', 2, UID, OWNER, { unit: other }))).toBe('TG_CONSENT_UNIT');
    expect(refusedWith(emptyState(OWNER.did), sell(BUYER, 1, OWNER, other))).toBe('TG_CONSENT_UNIT');
  });

  it('of a drive stops with the ignition: its permissions ask for it', () => {
    const state = stateAfter(grant({}, {}, OWNER, { scope: 'drive' }));
    const [agreement] = inForce(state, NOW).agreements;
    expect(JSON.stringify(agreement!.permissions[0]!.condition)).toContain('auto:ignition eq on');
  });

  it.each([
    ['trajectory', ['vss:Vehicle.CurrentLocation']],
    ['trajectory, by the name of the database', ['dbc:Place.Lat']],
    ['biometric', ['vss:Vehicle.Driver.HeartRate']],
    ['trajectory, through the branch above it', ['vss:Vehicle']],
  ])('that bundles a sensitive class is refused: %s', (_, targets) => {
    const alone = targets[0] === 'vss:Vehicle' ? 'TG_CONSENT_BUNDLED' : 'taken';
    expect(refusedWith(emptyState(OWNER.did), grant({ targets }))).toBe(alone);
    expect(refusedWith(emptyState(OWNER.did), grant({ targets: [...targets, 'dbc:Motion.Speed'] }))).toBe(
      'TG_CONSENT_BUNDLED',
    );
  });

  it('of two sensitive classes is bundled as well', () => {
    const targets = ['vss:Vehicle.CurrentLocation', 'vss:Vehicle.Driver.HeartRate'];
    expect(refusedWith(emptyState(OWNER.did), grant({ targets }))).toBe('TG_CONSENT_BUNDLED');
  });
});

describe('a transfer of ownership', () => {
  const sold = stateAfter(grant(), grant({ uid: OTHER }), sell(BUYER, 1));

  it('ends every grant of the owner before', () => {
    const { withdrawn } = judged(stateAfter(grant(), grant({ uid: OTHER })), sell(BUYER, 1));
    expect(withdrawn).toEqual([UID, OTHER]);
    expect(uids(sold)).toEqual([]);
  });

  it('leaves the owner before without a word, and the new one with it', () => {
    const fresh = 'urn:uuid:00000000-0000-4000-8000-00000000cc03';
    expect(refusedWith(sold, grant({ uid: fresh }))).toBe('TG_CONSENT_OWNER');
    expect(refusedWith(sold, sell(STRANGER, 2))).toBe('TG_CONSENT_OWNER');
    expect(refusedWith(sold, grant({ uid: fresh }, {}, BUYER))).toBe('taken');
  });

  it('and back does not bring old grants with it', () => {
    const back = judged(sold, sell(OWNER, 1, BUYER)).state;
    expect(refusedWith(back, grant())).toBe('TG_CONSENT_VERSION');
    expect(refusedWith(back, sell(BUYER, 1))).toBe('TG_CONSENT_VERSION');
  });
});

describe('time', () => {
  it('ends a grant at its end, and announces that moment', () => {
    const state = stateAfter(grant({}, { validUntilMs: NOW + HOUR }));
    expect(uids(state)).toEqual([UID]);
    expect(inForce(state, NOW).nextMs).toBe(NOW + HOUR);
    expect(uids(state, NOW + HOUR)).toEqual([]);
  });

  it('begins a grant at its beginning', () => {
    const state = stateAfter(grant({}, { validFromMs: NOW + HOUR }));
    expect(uids(state)).toEqual([]);
    expect(inForce(state, NOW).nextMs).toBe(NOW + HOUR);
    expect(uids(state, NOW + HOUR)).toEqual([UID]);
  });

  it('that is unknown suspends everything, and refuses no withdrawal', () => {
    const state = stateAfter(grant(), rate(5, 1));
    expect(inForce(state, null)).toMatchObject({ agreements: [], suspended: [{ reason: 'the time is unknown' }] });
    expect(inForce(state, null).recipients.size).toBe(0);
    expect(refusedWith(state, say('withdraw', 2), { ...JUDGE, nowMs: null })).toBe('taken');
  });

  it('refuses a grant that was over when it came', () => {
    expect(refusedWith(emptyState(OWNER.did), grant({}, { validUntilMs: NOW }))).toBe('TG_CREDENTIAL_EXPIRED');
  });
});

describe('a recipient’s standing', () => {
  const credit = (state: ConsentState, nowMs: number | null = NOW) =>
    inForce(state, nowMs).recipients.get(INSURER)?.credit;

  it('comes from a body that the unit believes, and from nobody else', () => {
    expect(inForce(stateAfter(rate(4, 1)), NOW).recipients.get(INSURER)).toEqual({
      credit: 4,
      roles: ['insurer'],
      region: null,
    });
    expect(refusedWith(emptyState(OWNER.did), rate(5, 1, {}, STRANGER))).toBe('TG_CREDENTIAL_ISSUER');
    expect(refusedWith(emptyState(OWNER.did), rate(5, 1, {}, OWNER))).toBe('TG_CREDENTIAL_ISSUER');
  });

  it('drops when its body says so', () => expect(credit(stateAfter(rate(4, 1), rate(1, 2)))).toBe(1));

  it('ends while the unit is offline', () => {
    const state = stateAfter(rate(4, 1, { validUntilMs: NOW + HOUR }));
    expect(inForce(state, NOW).nextMs).toBe(NOW + HOUR);
    expect(credit(state, NOW + HOUR)).toBeUndefined();
  });

  it('is not lifted by an old high rating that comes again', () => {
    const high = rate(5, 1);
    const state = stateAfter(high, rate(1, 2));
    expect(refusedWith(state, high)).toBe('TG_CONSENT_VERSION');
    expect(credit(state)).toBe(1);
  });

  it('is the worst of what several bodies say', () => {
    const judge = { ...JUDGE, standing: new Set([RATER.did, STRANGER.did]) };
    const state = judged(stateAfter(rate(4, 1)), rate(2, 1, {}, STRANGER), judge).state;
    expect(credit(state)).toBe(2);
  });

  it('without an end is refused', () => {
    const endless = rate(5, 1, { validUntilMs: undefined as unknown as number });
    expect(() => readConsentDocument(endless, 'c.jwt', NONE)).toThrow('validUntil');
  });
});

describe('a status list', () => {
  const status = [{ purpose: 'revocation', index: 5, list: LIST } as const];
  const listed = grant({}, { status });

  it('that has not come suspends', () => {
    expect(inForce(stateAfter(listed), NOW).suspended[0]!.reason).toContain('has not come');
    expect(uids(stateAfter(listed, list('revocation', [])))).toEqual([UID]);
  });

  it('that says nothing of it keeps it in force until the list is too old', () => {
    const state = stateAfter(listed, list('revocation', [4, 6], { validFromMs: NOW - HOUR }));
    const edge = NOW - HOUR + MAX_STATUS_AGE_MS;
    expect(uids(state, edge)).toEqual([UID]);
    expect(inForce(state, edge + 1)).toMatchObject({
      agreements: [],
      suspended: [{ reason: 'its list of revocation is too old' }],
    });
    expect(inForce(state, NOW).nextMs).toBe(edge + 1);
  });

  it('ages from when it was made, not from when it came', () => {
    const old = list('revocation', [], { validFromMs: NOW - 2 * MAX_STATUS_AGE_MS });
    expect(uids(stateAfter(listed, old))).toEqual([]);
  });

  it('that revokes withdraws, and an older list does not bring it back', () => {
    const state = stateAfter(listed, list('revocation', []));
    const { state: gone, withdrawn } = judged(state, list('revocation', [5], { validFromMs: NOW - 500 }));
    expect(withdrawn).toEqual([UID]);
    expect(refusedWith(gone, list('revocation', [], { validFromMs: NOW - 600 }))).toBe('TG_CONSENT_VERSION');
    expect(uids(judged(gone, list('revocation', [], { validFromMs: NOW - 100 })).state)).toEqual([]);
  });

  it('that suspends lets it rest until a newer list lets it go', () => {
    const resting = stateAfter(
      grant({}, { status: [{ purpose: 'suspension', index: 1, list: LIST }] }),
      list('suspension', [1]),
    );
    expect(uids(resting)).toEqual([]);
    expect(uids(judged(resting, list('suspension', [], { validFromMs: NOW - 10 })).state)).toEqual([UID]);
  });

  it('of somebody else says nothing', () => {
    expect(refusedWith(stateAfter(listed), list('revocation', [], {}, STRANGER))).toBe('TG_CREDENTIAL_ISSUER');
    expect(
      uids(stateAfter(listed, list('revocation', [], {}, RATER))),
      'a list of another issuer under the same name',
    ).toEqual([]);
  });

  it('that is too short for the index suspends', () => {
    const far = grant({}, { status: [{ purpose: 'revocation', index: 900_000, list: LIST }] });
    expect(inForce(stateAfter(far, list('revocation', [])), NOW).suspended[0]!.reason).toContain('too short');
  });

  it('with an unknown clock suspends; it never extends', () => {
    expect(uids(stateAfter(listed, list('revocation', [])), null)).toEqual([]);
  });
});

describe('any sequence of documents', () => {
  it('never lets a version go back, never wakes what ended, and never depends on replays', () => {
    const documents = [
      ...[1, 2, 3, 4, 5, 6].flatMap((version) => [
        grant({ version }),
        grant({ version, uid: OTHER }),
        say('suspend', version),
        say('resume', version),
      ]),
      say('withdraw', 4),
      say('withdraw', 3, OTHER),
      sell(BUYER, 1),
      rate(5, 1),
      rate(0, 2),
    ].map((bytes) => readConsentDocument(bytes, 'c.jwt', NONE));
    fc.assert(
      fc.property(fc.array(fc.nat(documents.length - 1), { maxLength: 40 }), (order) => {
        let state = emptyState(OWNER.did);
        for (const index of order) {
          const document = documents[index]!;
          const before = state;
          try {
            state = accept(state, document, JUDGE).state;
          } catch (error) {
            if (!(error instanceof TollgateError)) throw error;
            continue;
          }
          const key = versionKey(document.credential.issuer, document.subject);
          expect(document.version).toBeGreaterThan(before.versions.get(key) ?? 0);
          for (const uid of before.ended) expect(state.ended.has(uid)).toBe(true);
          for (const uid of state.ended) expect(state.agreements.has(uid)).toBe(false);
          expect(() => accept(state, document, JUDGE), 'the same once more').toThrow(TollgateError);
        }
      }),
      { numRuns: 300, seed: 7 },
    );
  });
});

describe('a limit', () => {
  const speed = (operator: string, rightOperand: number) => [
    { leftOperand: 'auto:vehicleSpeed', operator, rightOperand },
  ];
  const granted = (constraint: readonly object[], more: object = {}) =>
    stateAfter(grant({ targets: ['dbc:Motion.Speed', 'dbc:Battery.Charge'], constraint }, more));
  const tried = (state: ConsentState, constraint: readonly object[], targets = ['dbc:Motion.Speed']) =>
    refusedWith(state, limit({ version: 2, targets, constraint }));

  it.each([
    ['gteq', 30],
    ['gt', 20],
    ['gt', 21],
    ['eq', 30],
  ] as const)('within the same signals may hold more rarely: speed %s %d where it was gt 20', (operator, value) => {
    expect(tried(granted(speed('gt', 20)), speed(operator, value))).toBe('taken');
  });

  it.each([
    ['gt', 19],
    ['gteq', 20],
    ['lt', 30],
    ['neq', 30],
    ['eq', 20],
  ] as const)('may not hold more often: speed %s %d where it was gt 20', (operator, value) => {
    expect(tried(granted(speed('gt', 20)), speed(operator, value))).toBe('TG_CONSENT_LIMIT');
  });

  it('may not drop a constraint, and may add one', () => {
    expect(tried(granted(speed('gt', 20)), [])).toBe('TG_CONSENT_LIMIT');
    expect(tried(granted([]), speed('gt', 20))).toBe('taken');
    expect(tried(granted(speed('gt', 20)), [...speed('gt', 20), ...speed('lt', 90)])).toBe('taken');
  });

  it('may not raise a budget', () => {
    const count = (most: number) => [{ leftOperand: 'count', operator: 'lteq', rightOperand: most }];
    expect(tried(granted(count(10)), count(11))).toBe('TG_CONSENT_LIMIT');
    expect(tried(granted(count(10)), [])).toBe('TG_CONSENT_LIMIT');
    expect(tried(granted(count(10)), count(9))).toBe('taken');
  });

  it('may not outlive what it limits, nor lose its list or its drive', () => {
    expect(tried(granted([], { validUntilMs: NOW + DAY }), [])).toBe('TG_CONSENT_LIMIT');
    const status = [{ purpose: 'revocation', index: 3, list: LIST }] as const;
    expect(tried(granted([], { status }), [])).toBe('TG_CONSENT_LIMIT');
    expect(tried(stateAfter(grant({}, {}, OWNER, { scope: 'drive' })), [])).toBe('TG_CONSENT_LIMIT');
  });

  it('may not reach further by a branch or a glob', () => {
    for (const target of ['dbc:Motion.*', 'dbc:Steering.Angle', 'vss:Vehicle.Cabin'])
      expect(tried(granted([]), [], [target])).toBe('TG_CONSENT_LIMIT');
  });
});

describe('words that come late or from the wrong mouth', () => {
  it('a resumption and a sale that are over open nothing', () => {
    const state = stateAfter(grant(), say('suspend', 2));
    const late = signed(
      consentCredential(
        { issuer: OWNER.did, validFromMs: NOW - DAY, validUntilMs: NOW - 1 },
        { agreement: UID, act: 'resume', version: 3 },
      ),
    );
    expect(refusedWith(state, late)).toBe('TG_CREDENTIAL_EXPIRED');
  });

  it('a body does not rate itself, not even one that rates others', () => {
    const own = signed(
      standingCredential(
        { issuer: RATER.did, validFromMs: NOW - DAY, validUntilMs: NOW + DAY },
        { recipient: RATER.did, credit: 5, version: 1 },
      ),
      RATER,
    );
    expect(refusedWith(stateAfter(), own)).toBe('TG_CREDENTIAL_ISSUER');
  });
});

describe('a uid', () => {
  it.each([
    'urn:uuid:00000000-0000-4000-8000-00000000AA01',
    'URN:uuid:00000000-0000-4000-8000-00000000aa01',
    'urn:x:caf\u00e9',
    'urn:x:a\u200bb',
    `urn:x:${'a'.repeat(201)}`,
  ])('that could be taken for another is not granted: %s', (uid) => {
    expect(refusedWith(stateAfter(), grant({ uid }))).toBe('TG_CREDENTIAL_VALUE');
    expect(refusedWith(stateAfter(), say('withdraw', 2, uid)), 'whatever was trusted before may be withdrawn').toBe(
      'taken',
    );
  });
});
