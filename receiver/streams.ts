import { TollgateError } from '#contracts';
import { ackTopic, chainStart } from '#wire';
import type { Batch, EvictedRecord, KnownCheckpoint, ReceiverStore, StoredStream } from './contract.ts';
import type { ReceiverKeys } from './keys.ts';
import { acceptSession, type Opening } from './opening.ts';
import { Progress } from './progress.ts';
import { WaitingProofs } from './waiting-proofs.ts';

/** A stream in memory: its opened session, and how far it got. */
export interface Stream extends StoredStream {
  readonly opening: Opening;
  readonly progress: Progress;
  readonly ackTopic: string;
  provenChain: Uint8Array;
  readonly waitingProofs: WaitingProofs;
  /** Size of the newest checkpoint that proved something of this stream; 0 before the first. */
  checkpointSize: number;
  /** The alarm for unproven records was raised. */
  alarmed: boolean;
}

/** Streams held open at once; the one that was silent longest is read again from the store when it speaks. */
export const MOST_STREAMS = 512;

export function streamKey(pseudonym: string, stream: Uint8Array): string {
  return `${pseudonym}/${Buffer.from(stream).toString('base64url')}`;
}

/** The streams of a receiver: a bounded part of the store in memory, and what of it is not stored yet. */
export class Streams {
  readonly #store: ReceiverStore;
  readonly #keys: ReceiverKeys;
  readonly #open = new Map<string, Stream>();
  readonly #fresh = new Set<Stream>();
  readonly #changed = new Set<Stream>();
  readonly #owners = new Map<string, string>();
  evicted: EvictedRecord[] = [];
  #checkpoints: KnownCheckpoint[] = [];

  constructor(store: ReceiverStore, keys: ReceiverKeys) {
    this.#store = store;
    this.#keys = keys;
  }

  all(): Iterable<Stream> {
    return this.#open.values();
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
    const { tenant, session } = state;
    const opening = await acceptSession({ tenant, pseudonym, stream: id }, session, this.#keys);
    if (opening === 'other') {
      throw new TollgateError(
        'TG_RECEIVER_SESSION',
        'the store holds a session that the key of this receiver does not open',
      );
    }
    return this.#hold({
      tenant,
      pseudonym,
      stream: id,
      unit: state.unit,
      session,
      opening,
      progress: new Progress(state),
      ackTopic: ackTopic(tenant, pseudonym),
      provenChain: state.provenSeq < 0 ? chainStart(id) : state.provenChain,
      waitingProofs: new WaitingProofs(state.waitingProof),
      checkpointSize: (await this.#store.checkpoint(state.unit))?.size ?? 0,
      alarmed: false,
    });
  }

  /** A session was accepted. */
  add(where: Pick<Stream, 'tenant' | 'pseudonym' | 'stream'>, session: Uint8Array, opening: Opening): Stream {
    const { tenant, pseudonym, stream: id } = where;
    const stream = this.#hold({
      tenant,
      pseudonym,
      stream: id,
      unit: opening.unit,
      session,
      opening,
      progress: new Progress({ next: 0, beyond: [], provenSeq: -1 }),
      ackTopic: ackTopic(tenant, pseudonym),
      provenChain: chainStart(id),
      waitingProofs: new WaitingProofs(),
      checkpointSize: 0,
      alarmed: false,
    });
    this.#fresh.add(stream);
    this.#owners.set(pseudonym, opening.unit);
    return stream;
  }

  /** The unit that a pseudonym belongs to; null where it is new. */
  async unitOf(pseudonym: string): Promise<string | null> {
    return this.#owners.get(pseudonym) ?? (await this.#store.unitOf(pseudonym));
  }

  /** The stream's progress goes into the next transaction. */
  touch(stream: Stream): void {
    this.#changed.add(stream);
  }

  saw(checkpoint: KnownCheckpoint): void {
    this.#checkpoints.push(checkpoint);
  }

  unstored(stream: Stream): boolean {
    return this.#fresh.has(stream);
  }

  changes(): Pick<Batch, 'streams' | 'evicted' | 'progress' | 'checkpoints'> {
    const progress = [...this.#changed].map(({ pseudonym, stream, progress: p, provenChain, waitingProofs }) => {
      const waitingProof = waitingProofs.packed();
      return { pseudonym, stream, next: p.next, provenSeq: p.provenSeq, provenChain, waitingProof };
    });
    return { streams: [...this.#fresh], evicted: this.evicted, progress, checkpoints: this.#checkpoints };
  }

  /** What `changes` returned is durable. */
  stored(): void {
    this.#fresh.clear();
    this.#changed.clear();
    this.#owners.clear();
    this.evicted = [];
    this.#checkpoints = [];
    for (const [key, stream] of this.#open) {
      if (this.#open.size <= MOST_STREAMS) break;
      // An unproven stream stays: somebody must raise its alarm.
      if (stream.progress.waitingSinceMs === null || stream.alarmed) this.#open.delete(key);
    }
  }

  #hold(stream: Stream): Stream {
    this.#open.set(streamKey(stream.pseudonym, stream.stream), stream);
    return stream;
  }
}
