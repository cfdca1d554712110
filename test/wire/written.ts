import {
  ackLeaf,
  bootLeaf,
  consentLeaf,
  decisionLeaf,
  documentLeaf,
  encodeMeter,
  expressLeaf,
  gapLeaf,
  keyLeaf,
  meterLeaf,
  recordLeaf,
  timeJumpLeaf,
} from '#wire';
import * as parts from './parts.ts';

const { time, stream } = parts;
const consents = ['grant', 'limit', 'withdraw'] as const;
const decision = {
  campaign: 'ubi',
  recipient: 'did:web:a',
  signal: 'Vehicle.Speed',
  agreement: null,
  rule: null,
  reason: 'no permission',
  constraint: null,
  count: 0,
};
/** A leaf of each kind. */
export const leaves: readonly Uint8Array[] = [
  bootLeaf({ ...time, utcMs: null }, '0.1.0'),
  recordLeaf(parts.link),
  decisionLeaf(time, decision),
  decisionLeaf(time, { ...decision, agreement: 'urn:uuid:1', rule: '#n1', constraint: 'purpose', count: 4 }),
  documentLeaf(time, 'law-pack', 'cn', new Uint8Array(32)),
  gapLeaf(time, stream, [3, 4]),
  timeJumpLeaf(time, null, 5),
  ackLeaf(time, stream, 9, 2, Uint8Array.of(1)),
  ...consents.map((act) => consentLeaf(time, act, 'urn:uuid:1', new Uint8Array(32))),
  keyLeaf(time, 'destroy', 'spool', stream),
  expressLeaf(time, stream, 61, 10, new Uint8Array(32)),
  meterLeaf(time, new Uint8Array(16), encodeMeter(parts.meter), parts.meter.hour),
];
