import {
  CAN_EFF_FLAG,
  CAN_EFF_MASK,
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  CAN_SFF_MASK,
  CANFD_BRS,
  CANFD_ESI,
  CANFD_FDF,
} from '#contracts';
import { isDigit, NAME_BYTES } from '../candump/grammar.ts';
import { LineReader } from './lines.ts';

/** `candump -t z` and `-t d` count from the start; a UTC time of any CAN log is later than September 2001. */
const FIRST_UTC_SECONDS = 1_000_000_000;
const S_PER_DAY = 86_400;

/**
 * `candump` text as a person sees it (can-utils, `lib.c`, `sprint_long_canframe`): `  can0  123   [8]  00 11 …`, FD
 * frames with two digits in the brackets, `remote request`, with `-t a|d|z|A` a time in parentheses in front, with `-x`
 * a direction and `B`/`E` flags. What stands behind the payload (`-a`, ERRORFRAME) is passed over.
 *
 * Without times every frame has time 0. Dates of `-t A` are local times without a zone: they count, but are no UTC.
 */
export class PlainReader extends LineReader {
  readonly #payload = new Uint8Array(64);
  readonly #name = new Uint8Array(NAME_BYTES);

  protected line(start: number, end: number): string | null {
    this.split(start, end);
    let word = 0;
    this.seconds = 0;
    this.ns = 0;
    let isDate = false;
    if (this.bytes[this.starts[0]!] === 0x28) {
      word = this.#time();
      if (word < 0) return 'a time is (seconds.fraction) or (date time)';
      isDate = word === 2;
    }
    const name = word++;
    const brackets = this.#brackets(word);
    if (brackets < 0) return 'a frame is an interface, an id, a length in brackets and bytes';
    const nameLength = this.ends[name]! - this.starts[name]!;
    if (nameLength > NAME_BYTES) return 'an interface has a name of at most 32 characters';
    const idWord = brackets - 1;
    const digits = this.ends[idWord]! - this.starts[idWord]!;
    const number = this.word(idWord, 16);
    const isError = digits === 8 && (number & CAN_ERR_FLAG) !== 0;
    const most = digits === 3 ? CAN_SFF_MASK : isError ? (CAN_ERR_FLAG | CAN_EFF_MASK) >>> 0 : CAN_EFF_MASK;
    if (number < 0 || (digits !== 3 && digits !== 8) || number > most) {
      return 'an id has 3 digits up to 7FF or 8 digits up to 1FFFFFFF';
    }
    let id = digits === 8 && !isError ? number | CAN_EFF_FLAG : number | 0;
    const open = this.starts[brackets]!;
    const close = this.ends[brackets]!;
    const isFd = close - open === 4;
    const length = this.number(open + 1, close - 1, 10);
    if (length < 0 || length > (isFd ? 64 : 8)) return 'a length is [0] to [8], or [00] to [64] for CAN FD';
    const isRemote = this.is(brackets + 1, 'remote');
    if (isRemote) id |= CAN_RTR_FLAG;
    else if (!this.payload(this.#payload, brackets + 1, length, 16))
      return 'a frame has as many bytes as its length says';
    let flags = isFd ? CANFD_FDF : 0;
    // With -x: direction, then B or - for BRS and E or - for ESI.
    for (let i = name + 1; isFd && i < idWord; i++)
      flags |= this.is(i, 'b') ? CANFD_BRS : this.is(i, 'e') ? CANFD_ESI : 0;
    if (this.sink.originNs === null) this.sink.hasUtc = !isDate && this.seconds >= FIRST_UTC_SECONDS;
    for (let i = 0; i < nameLength; i++) this.#name[i] = this.bytes[this.starts[name]! + i]!;
    const channel = this.sink.channel(this.#name, nameLength);
    this.sink.frame(this.seconds, this.ns, id, length, flags, channel, this.#payload, 0, isRemote ? 0 : length);
    return null;
  }

  /** Reads the time in front; returns the word behind it, −1 where it is none. */
  #time(): number {
    const start = this.starts[0]! + 1;
    const end = this.ends[0]!;
    if (this.bytes[end - 1] === 0x29) return this.time(start, end - 1) ? 1 : -1;
    // (YYYY-MM-DD HH:MM:SS.ffffff)
    const clock = this.starts[1]!;
    if (this.words < 2 || end - start !== 10 || this.bytes[this.ends[1]! - 1] !== 0x29) return -1;
    const [year, month, day] = [this.#part(start, 4), this.#part(start + 5, 2), this.#part(start + 8, 2)];
    const [hour, minute] = [this.#part(clock, 2), this.#part(clock + 3, 2)];
    if (year < 1970 || month < 1 || month > 12 || day < 1 || hour < 0 || minute < 0) return -1;
    if (!this.time(clock + 6, this.ends[1]! - 1)) return -1;
    const days = Date.UTC(year, month - 1, day) / (S_PER_DAY * 1000);
    this.seconds += days * S_PER_DAY + hour * 3600 + minute * 60;
    return 2;
  }

  #part(at: number, digits: number): number {
    return isDigit(this.bytes[at]!) ? this.number(at, at + digits, 10) : -1;
  }

  /** The word `[n]` behind the id, at most four words on (with -x), −1 where there is none. */
  #brackets(id: number): number {
    for (let word = id + 1; word <= id + 4 && word < this.words; word++) {
      const length = this.ends[word]! - this.starts[word]!;
      const isOpen = this.bytes[this.starts[word]!] === 0x5b && this.bytes[this.ends[word]! - 1] === 0x5d;
      if (isOpen && (length === 3 || length === 4)) return word;
    }
    return -1;
  }
}
