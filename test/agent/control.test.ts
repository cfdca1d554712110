import { createHash } from 'node:crypto';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '#agent/config/load';
import { documentFiles, loadDocuments } from '#agent/documents';
import { spoolLabel } from '#agent/spool-keys';
import { readLedger } from '#agent/store/read-ledger';
import { TollgateError, type TrustAnchor } from '#contracts';
import { nodeCrypto, parseVerifierKey } from '#ledger';
import { agreementCredential } from '#policies/consent/index';
import { softwareAnchor } from '#trust';
import { decodeLeaf, leafEvent } from '#wire';
import {
  BUYER,
  DAY,
  grant,
  LIST,
  limit,
  list,
  NOW,
  OWNER,
  type PolicyText,
  policy,
  rate,
  STRANGER,
  say,
  sell,
  signed,
  UID,
} from '../policies/consent-parts.ts';
import { campaignText, type UnitFolder, type UnitFolderOptions, unitFolder } from '../system/unit-folder.ts';
import { countingRandom, memoryStorage } from '../trust/memory.ts';
import {
  type Controlled,
  type ControlledOptions,
  openControlled,
  pinIssuers,
  type TestClock,
} from './control-parts.ts';
import { BATTERY, FAST, frames, MOTION, minutes, recipientOf, STEERING } from './unit-parts.ts';

const OTHER = 'urn:uuid:00000000-0000-4000-8000-00000000bb02';
const RAW = { name: 'ubi', record: '100ms', signals: ['{ signal: "dbc:Motion.Speed", operation: raw }'] };
const CHARGE = { name: 'battery', record: '100ms', signals: ['{ signal: "dbc:Battery.Charge", operation: raw }'] };

const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function place(more: UnitFolderOptions = {}) {
  const folder = await unitFolder({ campaigns: [RAW, CHARGE], agreements: [], ...FAST, ...more });
  cleanUps.push(() => folder.remove());
  pinIssuers(folder);
  const clock: TestClock = { ms: NOW };
  const start = async (options: Partial<ControlledOptions> = {}): Promise<Controlled> => {
    const open = await openControlled(folder, { clock, ...options });
    cleanUps.push(() => open.close().catch(() => undefined));
    return open;
  };
  return { folder, clock, start };
}

/** Speed and charge of a span of time, 100 samples a second each. */
function drive(fromSecond: number, seconds: number) {
  const list = minutes(fromSecond, seconds, 10).flatMap((frame) => [
    frame,
    { ...frame, id: BATTERY },
    { ...frame, id: STEERING },
  ]);
  return frames(list.map((frame) => ({ ...frame, length: frame.id === MOTION ? 8 : 4 })));
}

/** Samples of each agreement that were committed, by the meter. */
async function samples({ unit }: Controlled): Promise<Record<string, number>> {
  await unit.store.commit();
  const counts: Record<string, number> = {};
  for (const { agreement, samples: count } of await unit.store.meter())
    counts[agreement] = (counts[agreement] ?? 0) + count;
  return counts;
}

function leavesOf(state: string) {
  const ledger = readLedger(state);
  const leaves = Array.from({ length: ledger.size }, (_, i) => decodeLeaf(ledger.leaf(i)!));
  ledger.close();
  return leaves;
}

const both = [
  grant({ targets: ['dbc:Motion.Speed'] }),
  grant({ uid: OTHER, targets: ['dbc:Battery.Charge'] }),
] as const;

describe('a unit with an owner', () => {
  it('sends nothing before the owner has granted, and what was granted from the next batch on', async () => {
    const { start } = await place();
    const open = await start();
    await open.unit.frames(drive(0, 1), 0);
    expect(await open.control.receive(both[0])).toMatchObject({ verdict: 'accepted', code: null, suspended: null });
    await open.unit.frames(drive(1, 1), 0);
    await open.unit.finish();
    expect(await samples(open)).toEqual({ [UID]: 100 });
  });

  it('lets its sources deliver nothing before a grant, and then what it opened', async () => {
    const { start } = await place();
    const { unit, control } = await start();
    expect(unit.filter.ids).toEqual([[]]);
    await control.receive(both[0]);
    expect(unit.filter.ids[0]).toContain(MOTION);
    expect(unit.filter.ids[0]).not.toContain(STEERING);
  });

  it('refuses with a code and a place, and keeps what was in force', async () => {
    const { start } = await place();
    const open = await start();
    await open.control.receive(both[0]);
    const refusals = [
      [grant({ version: 1, targets: ['dbc:Battery.Charge'] }), 'TG_CONSENT_VERSION', '/credentialSubject'],
      [grant({ uid: OTHER }, {}, STRANGER), 'TG_CONSENT_OWNER', '/issuer'],
      [new TextEncoder().encode('{"no":"jws"}'), 'TG_CREDENTIAL_FORM', null],
      [
        grant({ version: 2, targets: ['dbc:Motion.Speed', 'vss:Vehicle.CurrentLocation'] }),
        'TG_CONSENT_BUNDLED',
        '/credentialSubject/policy/permission',
      ],
    ] as const;
    for (const [bytes, code, pointer] of refusals)
      expect(await open.control.receive(bytes)).toMatchObject({ verdict: 'refused', code, pointer });
    await open.unit.frames(drive(0, 1), 0);
    await open.unit.finish();
    expect(await samples(open)).toEqual({ [UID]: 100 });
  });

  it('refuses a grant to a recipient for whom it has no key', async () => {
    const { start } = await place({ campaigns: [{ ...RAW, recipient: 'did:web:stranger.example' }] });
    const open = await start();
    const text = policy({ assigner: OWNER.did });
    const bytes = signed(
      agreementCredential(
        { issuer: OWNER.did, validFromMs: NOW - DAY },
        { ...text, assignee: 'did:web:stranger.example' },
        { act: 'grant' },
      ),
    );
    expect(await open.control.receive(bytes)).toMatchObject({ verdict: 'refused', code: 'TG_RECIPIENT_UNKNOWN' });
  });

  it('answers the same document a second time as known', async () => {
    const { start } = await place();
    const open = await start();
    await open.control.receive(both[0]);
    expect(await open.control.receive(both[0])).toMatchObject({ verdict: 'known' });
    expect(await open.control.receive(Buffer.concat([both[0], Buffer.from('\n')]))).toMatchObject({ verdict: 'known' });
  });

  it('keeps consents and refusals of old versions over a restart', async () => {
    const { start } = await place();
    const first = await start();
    await first.control.receive(both[0]);
    await first.control.receive(say('withdraw', 5, OTHER));
    await first.close();
    const second = await start();
    expect(await second.control.receive(both[1])).toMatchObject({ code: 'TG_CONSENT_VERSION' });
    await second.unit.frames(drive(0, 1), 0);
    await second.unit.finish();
    expect(await samples(second)).toEqual({ [UID]: 100 });
  });

  it('leaves a consent leaf with the hash of the credential', async () => {
    const { folder, start } = await place();
    const open = await start();
    await open.control.receive(both[0]);
    await open.control.receive(say('withdraw', 2));
    await open.close();
    const events = leavesOf(folder.state).map((leaf) => ({ event: leafEvent(leaf), hash: leaf.bodyHash }));
    const consents = events.filter(({ event }) => event.kind === 'consent');
    expect(consents.map(({ event }) => event)).toEqual([
      { kind: 'consent', act: 'grant', agreement: UID },
      { kind: 'consent', act: 'withdraw', agreement: UID },
    ]);
    expect(Buffer.from(consents[0]!.hash)).toEqual(createHash('sha256').update(both[0]).digest());
    expect(events.map(({ event }) => event)).toContainEqual(
      expect.objectContaining({ kind: 'key', act: 'destroy', use: 'spool' }),
    );
  });

  it('takes its first consents from the files of the configuration', async () => {
    const { folder, start } = await place();
    writeFileSync(folder.file('agreements/first.json'), `${Buffer.from(both[0]).toString()}\n`);
    const open = await start();
    await open.unit.frames(drive(0, 1), 0);
    await open.unit.finish();
    expect(await samples(open)).toEqual({ [UID]: 100 });
    await open.control.receive(say('withdraw', 2));
    await open.close();
    const again = await start();
    expect(again.unit.plan.streams, 'the old file is still there').toEqual([]);
  });
});

describe('a new set of documents', () => {
  it('leaves the streams of the others uncut: one session, no gap, no window ended early', async () => {
    const { folder, start } = await place({
      campaigns: [
        RAW,
        {
          name: 'battery',
          record: '1s',
          signals: ['{ signal: "dbc:Battery.Charge", operation: aggregate, window: 1s, results: [count] }'],
        },
      ],
    });
    const open = await start();
    const recipient = await recipientOf(folder);
    cleanUps.push(() => recipient.close());
    for (const bytes of both) await open.control.receive(bytes);
    await open.unit.frames(drive(0, 0.5), 0);
    await open.control.receive(say('withdraw', 2));
    await open.unit.frames(drive(0.5, 1.5), 0);
    await open.unit.finish();
    await recipient.take(open.unit);
    expect(recipient.receiver.status()).toMatchObject({ sessions: 1, alarms: 0 });
    const counts = recipient.records.flatMap(({ tables }) =>
      tables.flatMap(({ columns, rows }) => [...columns[0]!.values.subarray(0, rows)]),
    );
    expect(counts, 'a window that was open at the swap has all its samples').toEqual([100, 100]);
  });

  it('renews the stream of an agreement that has a new version', async () => {
    const { folder, start } = await place();
    const open = await start();
    const recipient = await recipientOf(folder);
    cleanUps.push(() => recipient.close());
    for (const bytes of both) await open.control.receive(bytes);
    await open.unit.frames(drive(0, 1), 0);
    await open.control.receive(grant({ version: 2, targets: ['dbc:Motion.Speed'], deny: ['dbc:Steering.Angle'] }));
    await open.unit.frames(drive(1, 1), 0);
    await open.unit.finish();
    await recipient.take(open.unit);
    expect(recipient.receiver.status()).toMatchObject({ sessions: 3, alarms: 0 });
    expect(await samples(open)).toEqual({ [UID]: 200, [OTHER]: 200 });
  });

  it('keeps what the gate has heard: no sample is lost until the context comes again', async () => {
    const constraint = [{ leftOperand: 'auto:ignition', operator: 'eq', rightOperand: 'on' }];
    const { start } = await place({ context: { ignition: 'dbc:Motion.Throttle' } });
    const open = await start();
    await open.control.receive(grant({ targets: ['dbc:Battery.Charge'], uid: OTHER, constraint }));
    const on = frames([{ ms: 0, id: MOTION, raw: 1 }]);
    on.bytes[16 + 2] = 2;
    await open.unit.frames(on, 0);
    const charge = (fromMs: number) =>
      frames(Array.from({ length: 100 }, (_, i) => ({ ms: fromMs + i * 10, id: BATTERY, raw: i, length: 4 })));
    await open.unit.frames(charge(10), 0);
    await open.control.receive(grant({ targets: ['dbc:Motion.Speed'] }));
    await open.unit.frames(charge(1_010), 0);
    await open.unit.finish();
    expect((await samples(open))[OTHER]).toBe(200);
  });
});

describe('a withdrawal', () => {
  it('stops the next sample, drops what is queued, and leaves the other agreement of the recipient alone', async () => {
    const { folder, start } = await place();
    const open = await start();
    const recipient = await recipientOf(folder);
    cleanUps.push(() => recipient.close());
    for (const bytes of both) await open.control.receive(bytes);
    await open.unit.frames(drive(0, 1), 0);
    const before = await samples(open);
    const answer = await open.control.receive(say('withdraw', 2));
    expect(answer).toMatchObject({ verdict: 'accepted', dropped: 9 });
    await open.unit.frames(drive(1, 1), 0);
    await open.unit.finish();
    await recipient.take(open.unit);
    expect(await samples(open)).toEqual({ [UID]: before[UID], [OTHER]: 200 });
    const schemas = new Set(recipient.records.map(({ schema }) => schema.agreement.uid));
    expect([...schemas]).toEqual([OTHER]);
    expect(recipient.alarms).toEqual([]);
  });

  it('forgets what was taken and not yet committed', async () => {
    const { start } = await place({ campaigns: [{ ...RAW, record: '60s' }, CHARGE] });
    const open = await start();
    await open.control.receive(both[0]);
    await open.unit.frames(drive(0, 1), 0);
    await open.control.receive(say('withdraw', 2));
    await open.unit.finish();
    expect(await samples(open)).toEqual({});
  });

  it('destroys the key: its label opens no more, now and after a restart', async () => {
    const { start } = await place();
    const open = await start();
    await open.control.receive(both[0]);
    await open.unit.frames(drive(0, 1), 0);
    await open.unit.store.commit();
    expect(await open.keys.anchor.unseal(spoolLabel(UID))).toHaveLength(32);
    await open.control.receive(say('withdraw', 2));
    expect(await open.keys.anchor.unseal(spoolLabel(UID))).toBe(null);
    await open.close();
    const again = await start();
    expect(await again.keys.anchor.unseal(spoolLabel(UID))).toBe(null);
    expect(await again.unit.spool.of(UID)).toBe(null);
  });

  it('that a power cut left half done is done at the next start', async () => {
    const { folder, start } = await place();
    const first = await start();
    await first.control.receive(both[0]);
    await first.unit.frames(drive(0, 1), 0);
    await first.unit.store.commit();
    // The document is durable with its leaf, and nothing that follows from it has happened.
    const bytes = say('withdraw', 2);
    const hash = new Uint8Array(createHash('sha256').update(bytes).digest());
    writeFileSync(join(folder.state, 'consent/00000099.jwt'), bytes);
    await first.unit.store.accept({ issuer: OWNER.did, document: UID, version: 2, hash }, null);
    await first.close();
    const second = await start();
    expect(second.unit.plan.streams).toEqual([]);
    expect(await second.keys.anchor.unseal(spoolLabel(UID))).toBe(null);
    expect(await second.unit.store.take(1_000)).toEqual([]);
  });

  it('whose bytes were written and never committed has not happened', async () => {
    const { folder, start } = await place();
    const first = await start();
    await first.control.receive(both[0]);
    await first.close();
    writeFileSync(join(folder.state, 'consent/00000099.jwt'), say('withdraw', 2));
    const second = await start();
    expect(second.unit.plan.streams).toHaveLength(1);
    expect(await second.control.receive(say('withdraw', 2))).toMatchObject({ verdict: 'accepted' });
  });

  it('is not undone by deleting its file', async () => {
    const { folder, start } = await place();
    const first = await start();
    await first.control.receive(both[0]);
    await first.control.receive(say('suspend', 2));
    await first.close();
    rmSync(join(folder.state, 'consent/00000002.jwt'));
    const second = await start();
    expect(second.unit.plan.streams).toEqual([]);
  });

  it('of a document that the unit was told to trust by its bytes works too', async () => {
    const { start } = await place({ agreements: [{ uid: UID, permit: ['dbc:Motion.Speed'] }] });
    const open = await start();
    expect(open.unit.plan.streams).toHaveLength(1);
    await open.control.receive(say('withdraw', 2));
    expect(open.unit.plan.streams).toEqual([]);
    await open.close();
    expect((await start()).unit.plan.streams).toEqual([]);
  });
});

describe('a file that somebody took away', () => {
  it('of the withdrawal of a trusted document does not bring it back', async () => {
    const { folder, start } = await place({ agreements: [{ uid: UID, permit: ['dbc:Motion.Speed'] }] });
    const open = await start();
    await open.control.receive(say('withdraw', 2));
    await open.close();
    rmSync(join(folder.state, 'consent/00000001.jwt'));
    expect((await start()).unit.plan.streams).toEqual([]);
  });

  it('of a sale does not give the vehicle back to the seller', async () => {
    const { folder, start } = await place();
    const first = await start();
    await first.control.receive(both[0]);
    const { name } = parseVerifierKey(first.keys.verifierKey, nodeCrypto);
    await first.control.receive(sell(BUYER, 1, OWNER, name));
    await first.close();
    rmSync(join(folder.state, 'consent/00000002.jwt'));
    const second = await start();
    expect(second.unit.plan.streams).toEqual([]);
    const fresh = 'urn:uuid:00000000-0000-4000-8000-00000000cc03';
    expect(await second.control.receive(grant({ uid: fresh }))).toMatchObject({ code: 'TG_CONSENT_OWNER' });
  });
});

describe('a clock that somebody sets back', () => {
  it('lengthens no credential, however little it is set back', async () => {
    const { start, clock } = await place();
    const open = await start();
    await open.control.receive(grant({}, { validUntilMs: NOW + 60_000 }));
    expect(open.unit.plan.streams).toHaveLength(1);
    clock.ms = NOW + 60_000;
    await expect.poll(() => open.unit.plan.streams).toEqual([]);
    for (const back of [1_000, 200_000, 3_000_000]) {
      clock.ms = NOW + 60_000 - back;
      await new Promise((resolve) => setTimeout(resolve, 600));
      expect(open.unit.plan.streams).toEqual([]);
    }
  });
});

describe('a disk that is full', () => {
  it('keeps closed what was to be closed, and takes the withdrawal when it comes again', async () => {
    const { start } = await place();
    const open = await start();
    await open.control.receive(both[0]);
    const { store } = open.unit;
    const real = store.accept.bind(store);
    Object.assign(store, { accept: () => Promise.reject(new TollgateError('TG_STORE_FULL', 'the disk is full')) });
    await expect(open.control.receive(say('withdraw', 2))).rejects.toThrow('the disk is full');
    await open.unit.frames(drive(0, 1), 0);
    expect(await samples(open)).toEqual({});
    Object.assign(store, { accept: real });
    expect(await open.control.receive(say('withdraw', 2))).toMatchObject({ verdict: 'accepted' });
  });
});

describe('a withdrawal that must not be lost', () => {
  it('is told from what a flood may push aside: it is signed by the owner and not known yet', async () => {
    const { start } = await place();
    const open = await start();
    await open.control.receive(both[0]);
    const mine = say('withdraw', 2);
    const tampered = Uint8Array.from(mine);
    tampered[tampered.length - 8]! ^= 1;
    expect(open.control.mustTake(mine)).toBe(true);
    expect(open.control.mustTake(say('withdraw', 2, UID, STRANGER))).toBe(false);
    expect(open.control.mustTake(tampered)).toBe(false);
    expect(open.control.mustTake(both[0]), 'a replay').toBe(false);
    expect(open.control.mustTake(new TextEncoder().encode('{"no":"jws"}'))).toBe(false);
    expect(open.control.mustTake(new Uint8Array(1_000))).toBe(false);
    await open.control.receive(mine);
    expect(open.control.mustTake(mine)).toBe(false);
  });

  it('is carried out to its end by itself when the disk failed between its leaf and its rows', async () => {
    const { start } = await place();
    const open = await start();
    await open.control.receive(both[0]);
    await open.unit.frames(drive(0, 1), 0);
    await open.unit.store.commit();
    const { store } = open.unit;
    const real = store.withdraw.bind(store);
    Object.assign(store, { withdraw: () => Promise.reject(new TollgateError('TG_STORE_FULL', 'the disk is full')) });
    const bytes = say('withdraw', 2);
    await expect(open.control.receive(bytes)).rejects.toThrow('the disk is full');
    expect(open.control.mustTake(bytes), 'its end is still to come').toBe(true);
    expect(await open.keys.anchor.unseal(spoolLabel(UID))).toHaveLength(32);
    Object.assign(store, { withdraw: real });
    await expect.poll(() => open.keys.anchor.unseal(spoolLabel(UID))).toBe(null);
    expect(open.unit.plan.streams).toEqual([]);
    expect(await open.control.receive(bytes)).toMatchObject({ verdict: 'known' });
  });
});

describe('a limit and a suspension', () => {
  it('narrow from the next sample on, and what was taken before still goes', async () => {
    const { start } = await place();
    const open = await start();
    await open.control.receive(grant({ targets: ['dbc:Motion.Speed', 'dbc:Battery.Charge'] }));
    await open.unit.frames(drive(0, 1), 0);
    await open.control.receive(limit({ version: 2, targets: ['dbc:Motion.Speed'] }));
    await open.unit.frames(drive(1, 1), 0);
    await open.unit.finish();
    expect(await samples(open)).toEqual({ [UID]: 300 });
  });

  it('rest and wake', async () => {
    const { start } = await place();
    const open = await start();
    await open.control.receive(both[0]);
    await open.control.receive(say('suspend', 2));
    await open.unit.frames(drive(0, 1), 0);
    expect(open.control.suspended).toEqual([{ agreement: UID, reason: 'the owner suspended it' }]);
    await open.control.receive(say('resume', 3));
    await open.unit.frames(drive(1, 1), 0);
    await open.unit.finish();
    expect(await samples(open)).toEqual({ [UID]: 100 });
  });
});

describe('a consent for this drive', () => {
  it('ends at the sample at which the ignition goes off, and on again does not bring it back', async () => {
    const { start } = await place({ context: { ignition: 'dbc:Motion.Throttle' } });
    const open = await start();
    await open.control.receive(grant({ targets: ['dbc:Motion.Speed'] }, {}, OWNER, { scope: 'drive' }));
    // One batch: on for 300 ms, off for 10 ms, on again.
    const list = minutes(0, 1, 10);
    const batch = frames(list);
    for (const i of list.keys()) batch.bytes[i * 24 + 16 + 2] = i === 30 ? 0 : 2;
    await open.unit.frames(batch, 0);
    await open.unit.frames(drive(1, 1), 0);
    await open.unit.finish();
    expect(await samples(open)).toEqual({ [UID]: 30 });
  });

  it('ends while another document is being taken', async () => {
    const { start } = await place({ context: { ignition: 'dbc:Motion.Throttle' } });
    const open = await start();
    await open.control.receive(grant({ targets: ['dbc:Motion.Speed'] }, {}, OWNER, { scope: 'drive' }));
    const at = (ms: number, throttle: number) => {
      const batch = frames([{ ms, id: MOTION, raw: 1 }]);
      batch.bytes[16 + 2] = throttle;
      return batch;
    };
    await open.unit.frames(at(0, 2), 0);
    const { store } = open.unit;
    const real = store.accept.bind(store);
    let off = false;
    Object.assign(store, {
      accept: async (...args: Parameters<typeof real>) => {
        if (!off) {
          off = true;
          await open.unit.frames(at(10, 0), 0);
        }
        return await real(...args);
      },
    });
    await open.control.receive(both[1]);
    expect(off).toBe(true);
    expect(open.unit.plan.streams.map(({ agreement }) => agreement)).toEqual([OTHER]);
  });

  it('does not outlive the agent', async () => {
    const { start } = await place();
    const first = await start();
    await first.control.receive(grant({}, {}, OWNER, { scope: 'drive' }));
    expect(first.unit.plan.streams).toHaveLength(1);
    await first.close();
    const second = await start();
    expect(second.unit.plan.streams).toEqual([]);
    expect(await second.control.receive(grant({}, {}, OWNER, { scope: 'drive' }))).toMatchObject({ verdict: 'known' });
    expect(second.unit.plan.streams).toEqual([]);
  });
});

describe('a transfer of ownership', () => {
  it('ends every grant with its key, and the new owner begins with none', async () => {
    const { start } = await place();
    const first = await start();
    for (const bytes of both) await first.control.receive(bytes);
    await first.unit.frames(drive(0, 1), 0);
    await first.unit.store.commit();
    const { name } = parseVerifierKey(first.keys.verifierKey, nodeCrypto);
    expect(await first.control.receive(sell(BUYER, 1, OWNER, name))).toMatchObject({
      verdict: 'accepted',
      dropped: 18,
    });
    for (const uid of [UID, OTHER]) expect(await first.keys.anchor.unseal(spoolLabel(uid))).toBe(null);
    await first.close();
    const second = await start();
    expect(second.unit.plan.streams).toEqual([]);
    const fresh = 'urn:uuid:00000000-0000-4000-8000-00000000cc03';
    expect(await second.control.receive(grant({ uid: fresh }))).toMatchObject({ code: 'TG_CONSENT_OWNER' });
    expect(await second.control.receive(grant({ uid: fresh }, {}, BUYER))).toMatchObject({ verdict: 'accepted' });
    expect(second.unit.plan.streams).toHaveLength(1);
  });
});

describe('what a recipient may is', () => {
  const credit: PolicyText = {
    constraint: [{ leftOperand: 'auto:recipientCredit', operator: 'gteq', rightOperand: 3 }],
  };
  const streams = ({ unit }: Controlled) => unit.plan.streams.length;

  it('less after a signed drop of its rating, and an old high rating does not lift it', async () => {
    const { start } = await place();
    const open = await start();
    const high = rate(5, 1);
    await open.control.receive(grant(credit));
    expect(streams(open), 'no rating').toBe(0);
    await open.control.receive(high);
    expect(streams(open)).toBe(1);
    await open.control.receive(rate(1, 2));
    expect(streams(open)).toBe(0);
    expect(await open.control.receive(high)).toMatchObject({ code: 'TG_CONSENT_VERSION' });
    expect(streams(open)).toBe(0);
    await open.close();
    const again = await start();
    expect(await again.control.receive(high)).toMatchObject({ code: 'TG_CONSENT_VERSION' });
    expect(streams(again)).toBe(0);
  });

  it('nothing once its rating has ended while the unit was offline', async () => {
    const { start, clock } = await place();
    const open = await start();
    await open.control.receive(grant(credit));
    await open.control.receive(rate(5, 1, { validUntilMs: NOW + 60_000 }));
    expect(streams(open)).toBe(1);
    clock.ms = NOW + 60_000;
    await expect.poll(() => streams(open)).toBe(0);
  });

  it('suspended with a status list that grew too old, and with a clock that is not known or set back', async () => {
    const { start, clock } = await place();
    const open = await start();
    await open.control.receive(grant({}, { status: [{ purpose: 'revocation', index: 3, list: LIST }] }));
    expect(open.control.suspended).toEqual([{ agreement: UID, reason: 'its list of revocation has not come' }]);
    await open.control.receive(list('revocation', []));
    expect(streams(open)).toBe(1);
    for (const ms of [null, NOW - DAY]) {
      clock.ms = ms;
      await expect.poll(() => streams(open), { message: `at ${ms}` }).toBe(0);
      clock.ms = NOW;
      await expect.poll(() => streams(open)).toBe(1);
    }
    clock.ms = NOW + 3 * DAY;
    await expect.poll(() => streams(open)).toBe(0);
    clock.ms = NOW;
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(streams(open), 'which of the two is right nobody knows').toBe(0);
  });

  it('gone when a list revokes its agreement, with the rows and the key', async () => {
    const { start } = await place();
    const open = await start();
    await open.control.receive(grant({}, { status: [{ purpose: 'revocation', index: 3, list: LIST }] }));
    await open.control.receive(list('revocation', []));
    await open.unit.frames(drive(0, 1), 0);
    await open.unit.store.commit();
    const answer = await open.control.receive(list('revocation', [3], { validFromMs: NOW - 500 }));
    expect(answer).toMatchObject({ verdict: 'accepted', dropped: 9 });
    expect(await open.keys.anchor.unseal(spoolLabel(UID))).toBe(null);
  });
});

describe('an older copy of the disk', () => {
  /** An anchor whose counter does not lie on the disk that is copied. */
  async function withAnchor() {
    const parts = await place();
    const ledgerKey = JSON.parse(readFileSync(join(parts.folder.keys, 'ledger.jwk'), 'utf8')) as Record<string, string>;
    const storage = memoryStorage();
    const anchor = () => softwareAnchor({ ledgerKey, storage, random: countingRandom() });
    return { ...parts, anchor };
  }
  const copy = (folder: UnitFolder, from: string, to: string) => {
    rmSync(folder.file(to), { recursive: true, force: true });
    cpSync(folder.file(from), folder.file(to), { recursive: true });
  };

  it('put back after a withdrawal sends not one sample, and says so at every start', async () => {
    const { folder, start, anchor } = await withAnchor();
    const first = await start({ anchor: anchor() });
    for (const bytes of both) await first.control.receive(bytes);
    await first.unit.frames(drive(0, 1), 0);
    await first.close();
    copy(folder, 'state', 'yesterday');
    const second = await start({ anchor: anchor() });
    expect(second.control.rolledBack).toBe(false);
    await second.control.receive(say('withdraw', 2));
    await second.close();
    copy(folder, 'yesterday', 'state');
    for (let boot = 0; boot < 3; boot++) {
      const old = await start({ anchor: anchor() });
      expect(old.control.rolledBack).toBe(true);
      expect(old.events).toContain('consent-rolled-back');
      await old.unit.frames(drive(2, 1), 0);
      await old.unit.finish();
      expect(old.unit.plan.streams).toEqual([]);
      expect(old.unit.counts.admitted).toBe(0);
      await old.close();
    }
  });

  it('is told from the newest even where nothing but starts lies between', async () => {
    const { folder, start, anchor } = await withAnchor();
    const first = await start({ anchor: anchor() });
    await first.close();
    copy(folder, 'state', 'yesterday');
    await (await start({ anchor: anchor() })).close();
    copy(folder, 'yesterday', 'state');
    expect((await start({ anchor: anchor() })).control.rolledBack).toBe(true);
  });

  it('an empty state folder is one too', async () => {
    const { folder, start, anchor } = await withAnchor();
    const first = await start({ anchor: anchor() });
    await first.control.receive(both[0]);
    await first.close();
    rmSync(folder.state, { recursive: true });
    // Of an anchor whose counter is real; a software anchor leaves this to the receivers.
    const real = anchor();
    const chip: TrustAnchor = {
      describe: () => ({ kind: 'tpm2', verifierKey: real.describe().verifierKey }),
      sign: (message) => real.sign(message),
      seal: (label, secret) => real.seal(label, secret),
      unseal: (label) => real.unseal(label),
      destroy: (label) => real.destroy(label),
      counter: () => real.counter(),
      random: (bytes) => real.random(bytes),
    };
    const bare = await start({ anchor: chip });
    expect(bare.control.rolledBack).toBe(true);
    await bare.control.receive(grant({ version: 9 }));
    expect(bare.unit.plan.streams).toEqual([]);
  });

  it('a power cut at any step of the counter is not taken for one', async () => {
    const { start, anchor } = await withAnchor();
    const first = await start({ anchor: anchor() });
    // The step was noted as begun; whether the anchor counted, nobody knows.
    const { version } = first.unit.store.version('urn:tollgate:anchor', 'counter')!;
    await first.unit.store.accept(
      { issuer: 'urn:tollgate:anchor', document: 'counter', version: version + 1, hash: new Uint8Array(32) },
      null,
    );
    await anchor().counter();
    await first.close();
    const second = await start({ anchor: anchor() });
    expect(second.control.rolledBack).toBe(false);
    await second.unit.store.accept(
      {
        issuer: 'urn:tollgate:anchor',
        document: 'counter',
        version: second.unit.store.version('urn:tollgate:anchor', 'counter')!.version + 1,
        hash: new Uint8Array(32),
      },
      null,
    );
    await second.close();
    expect((await start({ anchor: anchor() })).control.rolledBack).toBe(false);
  });
});

describe('documents that are read again', () => {
  it('bring a campaign in and take one out; the others go on', async () => {
    const { folder, start } = await place({ campaigns: [RAW] });
    const open = await start();
    for (const bytes of both) await open.control.receive(bytes);
    await open.unit.frames(drive(0, 1), 0);
    writeFileSync(folder.file('campaigns/battery.yaml'), campaignText(CHARGE));
    const config = await loadConfig(folder.config({ name: 'unit.yaml' }));
    const { documents } = await loadDocuments(documentFiles(config), open.keys.trusted, NOW, open.keys.issuers);
    await open.control.reload(documents!);
    await open.unit.frames(drive(1, 1), 0);
    await open.unit.finish();
    expect(await samples(open)).toEqual({ [UID]: 200, [OTHER]: 100 });
  });
});

describe('a power cut', () => {
  it.each(Array.from({ length: 9 }, (_, step) => step))(
    'at durable step %i of a withdrawal leaves it undone, or done to its end',
    async (step) => {
      const { start } = await place();
      const first = await start();
      for (const bytes of both) await first.control.receive(bytes);
      await first.unit.frames(drive(0, 1), 0);
      await first.unit.store.commit();
      const { store, spool } = first.unit;
      let left = step;
      /** The machine stops before, or after, its n-th durable act. */
      const cut = <A extends unknown[], R>(act: (...args: A) => Promise<R>) => {
        return async (...args: A): Promise<R> => {
          if (left-- === 0) throw new Error('power cut');
          return await act(...args);
        };
      };
      Object.assign(store, { accept: cut(store.accept.bind(store)), withdraw: cut(store.withdraw.bind(store)) });
      Object.assign(spool, { destroy: cut(spool.destroy) });
      Object.assign(first.keys.anchor, { counter: cut(first.keys.anchor.counter.bind(first.keys.anchor)) });
      const answer = await first.control.receive(say('withdraw', 2)).catch(() => null);
      expect(answer === null, 'the last steps lie behind the answer').toBe(step < 7);
      await first.close();

      const second = await start();
      expect(second.control.rolledBack).toBe(false);
      const streams = second.unit.plan.streams.map(({ agreement }) => agreement).sort();
      const key = await second.keys.anchor.unseal(spoolLabel(UID));
      const rows = await second.unit.store.recordsAbout({ agreement: UID });
      if (step === 0) {
        // Nothing was committed: the broker still has the document and sends it again.
        expect(streams).toEqual([UID, OTHER]);
        expect(await second.control.receive(say('withdraw', 2))).toMatchObject({ verdict: 'accepted', dropped: 9 });
        expect(second.unit.plan.streams.map(({ agreement }) => agreement)).toEqual([OTHER]);
      } else {
        expect(streams).toEqual([OTHER]);
        expect(key).toBe(null);
        expect(rows.map(({ state }) => state)).not.toContain('spooled');
        expect(await second.control.receive(say('withdraw', 2))).toMatchObject({ verdict: 'known' });
      }
    },
  );
});
