import { TollgateError } from '#contracts';
import { ackTopic, chainStart } from '#wire';
import type { Position, ReceiverStore, StoredStream, StreamId } from './contract.ts';
import type { ReceiverKeys } from './keys.ts';
import { acceptSession, type Opening } from './opening.ts';
import { Progress } from './progress.ts';

/** A stream in memory: its opened session, and how far it got when the store was last asked. */
export interface Stream extends StoredStream {
  readonly opening: Opening;
  readonly progress: Progress;
  readonly ackTopic: string;
  /** Numbers that were taken and are not stored yet. */
  readonly taken: Set<number>;
  /** Chain value at `progress.provenSeq`. */
  provenChain: Uint8Array;
  /** Size of the unit's largest accepted checkpoint. */
  headSize: number;
}

/** Streams held open at once; the one that was silent longest is read again from the store when it speaks. */
export const MOST_STREAMS = 512;

export function streamKey(pseudonym: string, stream: Uint8Array): string {
  return `${pseudonym}/${Buffer.from(stream).toString('base64url')}`;
}

/** The streams of a receiver: a bounded part of the store in memory, and sessions that are not stored yet. */
export class Streams {
  readonly #store: ReceiverStore;
  readonly #keys: ReceiverKeys;
  readonly #open = new Map<string, Stream>();
  readonly #fresh = new Set<Stream>();
  readonly #owners = new Map<string, string>();

  constructor(store: ReceiverStore, keys: ReceiverKeys) {
    this.#store = store;
    this.#keys = keys;
  }

  /** @returns null where no session of the stream has come */
  async find(pseudonym: string, id: Uint8Array): Promise<Stream | null> {
    const key = streamKey(pseudonym, id);
    const open = this.#open.get(key);
    if (open !== undefined) {
      this.#open.delete(key);
      this.#open.set(key, open);
      return open;
    }
    const state = await this.#store.stream(pseudonym, id);
    if (state === null) return null;
    const { tenant, session, position } = state;
    const opening = await acceptSession({ tenant, pseudonym, stream: id }, session, this.#keys);
    if (opening === 'other') {
      throw new TollgateError(
        'TG_RECEIVER_SESSION',
        'the store holds a session that the key of this receiver does not open',
      );
    }
    const stream = this.#hold(make(state, opening));
    settle(stream, position);
    return stream;
  }

  /** A session was accepted. */
  async add(
    where: Pick<Stream, 'tenant' | 'pseudonym' | 'stream'>,
    session: Uint8Array,
    opening: Opening,
  ): Promise<Stream> {
    const { tenant, pseudonym, stream: id } = where;
    const { unit } = opening;
    const stream = this.#hold(make({ tenant, pseudonym, stream: id, unit, session }, opening));
    // A unit that lost the newest part of its ledger learns it from the first answer.
    stream.headSize = (await this.#store.head(unit, stream.bootId)).size;
    this.#fresh.add(stream);
    this.#owners.set(pseudonym, unit);
    return stream;
  }

  /** Asks the store how far these got: other processes store too. */
  async refresh(streams: readonly Stream[]): Promise<readonly Position[]> {
    if (streams.length === 0) return [];
    const positions = await this.#store.positions(streams);
    for (const [i, stream] of streams.entries()) settle(stream, positions[i]!);
    return positions;
  }

  /** The unit that a pseudonym belongs to; null where it is new. */
  async unitOf(pseudonym: string): Promise<string | null> {
    return this.#owners.get(pseudonym) ?? (await this.#store.unitOf(pseudonym));
  }

  get fresh(): readonly Stream[] {
    return [...this.#fresh];
  }

  unstored(stream: Stream): boolean {
    return this.#fresh.has(stream);
  }

  /** What was fresh is durable, but for those that contradict what is stored. */
  stored(contradicted: readonly StreamId[]): void {
    this.#fresh.clear();
    this.#owners.clear();
    for (const { pseudonym, stream } of contradicted) this.#open.delete(streamKey(pseudonym, stream));
    for (const key of this.#open.keys()) {
      if (this.#open.size <= MOST_STREAMS) break;
      this.#open.delete(key);
    }
  }

  #hold(stream: Stream): Stream {
    this.#open.set(streamKey(stream.pseudonym, stream.stream), stream);
    return stream;
  }
}

function make(of: Omit<StoredStream, 'bootId'>, opening: Opening): Stream {
  const { tenant, pseudonym, stream, unit, session } = of;
  const { bootId } = opening.schema;
  return {
    ...{ tenant, pseudonym, stream, unit, bootId, session, opening },
    progress: new Progress(),
    ackTopic: ackTopic(tenant, pseudonym),
    taken: new Set(),
    provenChain: chainStart(stream),
    headSize: 0,
  };
}

function settle(stream: Stream, position: Position): void {
  const before = stream.progress.provenSeq;
  stream.progress.update(position);
  if (stream.progress.provenSeq > before) stream.provenChain = position.provenChain;
  stream.headSize = Math.max(stream.headSize, position.headSize);
}
