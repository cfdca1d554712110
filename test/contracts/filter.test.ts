import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CAN_EFF_FLAG,
  CAN_EFF_MASK,
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  CAN_SFF_MASK,
  CLASSIC_SLOT_BYTES,
  type FrameFilter,
  filterPairs,
  IdMatcher,
  keepWanted,
  OFFSET_CHANNEL,
  OFFSET_ID,
  wholeMask,
} from '#contracts';
import { channelFilter, idWords, passesKernel } from './filters.ts';

const filterOf = ({ ids, masks }: { ids: readonly number[]; masks: NonNullable<FrameFilter['masks']>[number] }) => ({
  ids: [ids],
  masks: [masks],
});

describe('a filter of ids and masks', () => {
  it('lets a frame pass where the rule of the kernel does, and no error frame', () => {
    fc.assert(
      fc.property(channelFilter, fc.array(idWords, { minLength: 1, maxLength: 50 }), (plan, words) => {
        const matcher = IdMatcher.of(filterOf(plan), 0);
        const all = [...plan.ids.map((id) => ({ id, mask: wholeMask(id) })), ...plan.masks];
        // What the plan names is tried as well: random ids seldom hit.
        for (const word of [...words, ...plan.ids, ...plan.masks.map(({ id }) => id)]) {
          const expected = (word & CAN_ERR_FLAG) === 0 && all.some((pair) => passesKernel(pair, word));
          expect(matcher.passes(word)).toBe(expected);
          expect(matcher.passes(word | 0)).toBe(expected);
        }
      }),
    );
  });

  it('is one list of pairs for the kernel, without ids that a mask has already', () => {
    const group = { id: 0x98fef100, mask: 0xc3ffff00 };
    const pairs = filterPairs({ ids: [[0x123, 0x98fef117, 0x98fef217]], masks: [[group]] }, 0);
    expect([...pairs!]).toEqual([0x80fef100, 0xc3ffff00, 0x123, 0xc00007ff, 0x98fef217, 0xdfffffff]);
  });

  it('of nothing lets nothing pass, and none at all lets everything pass', () => {
    expect(IdMatcher.of({ ids: [[]] }, 0).passes(0x123)).toBe(false);
    expect(IdMatcher.of({ ids: [null] }, 0).passes(CAN_ERR_FLAG)).toBe(true);
    expect(filterPairs({ ids: [] }, 3)).toBeNull();
  });

  it('tells 11 bits from 29, and a remote frame from its data', () => {
    const matcher = IdMatcher.of({ ids: [[0x123]] }, 0);
    const words = [0x123, 0x123 + CAN_EFF_FLAG, 0x123 + CAN_RTR_FLAG, 0x123 + CAN_ERR_FLAG];
    expect(words.map((word) => matcher.passes(word))).toEqual([true, false, false, false]);
    expect([wholeMask(0x123), wholeMask(0x80000123)]).toEqual([
      CAN_SFF_MASK + CAN_EFF_FLAG + CAN_RTR_FLAG,
      CAN_EFF_MASK + CAN_EFF_FLAG + CAN_RTR_FLAG,
    ]);
  });

  it('for all channels together lets pass what any of them wants', () => {
    const any = IdMatcher.ofAny({ ids: [[1], [2]], masks: [[], [{ id: 0x80fef100, mask: 0xc3ffff00 }]] });
    expect([1, 2, 3, 0x98fef103].map((word) => any.passes(word))).toEqual([true, true, false, true]);
    expect(IdMatcher.ofAny({ ids: [[1], null] }).passes(7)).toBe(true);
  });
});

describe('slots that are filtered where they lie', () => {
  it('are those that their channel wants, whole and in order', () => {
    const frame = fc.record({ id: fc.constantFrom(1, 2, 3, 0x98fef100), channel: fc.nat(1), mark: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 30 }), (frames) => {
        const bytes = new Uint8Array(frames.length * CLASSIC_SLOT_BYTES);
        const view = new DataView(bytes.buffer);
        for (const [i, { id, channel, mark }] of frames.entries()) {
          view.setUint32(i * CLASSIC_SLOT_BYTES + OFFSET_ID, id, true);
          bytes[i * CLASSIC_SLOT_BYTES + OFFSET_CHANNEL] = channel;
          bytes[(i + 1) * CLASSIC_SLOT_BYTES - 1] = mark;
        }
        const filter = { ids: [[1], [2]], masks: [[{ id: 0x80fef100, mask: 0xc3ffff00 }]] };
        const matchers = [IdMatcher.of(filter, 0), IdMatcher.of(filter, 1)];
        const kept = keepWanted(bytes, CLASSIC_SLOT_BYTES, frames.length, (channel) => matchers[channel]!);
        const wanted = frames.filter(({ id, channel }) => (channel === 0 ? id === 1 || id > 3 : id === 2));
        const seen = Array.from({ length: kept }, (_, i) => ({
          id: view.getUint32(i * CLASSIC_SLOT_BYTES + OFFSET_ID, true),
          channel: bytes[i * CLASSIC_SLOT_BYTES + OFFSET_CHANNEL],
          mark: bytes[(i + 1) * CLASSIC_SLOT_BYTES - 1],
        }));
        expect(seen).toEqual(wanted);
      }),
    );
  });
});
