import { TollgateError } from '#contracts';
import type { CheckedAck } from '../acks.ts';
import type { Ack, ProtocolState, Store } from '../store/contract.ts';
import { TokenBucket } from './bucket.ts';

/** Acknowledgements that are stored at once; above it the connection waits. */
const MOST_TAKING = 64;
/**
 * Acknowledgements that nobody signed whom the unit knows: so many at once, then so many a second, are checked; while
 * none is left, acknowledgements are let go unread. Rows stay, so a flood costs the sender of it and not the store.
 */
const REFUSED_AT_ONCE = 50;
const REFUSED_PER_S = 5;
/** Largest document, bytes. */
export const MOST_DOCUMENT_BYTES = 256 * 1024;
/** Documents at once and then a second: they are agreements and withdrawals, which people make. */
const DOCUMENTS_AT_ONCE = 60;
const DOCUMENTS_PER_S = 1;
/** The same trouble is reported once in this time, with the count of what came meanwhile, ms. */
const REPORT_MS = 60_000;

export interface IncomingOptions {
  readonly store: Pick<Store, 'ack' | 'head'>;
  readonly nowMs: () => number;
  verifyAck(bytes: Uint8Array, pseudonym: string): Promise<CheckedAck | null>;
  onDocument?(bytes: Uint8Array): Promise<void>;
  /** Signed by somebody whose word counts here, and not known yet: no flood and no full disk may lose it. */
  mustTake?(bytes: Uint8Array): boolean;
  reached(state: ProtocolState): void;
  /** A receiver answered. */
  heard(ack: Ack): void;
  /** A recipient has seen more leaves of this unit's ledger than it has. */
  rolledBack(ack: CheckedAck, size: number): Promise<void>;
  report(error: TollgateError): void;
}

/** What comes to the unit: acknowledgements and documents, each within its limits. */
export class Incoming {
  readonly #options: IncomingOptions;
  readonly #refusals: TokenBucket;
  readonly #documentBudget: TokenBucket;
  /** Acknowledgements that are being stored. */
  readonly #taking = new Set<Promise<void>>();
  readonly #reported = new Map<string, { atMs: number; since: number }>();
  /** Acknowledgements are let go unread until then, monotonic ms. */
  #deafUntilMs = 0;
  /** The ledger has at least so many leaves. */
  #ledgerSize = 0;
  acks = 0;
  refusedAcks = 0;
  documents = 0;
  refusedDocuments = 0;

  constructor(options: IncomingOptions) {
    this.#options = options;
    this.#refusals = new TokenBucket(REFUSED_PER_S, REFUSED_AT_ONCE, options.nowMs);
    this.#documentBudget = new TokenBucket(DOCUMENTS_PER_S, DOCUMENTS_AT_ONCE, options.nowMs);
  }

  /**
   * The connection does not wait for the store, which gathers answers for one sync: PUBACKs would wait behind each.
   * Only when many are being stored does it wait. What a crash takes here is asked for again, and answered again.
   */
  ack(bytes: Uint8Array, pseudonym: string): void | Promise<void> {
    if (this.#options.nowMs() < this.#deafUntilMs) {
      this.refusedAcks++;
      return;
    }
    const taken: Promise<void> = this.#take(bytes, pseudonym).finally(() => this.#taking.delete(taken));
    this.#taking.add(taken);
    return this.#taking.size < MOST_TAKING ? undefined : taken;
  }

  /**
   * The connection waits until the document was taken: a process that dies before gets it again. A flood uses up the rate
   * of strangers only: a withdrawal behind it is taken all the same.
   *
   * @throws {TollgateError} what kept a document from being taken whose word counts: the broker is to send it again
   */
  async document(bytes: Uint8Array): Promise<void> {
    if (bytes.length > MOST_DOCUMENT_BYTES) {
      this.#refuseDocument(`a document of ${bytes.length} bytes came, the largest is ${MOST_DOCUMENT_BYTES}`);
      return;
    }
    if (this.#documentBudget.take(1) > 0 && !this.#mustTake(bytes)) {
      this.#refuseDocument('more documents came than people make');
      return;
    }
    this.documents++;
    try {
      await this.#options.onDocument?.(bytes);
    } catch (error) {
      this.#options.report(asError(error));
      // Of a stranger's bytes it is let go: they must not be able to end the connection again and again.
      if (this.#mustTake(bytes)) throw error;
    }
  }

  #mustTake(bytes: Uint8Array): boolean {
    return this.#options.mustTake?.(bytes) ?? false;
  }

  /** Resolves when what came is stored. */
  async settled(): Promise<void> {
    await Promise.all(this.#taking);
  }

  async #take(bytes: Uint8Array, pseudonym: string): Promise<void> {
    const { store, verifyAck, reached, heard, report } = this.#options;
    try {
      const ack = await verifyAck(bytes, pseudonym);
      if (ack === null) {
        this.#refuse();
        return;
      }
      reached('ack-received');
      if (await this.#beyond(ack)) return;
      await store.ack(ack);
      this.acks++;
      reached('ack-stored');
      heard(ack);
    } catch (error) {
      // Nothing is lost: the rows stay, go again, and are acknowledged again.
      report(asError(error));
    }
  }

  /** The recipient verified a checkpoint of more leaves than are here: an older copy of the disk came back. */
  async #beyond(ack: CheckedAck): Promise<boolean> {
    const { checkpointSize = 0 } = ack;
    if (checkpointSize <= this.#ledgerSize) return false;
    const { size } = await this.#options.store.head();
    this.#ledgerSize = size;
    if (checkpointSize <= size) return false;
    await this.#options.rolledBack(ack, size);
    return true;
  }

  #refuse(): void {
    this.refusedAcks++;
    const waitMs = this.#refusals.take(1);
    if (waitMs > 0) this.#deafUntilMs = this.#options.nowMs() + waitMs;
    this.#reportOnce('TG_ACK_REFUSED', 'an acknowledgement came that no recipient of this unit signed');
  }

  #refuseDocument(text: string): void {
    this.refusedDocuments++;
    this.#reportOnce('TG_UPLINK_DOCUMENT', text);
  }

  #reportOnce(code: 'TG_ACK_REFUSED' | 'TG_UPLINK_DOCUMENT', text: string): void {
    const now = this.#options.nowMs();
    const last = this.#reported.get(code);
    if (last !== undefined && now - last.atMs < REPORT_MS) {
      last.since++;
      return;
    }
    const more = last === undefined || last.since === 0 ? '' : ` (and ${last.since} more since the last report)`;
    this.#reported.set(code, { atMs: now, since: 0 });
    this.#options.report(new TollgateError(code, `${text}${more}`));
  }
}

export function asError(error: unknown): TollgateError {
  if (error instanceof TollgateError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new TollgateError('TG_UPLINK_STORE', text, { cause: error });
}
