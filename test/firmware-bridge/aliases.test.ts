import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TopicAliases } from '../../firmware-bridge/mqtt/aliases.ts';

describe('topic aliases', () => {
  it('carry the topic once, and two bytes from then on', () => {
    const aliases = new TopicAliases(10);
    expect(aliases.use('a')).toEqual({ alias: 1, withTopic: true });
    expect(aliases.use('b')).toEqual({ alias: 2, withTopic: true });
    expect(aliases.use('a')).toEqual({ alias: 1, withTopic: false });
  });

  it('are none where the broker grants none', () => {
    expect(new TopicAliases(0).use('a')).toBeNull();
  });

  it('stay with the topics that came first while those are in use', () => {
    const aliases = new TopicAliases(2);
    aliases.use('a');
    aliases.use('b');
    for (let i = 0; i < 1000; i++) {
      expect(aliases.use('c')).toBeNull();
      expect(aliases.use(i % 2 === 0 ? 'a' : 'b')).toMatchObject({ withTopic: false });
    }
  });

  it('go to another topic when theirs has ended', () => {
    const aliases = new TopicAliases(1);
    aliases.use('old');
    const uses = Array.from({ length: 1000 }, () => aliases.use('new'));
    expect(uses.filter((use) => use?.withTopic === true)).toEqual([{ alias: 1, withTopic: true }]);
    expect(uses.at(-1)).toEqual({ alias: 1, withTopic: false });
  });

  it('mean at the broker what they mean here, whatever is sent', () => {
    const topics = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 3_000 });
    fc.assert(
      fc.property(topics, fc.integer({ min: 0, max: 10 }), (sent, granted) => {
        const aliases = new TopicAliases(granted);
        const broker = new Map<number, string>();
        for (const topic of sent.map((number) => `t${number}`)) {
          const use = aliases.use(topic);
          if (use === null) continue;
          expect(use.alias).toBeGreaterThan(0);
          expect(use.alias).toBeLessThanOrEqual(granted);
          if (use.withTopic) broker.set(use.alias, topic);
          expect(broker.get(use.alias)).toBe(topic);
        }
      }),
      { numRuns: 50 },
    );
  });
});
