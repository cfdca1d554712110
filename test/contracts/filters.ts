import fc from 'fast-check';
import { CAN_EFF_FLAG, CAN_EFF_MASK, CAN_ERR_FLAG, CAN_RTR_FLAG, type IdMask } from '#contracts';

/** Ids close together, so that masks and frames meet often. */
const id = fc.oneof(
  fc.nat(0x7ff),
  fc.nat(0x3f),
  fc.nat(CAN_EFF_MASK).map((one) => one + CAN_EFF_FLAG),
  fc
    .tuple(fc.nat(7), fc.constantFrom(0xfef1, 0xfeca, 0xec00, 0xea00), fc.nat(3))
    .map(([priority, pgn, source]) => ((priority << 26) | (pgn << 8) | source) + CAN_EFF_FLAG),
);

/** Id words as a bus has them: 11 or 29 bits, now and then a remote or an error frame. */
export const idWords = fc
  .tuple(id, fc.constantFrom(0, 0, 0, CAN_RTR_FLAG, CAN_ERR_FLAG))
  .map(([word, flags]) => (word + flags) >>> 0);

const FORM = CAN_EFF_FLAG + CAN_RTR_FLAG;
const idMask: fc.Arbitrary<IdMask> = fc
  .tuple(
    id,
    fc.oneof(fc.nat(CAN_EFF_MASK), fc.constantFrom(0x03ff_ff00, 0x03ff_0000, 0x7f0, 0x700, CAN_EFF_MASK, 0x7ff, 0)),
  )
  .map(([word, mask]) => ({ id: word, mask: mask + FORM }));

/** What a plan may want of one channel. */
export const channelFilter = fc.record({
  ids: fc.array(id, { maxLength: 12 }),
  masks: fc.array(idMask, { maxLength: 6 }),
});

/** `linux/can.h`, struct can_filter. */
export function passesKernel({ id: wanted, mask }: IdMask, word: number): boolean {
  return ((word & mask) ^ (wanted & mask)) === 0;
}
