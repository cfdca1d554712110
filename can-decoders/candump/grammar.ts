/** Where in a line of `candump -L` the parser is. */
export const State = {
  Start: 0,
  Seconds: 1,
  Fraction: 2,
  BeforeName: 3,
  Name: 4,
  Id: 5,
  Hash: 6,
  Flags: 7,
  /** Before the first digit of a payload byte, or behind the last byte. */
  Data: 8,
  DataLow: 9,
  Remote: 10,
  RemoteTail: 11,
  Dlc: 12,
  Tail: 13,
  /** In a line that was refused. */
  Skip: 14,
} as const;
export type State = (typeof State)[keyof typeof State];

/** `(` */
export const FIRST_CHARACTER = 0x28;
/** Twice IFNAMSIZ: names in logs of other tools are longer than the kernel's. */
export const NAME_BYTES = 32;

/** Value of a hex digit by its character, −1 for any other. */
export const HEX = Int8Array.from({ length: 256 }, (_, byte) =>
  '0123456789abcdef'.indexOf(String.fromCharCode(byte).toLowerCase()),
);

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}
