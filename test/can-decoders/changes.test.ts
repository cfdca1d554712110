import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createDecoder, messageOf, type RowLayout, type Rows, signalInfos } from '#decoders';
import { ROW_MESSAGE } from '#decoders/layout';
import { batchOf, databases } from './databases.ts';

/** What differs, from the rows alone: the newest row of each message against the newest of the batches before. */
class SlowChanges {
  readonly #layout: RowLayout;
  readonly #newest = new Map<number, number[]>();

  constructor(layout: RowLayout) {
    this.#layout = layout;
  }

  /** Message and word behind its time, of each word that differs, and what it is now. */
  of({ u32, bytes }: Rows): string[] {
    const now = new Map<number, number[]>();
    for (let at = 0; at < bytes; ) {
      const index = messageOf(u32, at);
      const { rowBytes } = this.#layout.messages[index]!;
      now.set(index, [...u32.subarray((at + ROW_MESSAGE) / 4, (at + rowBytes) / 4)]);
      at += rowBytes;
    }
    return [...now].flatMap(([index, words]) => {
      const before = this.#newest.get(index) ?? words.map(() => 0);
      this.#newest.set(index, words);
      return words.flatMap((word, i) => (word === before[i] ? [] : [`${index}.${i}=${word}`]));
    });
  }
}

describe('the changes of a batch', () => {
  it('are the words in which the newest row of a message differs from the one before', () => {
    const cases = databases.chain((db) => {
      const ids = db.messages.map(({ id, extended }) => (extended ? (id | 0x8000_0000) >>> 0 : id));
      const frame = fc.record({
        id: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...ids) }, { weight: 1, arbitrary: fc.constant(0x7ff) }),
        data: fc.array(fc.constantFrom(0, 1, 0xff), { maxLength: 64 }),
      });
      return fc.record({
        db: fc.constant(db),
        batches: fc.array(fc.array(frame, { maxLength: 12 }), { minLength: 1, maxLength: 5 }),
        maxFrames: fc.constantFrom(1, 3, 64),
        form: fc.constantFrom('simd' as const, 'grouped' as const),
      });
    });
    let seen = 0;
    fc.assert(
      fc.property(cases, ({ db, batches, maxFrames, form }) => {
        const decoder = createDecoder({
          channel: 0,
          database: db,
          signals: signalInfos(db),
          maxFrames,
          form,
          changes: true,
        });
        const slow = new SlowChanges(decoder.layout);
        for (const frames of batches) {
          const expected = slow.of(decoder.decode(batchOf(frames, true))).sort();
          const { places, count, newest, firstCells } = decoder.changes!;
          const came = [...places.subarray(0, count)].map((place) => {
            const index = firstCells.findLastIndex((first, i) => {
              const { firstCell } = decoder.layout.messages[i]!;
              return place >= first - (firstCell - ROW_MESSAGE) / 4;
            });
            const start = firstCells[index]! - (decoder.layout.messages[index]!.firstCell - ROW_MESSAGE) / 4;
            return `${index}.${place - start}=${newest[place]}`;
          });
          expect(came.sort()).toEqual(expected);
          seen += came.length;
        }
      }),
      { numRuns: 400, seed: 20261125 },
    );
    expect(seen).toBeGreaterThan(2_000);
  });

  it('are not kept where nobody asked for them', () => {
    const db = fc.sample(databases, { numRuns: 1, seed: 1 })[0]!;
    const decoder = createDecoder({ channel: 0, database: db, signals: signalInfos(db) });
    expect(decoder.changes).toBeNull();
  });
});
