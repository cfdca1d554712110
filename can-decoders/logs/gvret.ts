import { CAN_EFF_FLAG, CAN_EFF_MASK, CAN_SFF_MASK, CANFD_FDF } from '#contracts';
import { LineReader } from './lines.ts';

const COMMA = 0x2c;
const MICROS_PER_S = 1_000_000;
/** Microseconds since 1970 from September 2001 on; a clock that starts with the device needs 31 years to come there. */
const FIRST_UTC_SECONDS = 1_000_000_000;
/** Columns by their names in the first line, without blanks; GVRET of old lacks `Dir`. */
const COLUMNS = ['timestamp', 'id', 'extended', 'bus', 'len', 'd1'] as const;
type Column = (typeof COLUMNS)[number];

/**
 * CSV of SavvyCAN and GVRET: `Time Stamp,ID,Extended,Dir,Bus,LEN,D1,…,D8`, time in µs, id and bytes in hex, LEN in
 * decimal. The first line tells where the columns are; without one they are as above. A frame of more than 8 bytes is
 * CAN FD.
 */
export class GvretReader extends LineReader {
  readonly #columns: Record<Column, number> = { timestamp: 0, id: 1, extended: 2, bus: 4, len: 5, d1: 6 };
  readonly #payload = new Uint8Array(64);

  protected line(start: number, end: number): string | null {
    this.split(start, end, COMMA);
    this.#trim();
    if (this.is(0, 'time', false)) return this.#header();
    const { timestamp, id: idColumn, extended, bus, len, d1 } = this.#columns;
    if (!this.#micros(timestamp)) return 'a time is a number of microseconds';
    const isExtended = this.is(extended, 'true') || this.is(extended, '1');
    if (!isExtended && !this.is(extended, 'false') && !this.is(extended, '0')) return 'Extended is true or false';
    const id = this.word(idColumn, 16);
    if (id < 0 || id > (isExtended ? CAN_EFF_MASK : CAN_SFF_MASK))
      return 'an id is hex up to 7FF, or extended to 1FFFFFFF';
    const channel = this.word(bus, 10);
    if (channel < 0) return 'a bus is a number';
    const length = this.word(len, 10);
    if (length < 0 || length > 64) return 'LEN is a number up to 64';
    if (!this.payload(this.#payload, d1, length, 16)) return 'a frame has as many bytes as LEN says';
    if (this.sink.originNs === null) this.sink.hasUtc = this.seconds >= FIRST_UTC_SECONDS;
    this.sink.frame(
      this.seconds,
      this.ns,
      isExtended ? id | CAN_EFF_FLAG : id,
      length,
      length > 8 ? CANFD_FDF : 0,
      this.sink.numbered(channel),
      this.#payload,
      0,
      length,
    );
    return null;
  }

  /** Blanks around a value do not count. */
  #trim(): void {
    for (let i = 0; i < this.words; i++) {
      while (this.starts[i]! < this.ends[i]! && this.bytes[this.starts[i]!]! <= 0x20) this.starts[i]!++;
      while (this.ends[i]! > this.starts[i]! && this.bytes[this.ends[i]! - 1]! <= 0x20) this.ends[i]!--;
    }
  }

  #header(): string | null {
    for (const name of COLUMNS) this.#columns[name] = -1;
    for (let i = 0; i < this.words; i++) {
      const text = new TextDecoder().decode(this.bytes.subarray(this.starts[i], this.ends[i]));
      const name = COLUMNS.find((column) => column === text.toLowerCase().replaceAll(' ', ''));
      if (name !== undefined) this.#columns[name] = i;
    }
    if (COLUMNS.every((name) => this.#columns[name] >= 0)) return null;
    Object.assign(this.#columns, { timestamp: 0, id: 1, extended: 2, bus: 4, len: 5, d1: 6 });
    return 'the columns are Time Stamp, ID, Extended, Bus, LEN and D1 on';
  }

  /** Reads whole microseconds, with or without a fraction. */
  #micros(word: number): boolean {
    if (word >= this.words || !this.wide(this.starts[word]!, this.ends[word]!)) return false;
    const micros = this.seconds;
    const fraction = this.ns;
    this.seconds = Math.floor(micros / MICROS_PER_S);
    this.ns = (micros % MICROS_PER_S) * 1000 + Math.floor(fraction / MICROS_PER_S);
    return true;
  }
}
