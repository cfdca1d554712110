import { CAN_EFF_FLAG } from '#contracts';

/** One direction between two nodes: who sends the message, and where its flow control comes back. */
export interface IsoTpLink {
  /** Id word of the sender's frames, with the EFF bit. */
  readonly id: number;
  /** Id word of the receiver's flow control; absent where it is not on this bus or not known. */
  readonly flowId?: number;
  /** Extended addressing: first byte (N_TA) of the sender's frames, and of the receiver's. */
  readonly address?: number;
  readonly flowAddress?: number;
  /** Id word that its messages are handed over with, where it is not that of the frames. */
  readonly as?: number;
}

/** Ids of the answers to 11-bit OBD requests and of the requests, eight control units: ISO 15765-4, legislated-OBD CAN identifiers. */
const FIRST_ANSWER = 0x7e8;
const FIRST_REQUEST = 0x7e0;
const OBD_UNITS = 8;

/** Answers of control units to OBD requests with 11-bit ids, 0x7E8 to 0x7EF. */
export function obdLinks(): IsoTpLink[] {
  return Array.from({ length: OBD_UNITS }, (_, unit) => ({
    id: FIRST_ANSWER + unit,
    flowId: FIRST_REQUEST + unit,
  }));
}

/** Normal fixed addressing, physical: 18 DA, target, source (ISO 15765-2 §10.3.3). */
const FIXED_PHYSICAL = 0x18da_0000;
/** Address of the external test equipment: ISO 15765-4. */
const TESTER = 0xf1;

/**
 * Answers of control units to a tester with 29-bit ids.
 *
 * @param units addresses of the control units
 */
export function fixedLinks(units: readonly number[], tester = TESTER): IsoTpLink[] {
  return units.map((unit) => ({ id: fixedId(tester, unit), flowId: fixedId(unit, tester) }));
}

function fixedId(target: number, source: number): number {
  return (FIXED_PHYSICAL | (target << 8) | source | CAN_EFF_FLAG) >>> 0;
}
