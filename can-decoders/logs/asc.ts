import { CAN_EFF_FLAG, CAN_EFF_MASK, CAN_RTR_FLAG, CAN_SFF_MASK, CANFD_BRS, CANFD_ESI, CANFD_FDF } from '#contracts';
import { ascDate } from './dates.ts';
import { FD_LENGTHS } from './dlc.ts';
import { LineReader } from './lines.ts';
import type { LogOptions } from './reader.ts';

const HEX_BASE = 16;
const NS_PER_S = 1e9;
/** Flag of a CANFD line that marks a remote frame, counted from the byte behind the payload: duration, length, flags. */
const FLAGS_WORD = 2;
const REMOTE = 0x10;
/** Words that open lines without an event. */
const KEYWORDS = ['//', 'base', 'internal', 'no', 'begin', 'end', 'previous'];

/**
 * Vector ASC text (`time channel id Rx|Tx d|r …`, `time CANFD channel Rx|Tx id [name] BRS ESI DLC length …`,
 * `time channel ErrorFrame`), as python-can reads it. Events of other kinds (statistics, J1939TP, markers) are passed
 * over. `timestamps relative` counts from the event before, whatever its kind.
 *
 * A CANFD line of length 0 whose DLC is not 0 is a remote frame. ASC dates name no zone: see `LogOptions.zoneMinutes`.
 */
export class AscReader extends LineReader {
  readonly #zoneMinutes: number | undefined;
  readonly #payload = new Uint8Array(64);
  #base = HEX_BASE;
  #isRelative = false;
  /** Of boottime 0 of the measurement, seconds and ns. */
  #startSeconds = 0;
  #startNs = 0;
  #lastSeconds = 0;
  #lastNs = 0;

  constructor(options: LogOptions) {
    super(options);
    this.#zoneMinutes = options.zoneMinutes;
  }

  protected line(start: number, end: number): string | null {
    this.split(start, end);
    if (this.time(this.starts[0]!, this.ends[0]!)) return this.#event();
    if (this.is(0, 'date')) return this.#date(1);
    if (this.is(0, 'begin') && this.is(1, 'triggerblock')) return this.words > 2 ? this.#date(2) : null;
    if (this.is(0, 'base')) {
      if (!this.is(1, 'hex') && !this.is(1, 'dec')) return 'the base is hex or dec';
      this.#base = this.is(1, 'dec') ? 10 : HEX_BASE;
      this.#isRelative = this.is(3, 'relative');
      return null;
    }
    for (const keyword of KEYWORDS) if (this.is(0, keyword, keyword !== '//')) return null;
    return 'a line starts with a time, or is of the header';
  }

  #date(word: number): string | null {
    const text = new TextDecoder('windows-1252').decode(
      this.bytes.subarray(this.starts[word], this.ends[this.words - 1]),
    );
    // A trigger block may be of a log written in UTF-8: the name of March is the only one that differs.
    const ms = ascDate(text.replace('MÃ¤r', 'Mär'));
    if (ms === null) return 'a date is such as Thu Apr 20 10:17:26.123 pm 2017';
    if (this.#zoneMinutes === undefined) return null;
    const utcMs = ms - this.#zoneMinutes * 60_000;
    // Zero stands for "no date" in logs that were made by tools.
    if (utcMs <= 0) return null;
    this.#startSeconds = Math.floor(utcMs / 1000);
    this.#startNs = (utcMs % 1000) * 1e6;
    this.sink.hasUtc = true;
    return null;
  }

  #event(): string | null {
    if (this.#isRelative) {
      this.ns += this.#lastNs;
      this.seconds += this.#lastSeconds + Math.floor(this.ns / NS_PER_S);
      this.ns %= NS_PER_S;
      this.#lastSeconds = this.seconds;
      this.#lastNs = this.ns;
    }
    if (this.is(1, 'canfd')) return this.#fd();
    const channel = this.word(1, 10);
    if (channel < 0) return null;
    if (this.is(2, 'errorframe', false)) {
      this.#error(channel);
      return null;
    }
    if (!this.is(3, 'rx') && !this.is(3, 'tx') && !this.is(3, 'txrq')) return null;
    const id = this.#id(2);
    if (id === null) return 'an id is digits up to 7FF, or up to 1FFFFFFF with x behind';
    if (this.is(4, 'r', false)) {
      const asked = this.word(5, this.#base);
      this.#frame(id | CAN_RTR_FLAG, asked < 0 ? 0 : Math.min(asked, 8), 0, channel, 0);
      return null;
    }
    if (!this.is(4, 'd')) return 'a frame has d or r behind its direction';
    const dlc = this.word(5, this.#base);
    // Tools have been seen to write a length here, of more than a classic frame holds.
    if (dlc < 0 || dlc > 64) return 'a DLC is a number up to 64';
    const length = Math.min(dlc, 8);
    if (!this.payload(this.#payload, 6, length, this.#base)) return 'a frame has as many bytes as its DLC says';
    this.#frame(id, length, 0, channel, length);
    return null;
  }

  #fd(): string | null {
    const channel = this.word(2, 10);
    if (channel < 0) return 'a CANFD line has a channel';
    if (this.is(4, 'errorframe', false)) {
      this.#error(channel);
      return null;
    }
    const id = this.#id(4);
    if (id === null) return 'an id is digits up to 7FF, or up to 1FFFFFFF with x behind';
    // The name of the message may stand between id and BRS.
    const brs = this.word(5, 10) < 0 ? 6 : 5;
    const dlc = this.word(brs + 2, HEX_BASE);
    const length = this.word(brs + 3, 10);
    if (dlc < 0 || dlc > 15 || length < 0 || length > 64) return 'a CANFD line has BRS, ESI, DLC and a length up to 64';
    const flags =
      CANFD_FDF | (this.word(brs, 10) === 1 ? CANFD_BRS : 0) | (this.word(brs + 1, 10) === 1 ? CANFD_ESI : 0);
    const last = this.word(brs + 4 + FLAGS_WORD, HEX_BASE);
    if (length === 0 && (dlc > 0 || (last >= 0 && (last & REMOTE) !== 0))) {
      this.#frame(id | CAN_RTR_FLAG, FD_LENGTHS[dlc]!, flags, channel, 0);
      return null;
    }
    if (!this.payload(this.#payload, brs + 4, length, this.#base))
      return 'a frame has as many bytes as its length says';
    this.#frame(id, length, flags, channel, length);
    return null;
  }

  /** Id word of a word; null where there is no such id. */
  #id(word: number): number | null {
    if (word >= this.words) return null;
    const end = this.ends[word]!;
    const isExtended = (this.bytes[end - 1]! | 0x20) === 0x78;
    const id = this.number(this.starts[word]!, isExtended ? end - 1 : end, this.#base);
    if (id < 0 || id > (isExtended ? CAN_EFF_MASK : CAN_SFF_MASK)) return null;
    return isExtended ? id | CAN_EFF_FLAG : id;
  }

  #error(channel: number): void {
    this.sink.error(this.#startSeconds + this.seconds, this.#startNs + this.ns, this.sink.numbered(channel));
  }

  #frame(id: number, length: number, flags: number, channel: number, used: number): void {
    this.sink.frame(
      this.#startSeconds + this.seconds,
      this.#startNs + this.ns,
      id,
      length,
      flags,
      this.sink.numbered(channel),
      this.#payload,
      0,
      used,
    );
  }
}
