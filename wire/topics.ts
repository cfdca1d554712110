import { TollgateError } from '#contracts';

/**
 * Topics name tenant, pseudonym and stream and nothing else: no purpose, campaign or recipient.
 * `v1/{tenant}/{pseudonym}/tx/{stream}` records · `…/s` session (retained) · `…/p` proof ·
 * `v1/{tenant}/{pseudonym}/rx/ack` · `…/rx/doc` · `…/st` status.
 */
export type TopicKind = 'record' | 'session' | 'proof';

/** A topic of the unit's side, taken apart. */
export interface StreamTopic {
  readonly tenant: string;
  /** 22 characters of base64url. */
  readonly pseudonym: string;
  /** 8 bytes. */
  readonly stream: Uint8Array;
  readonly kind: TopicKind;
  /** Topic of the records of the stream, which envelopes are bound to. */
  readonly records: string;
}

const TENANT = /^[a-z0-9-]{1,32}$/;
/** 16 and 8 bytes. The last character has 4 and 2 bits over; were they not 0, one name would have several spellings. */
const PSEUDONYM = /^[A-Za-z0-9_-]{21}[AQgw]$/;
const STREAM = /^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$/;
const STREAM_BYTES = 8;
const SUFFIX: Record<string, TopicKind> = { s: 'session', p: 'proof' };

function base(tenant: string, pseudonym: string): string {
  if (!TENANT.test(tenant)) throw new TollgateError('TG_WIRE_TOPIC', 'the tenant is not of the form [a-z0-9-]{1,32}');
  if (!PSEUDONYM.test(pseudonym))
    throw new TollgateError('TG_WIRE_TOPIC', 'the pseudonym is not 22 characters of base64url');
  return `v1/${tenant}/${pseudonym}`;
}

/** @throws {TollgateError} TG_WIRE_TOPIC, as all that make a topic of a tenant and a pseudonym */
export function recordTopic(tenant: string, pseudonym: string, stream: Uint8Array): string {
  if (stream.length !== STREAM_BYTES) throw new TollgateError('TG_WIRE_TOPIC', 'the stream is not 8 bytes');
  return `${base(tenant, pseudonym)}/tx/${Buffer.from(stream).toString('base64url')}`;
}

export function sessionTopic(records: string): string {
  return `${records}/s`;
}

export function proofTopic(records: string): string {
  return `${records}/p`;
}

export function ackTopic(tenant: string, pseudonym: string): string {
  return `${base(tenant, pseudonym)}/rx/ack`;
}

export function documentTopic(tenant: string, pseudonym: string): string {
  return `${base(tenant, pseudonym)}/rx/doc`;
}

export function statusTopic(tenant: string, pseudonym: string): string {
  return `${base(tenant, pseudonym)}/st`;
}

/** @returns null for anything that is no topic of a stream */
export function parseStreamTopic(topic: string): StreamTopic | null {
  const [version, tenant, pseudonym, way, name, suffix, ...rest] = topic.split('/');
  if (version !== 'v1' || way !== 'tx' || rest.length > 0) return null;
  if (tenant === undefined || pseudonym === undefined || name === undefined) return null;
  const kind = suffix === undefined ? 'record' : Object.hasOwn(SUFFIX, suffix) ? SUFFIX[suffix] : undefined;
  if (kind === undefined || !TENANT.test(tenant) || !PSEUDONYM.test(pseudonym) || !STREAM.test(name)) return null;
  const stream = new Uint8Array(Buffer.from(name, 'base64url'));
  return { tenant, pseudonym, stream, kind, records: `v1/${tenant}/${pseudonym}/tx/${name}` };
}
