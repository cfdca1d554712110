import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CAN_EFF_FLAG, CAN_ERR_FLAG, CAN_RTR_FLAG, IdMatcher } from '#contracts';
import { loadDatabase } from '#dbc';
import { createBusDecoder, type IsoTpEntry, type J1939Mode, PgnMatcher, signalInfos } from '#decoders';

const EVERY = 'BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";\n';
const PRIORITIES = [3, 6];
/** Broadcast groups, one with a destination, and those of the transport protocol. */
const GROUPS = [0xfef1, 0xfeca, 0xea00, 0x1fef1, 0xec00];

interface Described {
  readonly id: number;
  readonly j1939: boolean;
  readonly isWanted: boolean;
}

const groupId = fc
  .tuple(fc.constantFrom(...PRIORITIES), fc.constantFrom(...GROUPS), fc.constantFrom(0, 3, 0xfe))
  .map(([priority, pgn, source]) => (priority << 26) | (pgn << 8) | source);
const messages = fc.uniqueArray(
  fc.record({
    id: fc.oneof(groupId, groupId, fc.constantFrom(0x100, 0x200, 0x7e8)),
    j1939: fc.boolean(),
    isWanted: fc.boolean(),
  }),
  { selector: ({ id }) => id, minLength: 1, maxLength: 8 },
);
const links = fc.uniqueArray(
  fc.record({ id: fc.constantFrom(0x7e8, 0x700, 0x18daf110), message: fc.constantFrom(0x100, 0x200, 0x18fef100) }),
  { selector: ({ id }) => id, maxLength: 2 },
);

const isWide = (id: number) => id > 0x7ff;
const wordOf = (id: number) => (isWide(id) ? id + CAN_EFF_FLAG : id);

function databaseOf(list: readonly Described[]) {
  const text = list.map(
    ({ id }, i) => `BO_ ${isWide(id) ? wordOf(id) : id} M${i}: 8 ECU\n SG_ S${i} : 0|8@1+ (1,0) [0|0] "" X\n`,
  );
  const declared = list.map(({ id, j1939 }) =>
    isWide(id) ? `BA_ "VFrameFormat" BO_ ${wordOf(id)} ${j1939 ? 3 : 1};\n` : '',
  );
  return loadDatabase(Buffer.from(text.join('') + EVERY + declared.join('')), { file: 'any.dbc' }).database;
}

describe('the filter of a plan', () => {
  it('lets a frame pass where a signal, a link or a long message of the plan is in it, and no other', () => {
    const word = fc
      .tuple(
        fc.oneof(
          fc
            .tuple(fc.nat(7), fc.oneof(fc.constantFrom(...GROUPS, 0xeb00), fc.nat(0x3ffff)), fc.nat(4), fc.nat(3))
            .map(([priority, pgn, source, destination]) => {
              const id = (priority << 26) | (pgn << 8) | [0, 3, 0xfe, 9, 0xff][source]!;
              // A destination, where the group has one.
              return ((id >>> 16) & 0xff) < 240 ? id | (destination << 8) : id;
            }),
          fc.constantFrom(0x100, 0x200, 0x7e8, 0x700, 0x18daf110, 0x101),
        ),
        fc.constantFrom(0, 0, 0, 0, CAN_RTR_FLAG, CAN_ERR_FLAG),
      )
      .map(([id, flags]) => (wordOf(id) | flags) >>> 0);
    const mode = fc.constantFrom<J1939Mode>('declared', 'every', 'off');
    fc.assert(
      fc.property(
        messages,
        links,
        mode,
        fc.array(word, { minLength: 20, maxLength: 60 }),
        (list, isotp, j1939, all) => {
          const database = databaseOf(list);
          const wanted = new Set(list.filter(({ isWanted }) => isWanted).map(({ id }) => wordOf(id)));
          const signals = signalInfos(database).filter(({ id }) => wanted.has(id));
          const { ids, masks } = createBusDecoder({ database, channel: 0, signals, isotp, j1939 });
          const matcher = IdMatcher.of({ ids: [ids], masks: [masks] }, 0);
          const { isTaken } = oracle(list, isotp, j1939, wanted);
          for (const one of [...all, ...list.map(({ id }) => wordOf(id))])
            expect([one.toString(16), matcher.passes(one)]).toEqual([one.toString(16), isTaken(one)]);
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** The same by the rules of the stage: first the group, then the whole id. */
function oracle(list: readonly Described[], isotp: readonly IsoTpEntry[], mode: J1939Mode, wanted: Set<number>) {
  const isGroup = ({ id, j1939 }: Described) => isWide(id) && (mode === 'every' || (mode === 'declared' && j1939));
  const hasGroups = list.some((one) => one.isWanted && isGroup(one));
  const matcher = new PgnMatcher(databaseOf(list), { every: mode === 'every' });
  const carriers = isotp.filter(({ message }) => wanted.has(wordOf(message!))).map(({ id }) => wordOf(id));
  const isTaken = (word: number) => {
    if ((word & (CAN_RTR_FLAG | CAN_ERR_FLAG)) !== 0) return false;
    if (carriers.includes(word)) return true;
    const group = hasGroups ? matcher.match(word | 0) >>> 0 : 0;
    if (wanted.has(group === 0 ? word : group)) return true;
    // Packets of long messages, of any group: what they carry is in their payload.
    const pgn = (word >>> 8) & 0x3ff00;
    return hasGroups && (word & CAN_EFF_FLAG) !== 0 && (pgn === 0xec00 || pgn === 0xeb00);
  };
  return { isTaken };
}
