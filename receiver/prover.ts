import { TollgateError } from '#contracts';
import { decodeProof } from '#wire';
import type { Alarms } from './alarms.ts';
import { NO_BATCH, type ReceiverStore, type WaitingProof } from './contract.ts';
import type { ReceiverKeys } from './keys.ts';
import { OWN_FAULTS } from './opening.ts';
import { claimedProofSeq, ProofChecker, type ProofOutcome } from './proof.ts';
import { type Stream, type Streams, streamKey } from './streams.ts';
import { keepProof } from './waiting-proofs.ts';

/** What a prover tells its receiver. */
export interface ProverEvents {
  /** A proof held and is stored; so many records more are proven. */
  proven(stream: Stream, records: number): void;
  /** A proof proved nothing new: its answer may have been lost. */
  stale(stream: Stream): void;
  refused(): void;
}

/** Another process was faster so often in a row: that is no race any more, the proof comes again. */
const MOST_RACES = 20;

/** From opened to proven: checks proofs, stores what they prove, keeps those that must wait. */
export class Prover {
  readonly #store: ReceiverStore;
  readonly #checker: ProofChecker;
  readonly #streams: Streams;
  readonly #alarms: Alarms;
  readonly #events: ProverEvents;

  constructor(store: ReceiverStore, keys: ReceiverKeys, streams: Streams, alarms: Alarms, events: ProverEvents) {
    this.#store = store;
    this.#checker = new ProofChecker(store, keys);
    this.#streams = streams;
    this.#alarms = alarms;
    this.#events = events;
  }

  /** A proof came; the records before it are stored as far as they came here. */
  async take(stream: Stream, bytes: Uint8Array): Promise<void> {
    const waiting = await this.#store.waiting(stream);
    const outcome = await this.#settle(stream, bytes);
    if (outcome?.kind === 'waits') await this.#keep(stream, outcome.seq, bytes);
    if (outcome?.kind === 'holds') this.#findChanged(stream, bytes, waiting);
    // What it named as evicted, or its ledger, may be all that another one waited for.
    if (outcome?.kind === 'holds') await this.#tryUnit(stream.unit);
  }

  /**
   * A unit says once, with each checkpoint, which one it published before: of two proofs that differ in that, the one
   * that had to wait was changed on its way.
   */
  #findChanged(stream: Stream, bytes: Uint8Array, waiting: readonly WaitingProof[]): void {
    const { seq, checkpoint, consistency } = decodeProof(bytes);
    for (const other of waiting) {
      if (other.seq !== seq) continue;
      const { checkpoint: note, consistency: start } = decodeProof(other.bytes);
      if (note !== checkpoint || start === null || start.fromSize === consistency?.fromSize) continue;
      const text = `a proof of record ${seq} that waited started from ${start.fromSize} leaves, which its unit never said`;
      this.#events.refused();
      this.#alarms.raise(stream, new TollgateError('TG_RECEIVER_PROOF', text), seq);
    }
  }

  /**
   * What waited for records or for another proof may hold now.
   *
   * @returns what the ledger of one that still waits has not shown, null where that keeps none
   */
  async tryWaiting(streams: readonly Stream[]): Promise<string | null> {
    let held: Stream | null = null;
    let open: string | null = null;
    for (const stream of streams) {
      for (const proof of await this.#store.waiting(stream)) {
        const outcome = await this.#settle(stream, proof.bytes);
        if (outcome?.kind === 'waits') open = outcome.open ?? open;
        if (outcome?.kind === 'holds') held = stream;
        else if (outcome?.kind !== 'waits') await this.#store.put({ ...NO_BATCH, dropped: [proof] });
      }
    }
    if (held !== null) await this.#tryUnit(held.unit);
    return open;
  }

  async #tryUnit(unit: string): Promise<void> {
    for (let again = true; again; ) {
      again = false;
      for (const { pseudonym, stream: id, seq, bytes } of await this.#store.waitingOf(unit)) {
        const stream = await this.#find(pseudonym, id);
        if (stream === null) continue;
        const outcome = await this.#settle(stream, bytes);
        again ||= outcome?.kind === 'holds';
        if (outcome === null || outcome.kind === 'stale') {
          await this.#store.put({ ...NO_BATCH, dropped: [{ pseudonym, stream: id, seq, bytes }] });
        }
      }
    }
  }

  /** A stream whose session our keys open no more is not what this is about. */
  async #find(pseudonym: string, id: Uint8Array): Promise<Stream | null> {
    try {
      return await this.#streams.find(pseudonym, id);
    } catch (error) {
      if (!(error instanceof TollgateError) || OWN_FAULTS.includes(error.code)) throw error;
      return null;
    }
  }

  async #keep(stream: Stream, seq: number, bytes: Uint8Array): Promise<void> {
    const { pseudonym, stream: id } = stream;
    const change = keepProof(await this.#store.waiting(stream), { pseudonym, stream: id, seq, bytes });
    if (change === null) return;
    await this.#store.put({ ...NO_BATCH, ...change });
    // Another process may have stored the last record, and looked for waiting proofs, just before this one waited.
    await this.#streams.refresh([stream]);
    await this.tryWaiting([stream]);
  }

  /** Checks until the store agrees with what was checked. Null: refused, and told. */
  async #settle(stream: Stream, bytes: Uint8Array): Promise<ProofOutcome | null> {
    for (let race = 0; race < MOST_RACES; race++) {
      const outcome = await this.#check(stream, bytes);
      if (outcome === null) return null;
      const { kind } = outcome;
      if (kind === 'fork' || kind === 'broken') {
        await this.#accuse(stream, outcome);
        return null;
      }
      if (kind === 'stale') this.#events.stale(stream);
      if (kind !== 'holds') return outcome;
      const { step } = outcome;
      if (await this.#store.prove(step)) {
        const { progress } = stream;
        await this.#streams.refresh([stream]);
        stream.provenChain = progress.provenSeq === step.seq ? step.chain : stream.provenChain;
        this.#events.proven(stream, step.seq - step.from);
        return outcome;
      }
      await this.#streams.refresh([stream]);
    }
    return { kind: 'waits', seq: -1, open: null };
  }

  async #accuse(stream: Stream, outcome: ProofOutcome & { readonly kind: 'fork' | 'broken' }): Promise<void> {
    const { seq, why, notes } = outcome;
    const error = new TollgateError(outcome.kind === 'fork' ? 'TG_RECEIVER_ROLLBACK' : outcome.code, why);
    this.#events.refused();
    // Two notes for one size are signed by the unit itself. All else could be its carrier's doing.
    if (outcome.kind === 'fork') await this.#store.distrust(stream.unit, why);
    const key = outcome.kind === 'fork' ? stream.unit : streamKey(stream.pseudonym, stream.stream);
    await this.#alarms.lasting(stream, error, seq, `${key} ${why}`, notes);
  }

  async #check(stream: Stream, bytes: Uint8Array): Promise<ProofOutcome | null> {
    try {
      return await this.#checker.check(stream, bytes);
    } catch (error) {
      if (!(error instanceof TollgateError) || OWN_FAULTS.includes(error.code)) throw error;
      this.#events.refused();
      this.#alarms.raise(stream, error, claimedProofSeq(bytes));
      return null;
    }
  }
}
