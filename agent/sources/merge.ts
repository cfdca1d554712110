import {
  type FrameBatch,
  type FrameFilter,
  type FrameSource,
  IdMatcher,
  keepWanted,
  OFFSET_TIME,
  TollgateError,
} from '#contracts';

const WORD = 2 ** 32;
const NS_PER_MS = 1e6;
/** In real time no frame waits longer than this for those behind it, ns. */
const REALTIME_SPAN_NS = 20e6;

export interface MergeOptions {
  /** Plays the frames at their own times. The sources themselves must not. */
  readonly realtime?: boolean;
}

/**
 * Logs of several buses that were recorded together, as one: their frames come in the order of their UTC times, and
 * boottime 0 of all of them is the earliest first frame. Frames of one time come in the order of the sources.
 *
 * Each source waits (its `deliver` is the back-pressure) until every other one has its next frames or has ended. A log
 * without UTC (ASC without a zone, relative times) rejects its `ended` with TG_LOG_NO_UTC: nothing says when it began.
 *
 * In real time the sources are read whole and filtered when their frames are due: what waits for its time must not have been
 * dropped for a plan that is none any more.
 */
export function mergedSources(sources: readonly FrameSource[], options: MergeOptions = {}): FrameSource[] {
  const merge = new Merge(options.realtime === true);
  return sources.map((source) => merge.add(source));
}

type Deliver = (batch: FrameBatch) => void | Promise<void>;

/** One source of a merge, and the batch of it that waits. */
class Member implements FrameSource {
  readonly name: string;
  readonly ended: Promise<void>;
  readonly inner: FrameSource;
  readonly #merge: Merge;
  deliver: Deliver | null = null;
  batch: FrameBatch | null = null;
  /** First frame of the batch that was not delivered. */
  next = 0;
  /** Boottime of the merge at boottime 0 of this log, ns; null before its first batch. */
  shiftNs: number | null = null;
  isOver = false;
  settle: { resolve: () => void; reject: (error: unknown) => void } | null = null;
  readonly #matcherOf = (channel: number) => (this.#matchers[channel] ??= IdMatcher.of(this.#filter, channel));
  #filter: FrameFilter = { ids: [] };
  #matchers: IdMatcher[] = [];
  #skipped = 0;

  constructor(inner: FrameSource, merge: Merge) {
    this.name = inner.name;
    this.inner = inner;
    this.#merge = merge;
    this.ended = inner.ended;
  }

  async open(deliver: Deliver, filter: FrameFilter): Promise<void> {
    this.deliver = deliver;
    const over = () => this.#merge.over(this);
    this.inner.ended.then(over, over);
    this.refilter(filter);
    const own = this.#merge.isPaced ? { ids: filter.ids.map(() => null) } : filter;
    await this.inner.open((batch) => this.#merge.offer(this, batch), own);
  }

  refilter(filter: FrameFilter): void {
    this.#filter = filter;
    this.#matchers = [];
    if (!this.#merge.isPaced) this.inner.refilter(filter);
  }

  /** The frames of these that are wanted now, moved to the front. */
  wanted(bytes: Uint8Array, { slotBytes }: FrameBatch, count: number): number {
    if (!this.#merge.isPaced) return count;
    const kept = keepWanted(bytes, slotBytes, count, this.#matcherOf);
    this.#skipped += count - kept;
    return kept;
  }

  dropped(): { count: number; exact: boolean } {
    return this.inner.dropped();
  }
  skipped(): number {
    return this.#skipped + this.inner.skipped();
  }
  malformed(): number {
    return this.inner.malformed();
  }

  async close(): Promise<void> {
    this.#merge.over(this);
    await this.inner.close();
  }
}

class Merge {
  readonly #members: Member[] = [];
  readonly isPaced: boolean;
  /** UTC of boottime 0, ns; null until every log has shown its first frame. */
  #originNs: bigint | null = null;
  #startMs = 0;
  #isRunning = false;

  constructor(isPaced: boolean) {
    this.isPaced = isPaced;
  }

  add(source: FrameSource): Member {
    const member = new Member(source, this);
    this.#members.push(member);
    return member;
  }

  /** The promise resolves when all frames of the batch went on. */
  async offer(member: Member, batch: FrameBatch): Promise<void> {
    if (batch.utcOffsetNs === null) {
      throw new TollgateError('TG_LOG_NO_UTC', `${member.name} does not say when it was recorded`);
    }
    if (member.isOver || batch.count === 0) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    member.settle = { resolve, reject };
    member.batch = batch;
    member.next = 0;
    // The shift waits for the origin where this is the first batch.
    if (member.shiftNs !== null) shift(batch, member.shiftNs);
    void this.#run();
    await promise;
  }

  over(member: Member): void {
    if (member.isOver) return;
    member.isOver = true;
    member.batch = null;
    member.settle?.resolve();
    void this.#run();
  }

  /** Delivers while no member has to show its next frames first. */
  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      while (this.#members.every(({ isOver, batch }) => isOver || batch !== null)) {
        this.#begin();
        const member = this.#earliest(null);
        if (member === null) break;
        await this.#deliver(member);
      }
    } finally {
      this.#isRunning = false;
    }
  }

  /** Sets the origin with the first frames of all logs, then the shift of each. */
  #begin(): void {
    const fresh = this.#members.filter(({ batch, shiftNs }) => batch !== null && shiftNs === null);
    if (fresh.length === 0) return;
    if (this.#originNs === null) {
      const origins = fresh.map(({ batch }) => batch!.utcOffsetNs!).sort((a, b) => (a < b ? -1 : 1));
      this.#originNs = origins[0]!;
      this.#startMs = performance.now();
    }
    for (const member of fresh) {
      member.shiftNs = Number(member.batch!.utcOffsetNs! - this.#originNs);
      shift(member.batch!, member.shiftNs);
    }
  }

  /** The member whose next frame is the earliest, of those that are not `other`. */
  #earliest(other: Member | null): Member | null {
    let found: Member | null = null;
    for (const member of this.#members) {
      if (member === other || member.batch === null) continue;
      if (found === null || timeOf(member.batch, member.next) < timeOf(found.batch!, found.next)) found = member;
    }
    return found;
  }

  /** The frames of a member up to the next one of another. */
  async #deliver(member: Member): Promise<void> {
    const batch = member.batch!;
    const other = this.#earliest(member);
    const limit = other === null ? Number.POSITIVE_INFINITY : timeOf(other.batch!, other.next);
    // Of one time the source that stands first goes first.
    const isFirst = other === null || this.#members.indexOf(member) < this.#members.indexOf(other);
    const from = member.next;
    const headNs = timeOf(batch, from);
    const spanNs = this.isPaced ? headNs + REALTIME_SPAN_NS : Number.POSITIVE_INFINITY;
    let end = from + 1;
    for (; end < batch.count; end++) {
      const timeNs = timeOf(batch, end);
      if (timeNs > limit || (timeNs === limit && !isFirst) || timeNs > spanNs) break;
    }
    member.next = end;
    try {
      if (this.isPaced) await sleepUntil(this.#startMs + timeOf(batch, end - 1) / NS_PER_MS, member);
      if (member.isOver) return;
      const { slotBytes } = batch;
      const bytes = batch.bytes.subarray(from * slotBytes, end * slotBytes);
      const count = member.wanted(bytes, batch, end - from);
      if (count > 0) await member.deliver!({ ...batch, bytes, count, utcOffsetNs: this.#originNs });
    } catch (error) {
      member.batch = null;
      member.settle!.reject(error);
      return;
    }
    if (end < batch.count || member.batch === null) return;
    member.batch = null;
    member.settle!.resolve();
  }
}

function timeOf({ bytes, slotBytes }: FrameBatch, frame: number): number {
  const at = frame * slotBytes + OFFSET_TIME;
  return word(bytes, at + 4) * WORD + word(bytes, at);
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** Moves the times of a batch, in place: it is the source's own, and no one has seen it yet. */
function shift({ bytes, slotBytes, count }: FrameBatch, ns: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, count * slotBytes);
  for (let at = OFFSET_TIME; at < count * slotBytes; at += slotBytes) {
    const timeNs = Math.max(0, view.getUint32(at + 4, true) * WORD + view.getUint32(at, true) + ns);
    view.setUint32(at, timeNs % WORD, true);
    view.setUint32(at + 4, Math.floor(timeNs / WORD), true);
  }
}

/** Looks now and then whether the member was closed. */
async function sleepUntil(atMs: number, member: Member): Promise<void> {
  for (let wait = atMs - performance.now(); wait > 0 && !member.isOver; wait = atMs - performance.now()) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(wait, 100)));
  }
}
