/** Payload bytes by data length code of CAN FD, ISO 11898-1 table 5. */
export const FD_LENGTHS = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64);
