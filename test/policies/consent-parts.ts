import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { SignalInfo } from '#contracts';
import {
  agreementCredential,
  consentCredential,
  type Envelope,
  type Judge,
  ownershipCredential,
  standingCredential,
  statusListCredential,
} from '#policies/consent/index';
import { type Algorithm, didKeyId, didKeyOf, type PinnedDocuments, signJws } from '#policies/credentials/index';

/** Somebody who signs. */
export interface Party {
  readonly did: string;
  readonly kid: string;
  readonly algorithm: Algorithm;
  readonly key: KeyObject;
}

/** A did:key; Ed25519 keys come from a seed, so that a failing test can be run again. */
export function party(seed: number): Party {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, seed)]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const did = didKeyOf(key.export({ format: 'jwk' }));
  return { did, kid: didKeyId(did), algorithm: 'EdDSA', key };
}

export function partyOfP256(): Party {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const did = didKeyOf(key.export({ format: 'jwk' }));
  return { did, kid: didKeyId(did), algorithm: 'ES256', key };
}

export const OWNER = party(1);
export const BUYER = party(2);
export const RATER = party(3);
export const STRANGER = party(4);
export const INSURER = 'did:web:insurer.example';
export const UNIT = 'tollgate/0123456789abcdef';
export const NOW = Date.UTC(2026, 0, 10);
export const DAY = 86_400_000;
export const UID = 'urn:uuid:00000000-0000-4000-8000-00000000aa01';
export const NONE: PinnedDocuments = new Map();

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const signed = (payload: object, by: Party = OWNER): Uint8Array =>
  bytesOf(signJws(payload, by.kid, by.algorithm, by.key));

export interface PolicyText {
  readonly uid?: string;
  readonly version?: number;
  readonly targets?: readonly string[];
  readonly deny?: readonly string[];
  readonly assigner?: string;
  readonly constraint?: readonly object[];
}

export function policy({
  uid = UID,
  version = 1,
  targets = ['dbc:Motion.Speed'],
  deny = [],
  assigner = OWNER.did,
  constraint = [],
}: PolicyText = {}) {
  return {
    '@context': ['http://www.w3.org/ns/odrl.jsonld', { auto: 'https://tollgate.example/ns/auto-odrl/1#' }],
    '@type': 'Agreement',
    uid,
    profile: 'https://tollgate.example/ns/auto-odrl/1',
    conflict: 'prohibit',
    'auto:version': version,
    assigner,
    assignee: INSURER,
    permission: [
      { uid: '#p1', target: targets, action: 'distribute', ...(constraint.length === 0 ? {} : { constraint }) },
    ],
    ...(deny.length === 0 ? {} : { prohibition: [{ uid: '#n1', target: deny, action: 'use' }] }),
  };
}

const from = (issuer: Party, more: Partial<Envelope>): Envelope => ({
  issuer: issuer.did,
  validFromMs: NOW - DAY,
  ...more,
});

export const grant = (text: PolicyText = {}, more: Partial<Envelope> = {}, by: Party = OWNER, extra: object = {}) =>
  signed(agreementCredential(from(by, more), policy({ assigner: by.did, ...text }), { act: 'grant', ...extra }), by);
export const limit = (text: PolicyText, by: Party = OWNER) =>
  signed(agreementCredential(from(by, {}), policy({ assigner: by.did, ...text }), { act: 'limit' }), by);
export const say = (
  act: 'withdraw' | 'suspend' | 'resume',
  version: number,
  agreement: string = UID,
  by: Party = OWNER,
  more: object = {},
) => signed(consentCredential(from(by, {}), { agreement, act, version, ...more }), by);
export const sell = (to: Party, version: number, by: Party = OWNER, unit: string = UNIT) =>
  signed(ownershipCredential(from(by, {}), { owner: to.did, version, unit }), by);
export const rate = (credit: number, version: number, more: Partial<Envelope> = {}, by: Party = RATER) =>
  signed(
    standingCredential(from(by, { validUntilMs: NOW + DAY, ...more }), {
      recipient: INSURER,
      credit,
      role: ['insurer'],
      version,
    }),
    by,
  );
export const LIST = 'https://status.example/1';
export const list = (
  purpose: 'revocation' | 'suspension',
  set: readonly number[],
  more: Partial<Envelope> = {},
  by: Party = OWNER,
) => signed(statusListCredential({ ...from(by, { validFromMs: NOW - 1000, ...more }), id: LIST }, purpose, set), by);

/** A signal of the tests. */
export function signal(name: string, dbcName = name): SignalInfo {
  const [message = '', own = ''] = dbcName.replace('dbc:', '').split('.');
  return {
    name,
    dbcName,
    channel: 0,
    message,
    signal: own,
    id: 1,
    unit: '',
    f: 1,
    o: 0,
    factor: 1,
    offset: 0,
    type: 'int',
    signed: false,
    bits: 8,
  };
}

export const SIGNALS = [
  signal('dbc:Motion.Speed'),
  signal('dbc:Steering.Angle'),
  signal('dbc:Battery.Charge'),
  signal('Vehicle.CurrentLocation.Latitude', 'dbc:Place.Lat'),
  signal('Vehicle.Driver.HeartRate', 'dbc:Seat.Beat'),
];

export const JUDGE: Judge = {
  unit: UNIT,
  standing: new Set([RATER.did]),
  catalogue: {
    signals: SIGNALS,
    byName: new Map(
      SIGNALS.flatMap((one) => [
        [one.name, one],
        [one.dbcName, one],
      ]),
    ),
  },
  nowMs: NOW,
};
