import type { IdMatcher } from '#contracts';

interface Interface {
  readonly name: Uint8Array;
  /** −1: its frames are left out. */
  readonly channel: number;
}

/** Interface names of a log and what is wanted of each; asks its callers once a name, allocates nothing for known ones. */
export class Interfaces {
  readonly #channelOf: (name: string) => number | null;
  readonly #wanted: (channel: number) => IdMatcher;
  readonly #known: Interface[] = [];
  readonly #matchers: (IdMatcher | undefined)[] = [];
  #last: Interface | null = null;

  constructor(channelOf: (name: string) => number | null, wanted: (channel: number) => IdMatcher) {
    this.#channelOf = channelOf;
    this.#wanted = wanted;
  }

  /** The name that was asked for last; empty before the first. */
  get lastName(): Uint8Array {
    return this.#last === null ? NO_NAME : this.#last.name;
  }

  get lastChannel(): number {
    return this.#last === null ? -1 : this.#last.channel;
  }

  /** Channel of the name in the first `length` bytes, −1 where its frames are left out. */
  channel(name: Uint8Array, length: number): number {
    if (this.#last !== null && isSame(this.#last.name, name, length)) return this.#last.channel;
    for (const known of this.#known) {
      if (isSame(known.name, name, length)) {
        this.#last = known;
        return known.channel;
      }
    }
    const bytes = name.slice(0, length);
    const channel = this.#channelOf(String.fromCharCode(...bytes)) ?? -1;
    if (channel >= 0) this.#matchers[channel] ??= this.#wanted(channel);
    this.#last = { name: bytes, channel };
    // A log that invents names must not fill the memory; beyond this many the newest is simply asked for again.
    if (this.#known.length < MOST_INTERFACES) this.#known.push(this.#last);
    return channel;
  }

  /** @param id id word as a signed number */
  wants(channel: number, id: number): boolean {
    const matcher = this.#matchers[channel];
    return matcher === undefined || matcher.passes(id);
  }

  /** What is wanted has changed: asks again. */
  refilter(): void {
    for (let channel = 0; channel < this.#matchers.length; channel++)
      if (this.#matchers[channel] !== undefined) this.#matchers[channel] = this.#wanted(channel);
  }
}

const MOST_INTERFACES = 256;
const NO_NAME = new Uint8Array(0);

function isSame(known: Uint8Array, name: Uint8Array, length: number): boolean {
  if (known.length !== length) return false;
  for (let i = 0; i < length; i++) if (known[i] !== name[i]) return false;
  return true;
}
