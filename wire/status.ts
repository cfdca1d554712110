import { TollgateError } from '#contracts';

/** Whether a unit is there, and nothing else: counters would tell when and how far it drives. `status.cddl` */
export type UnitState = 'online' | 'offline';

const STATES: readonly UnitState[] = ['online', 'offline'];
const utf8 = new TextEncoder();

/** The retained message of a status topic. */
export function encodeStatus(state: UnitState): Uint8Array {
  return utf8.encode(`{"version":1,"state":"${state}"}`);
}

/**
 * @returns null for the empty message of a retired pseudonym
 * @throws {TollgateError} TG_WIRE_MALFORMED for anything else than the two texts of this version
 */
export function decodeStatus(bytes: Uint8Array): UnitState | null {
  if (bytes.length === 0) return null;
  const found = STATES.find((state) => Buffer.compare(encodeStatus(state), bytes) === 0);
  if (found === undefined) throw new TollgateError('TG_WIRE_MALFORMED', 'status: the whole is not of this version');
  return found;
}
