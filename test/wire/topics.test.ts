import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ackTopic, documentTopic, parseStreamTopic, proofTopic, recordTopic, sessionTopic, statusTopic } from '#wire';
import { stream, streamName, verdictOf } from './parts.ts';

const { tenant, pseudonym } = streamName;
const records = recordTopic(tenant, pseudonym, stream);

describe('a topic', () => {
  it('is written as formats say', () => {
    expect(records).toBe(`v1/t1/${pseudonym}/tx/AQIDBAUGBwg`);
    expect(sessionTopic(records)).toBe(`${records}/s`);
    expect(proofTopic(records)).toBe(`${records}/p`);
    expect(ackTopic(tenant, pseudonym)).toBe(`v1/t1/${pseudonym}/rx/ack`);
    expect(documentTopic(tenant, pseudonym)).toBe(`v1/t1/${pseudonym}/rx/doc`);
    expect(statusTopic(tenant, pseudonym)).toBe(`v1/t1/${pseudonym}/st`);
  });

  it('of a stream is taken apart into what it was made of', () => {
    const parts = { tenant, pseudonym, stream, records };
    expect(parseStreamTopic(records)).toEqual({ ...parts, kind: 'record' });
    expect(parseStreamTopic(sessionTopic(records))).toEqual({ ...parts, kind: 'session' });
    expect(parseStreamTopic(proofTopic(records))).toEqual({ ...parts, kind: 'proof' });
  });

  it('names tenant, pseudonym and stream for every one of them', () => {
    const name = fc.stringMatching(/^[a-z0-9-]{1,32}$/);
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    fc.assert(
      fc.property(name, bytes(16), bytes(8), (whose, unit, id) => {
        const alias = Buffer.from(unit).toString('base64url');
        expect(parseStreamTopic(recordTopic(whose, alias, id))).toMatchObject({
          tenant: whose,
          pseudonym: alias,
          stream: id,
        });
      }),
      { seed: 22 },
    );
  });

  it.each([
    ['another version', records.replace('v1', 'v2')],
    ['another way', records.replace('tx', 'rx')],
    ['an unknown suffix', `${records}/x`],
    ['a suffix of every object', `${records}/constructor`],
    ['a level too many', `${records}/s/s`],
    ['a level too few', `v1/t1/${pseudonym}/tx`],
    ['an upper case tenant', records.replace('t1', 'T1')],
    ['no tenant', records.replace('t1', '')],
    ['a long tenant', records.replace('t1', 'a'.repeat(33))],
    ['a short pseudonym', records.replace('AAAA', '')],
    ['a short stream', records.slice(0, -1)],
    ['another spelling of the same pseudonym', records.replace('AAAA/tx', 'AAAB/tx')],
    ['another spelling of the same stream', `${records.slice(0, -1)}h`],
    ['a wildcard', 'v1/+/+/tx/+'],
    ['nothing', ''],
  ])('with %s is none', (_what, topic) => {
    expect(parseStreamTopic(topic)).toBeNull();
  });

  it.each([
    ['a tenant with a level', 'a/b', pseudonym],
    ['a tenant with a wildcard', '+', pseudonym],
    ['no tenant', '', pseudonym],
    ['a pseudonym with a level', tenant, 'AAAAAAAAAAAAAAAAAAAAA/'],
    ['a pseudonym with a newline', tenant, `${pseudonym}\n`],
  ])('is not made of %s', async (_what, whose, unit) => {
    expect(await verdictOf(() => recordTopic(whose, unit, stream))).toBe('TG_WIRE_TOPIC');
    expect(await verdictOf(() => statusTopic(whose, unit))).toBe('TG_WIRE_TOPIC');
  });

  it('is not made of a stream that is not 8 bytes', async () => {
    expect(await verdictOf(() => recordTopic(tenant, pseudonym, stream.subarray(1)))).toBe('TG_WIRE_TOPIC');
  });
});
