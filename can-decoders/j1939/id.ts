/** PF from which the PS byte is a group extension, not a destination: SAE J1939-21 §5.2.4. */
const FIRST_PDU2_FORMAT = 240;
/** EDP, DP, PF and PS of a 29-bit id: SAE J1939-21 §5.2, figure 1. */
const PGN_BITS = 0x3_ffff;
/** EDP, DP and PF: what is left of a PGN where PS is a destination. */
const PDU1_BITS = 0x3_ff00;

/** The address that means everyone: SAE J1939-21 §5.2.5.1. */
export const GLOBAL_ADDRESS = 0xff;
/** The address of nobody (SAE J1939-81); databases write it where any source is meant. */
export const NULL_ADDRESS = 0xfe;

/**
 * Parameter group number of a 29-bit id, SAE J1939-21 §5.1.2: extended data page, data page, PDU format, and the PDU
 * specific byte where it is a group extension (PDU2, PF ≥ 240). The priority and the source are not part of it; in
 * PDU1 the destination is not either, its byte is 0.
 *
 * @param id 29 bits; flags above them are ignored
 * @returns 18 bits
 */
export function pgnOf(id: number): number {
  const pgn = (id >>> 8) & PGN_BITS;
  return isPdu2(id) ? pgn : pgn & PDU1_BITS;
}

/** Whether the id names a group for everyone (PDU2) and not a destination (PDU1), SAE J1939-21 §5.2.4. */
export function isPdu2(id: number): boolean {
  return ((id >>> 16) & 0xff) >= FIRST_PDU2_FORMAT;
}

/** Source address, the lowest byte: SAE J1939-21 §5.2.6. */
export function sourceOf(id: number): number {
  return id & 0xff;
}

/** Destination of a PDU1 id, the global address of a PDU2 id: SAE J1939-21 §5.2.5. */
export function destinationOf(id: number): number {
  return isPdu2(id) ? GLOBAL_ADDRESS : (id >>> 8) & 0xff;
}

/**
 * What an id of a frame and the id of a database's message have in common where they are the same parameter group:
 * priority, source and (PDU1) destination do not count.
 *
 * @param id 29 bits; flags above them are ignored
 */
export function matchKey(id: number): number {
  return pgnOf(id);
}
