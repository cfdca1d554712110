import type { TollgateError } from '#contracts';
import type { MqttLink, MqttOptions } from '#firmware-bridge/mqtt';
import type { CheckedAck } from '../acks.ts';
import type { ProtocolState, Store } from '../store/contract.ts';
import type { LinkOptions } from './line.ts';
import type { Suspension } from './suspension.ts';
import type { UplinkTiming } from './timing.ts';
import type { NetworkTraffic, TrafficFile } from './traffic.ts';

/** What others may see of the uplink as it works; never a payload, never a full topic. */
export interface UplinkObserver {
  reached?(state: ProtocolState): void;
  connection?(up: boolean): void;
  error?(error: TollgateError): void;
}

export interface UplinkOptions {
  readonly store: Store;
  readonly link: LinkOptions;
  readonly tenant: string;
  /** The unit's pseudonym now. Rows of earlier ones go under their own name, over a second connection. */
  readonly pseudonym: string;
  /** Messages in flight at most. */
  readonly window: number;
  /** The acknowledgement, or null where no recipient of this unit signed it. */
  verifyAck(bytes: Uint8Array, pseudonym: string): Promise<CheckedAck | null>;
  /**
   * A document or withdrawal for the unit, at most `MOST_DOCUMENT_BYTES`. The broker keeps it until the promise
   * resolves, and sends it again when the process dies before; so it may come twice.
   */
  onDocument?(bytes: Uint8Array): Promise<void>;
  /**
   * Whether a document is signed by somebody whose word counts and is not known yet: it is taken beyond every rate, and
   * where it could not be taken the connection ends without its PUBACK, so that the broker sends it again.
   */
  mustTake?(bytes: Uint8Array): boolean;
  /** Bytes a second on average, MQTT and topics counted; without it there is no cap. */
  readonly bandwidth?: number | undefined;
  /** Name of the network whose bytes are counted. */
  readonly network?: string;
  /** Keeps the count of bytes; without it the count begins with the process. */
  readonly traffic?: TrafficFile;
  /** What a process before found: nothing is sent. */
  readonly suspended?: Suspension | null;
  /** A recipient has seen a larger ledger than this one; no record leaves from now on. To be made durable. */
  onSuspended?(suspension: Suspension, ack: CheckedAck): Promise<void>;
  readonly observe?: UplinkObserver;
  readonly timing?: Partial<UplinkTiming>;
  /** How long a receiver may take to acknowledge before a row goes again, ms. */
  readonly ackTimeoutMs?: number;
  /** The one connect of the firmware bridge, or a test's. */
  readonly connect?: (options: MqttOptions) => Promise<MqttLink>;
}

export interface UplinkStatus {
  readonly connected: boolean;
  readonly paused: boolean;
  readonly connects: number;
  readonly published: number;
  readonly pubacked: number;
  /** Acknowledgements stored, and those that were not the recipient's or came too fast. */
  readonly acks: number;
  readonly refusedAcks: number;
  /** Documents handed over, and those that were too large or came too fast. */
  readonly documents: number;
  readonly refusedDocuments: number;
  /** Rows larger than the broker takes. */
  readonly tooLarge: number;
  /** Why no record is sent; null when all is well. */
  readonly suspended: Omit<Suspension, 'evidence'> | null;
  /** Bytes sent and received, a network. */
  readonly traffic: readonly NetworkTraffic[];
  /** Rows that were put back to be sent again. */
  readonly requeued: number;
  readonly inflight: number;
  /** Code of the newest error; null since the last connection that worked. */
  readonly lastError: string | null;
}

/** Sends the outbox. The MQTT library never is the store: a row leaves the store when its receiver acknowledged it. */
export interface Uplink {
  start(): void;
  /** Takes no more rows; what is in flight goes on. */
  pause(): void;
  resume(): void;
  /**
   * No row leaves while `work` runs, those in memory neither: they go back to the store, which `work` may change. For
   * withdrawals: what is gone from the store when `work` is done is not sent any more. What the connection was given
   * and the network has not taken within `CUT_MS` is thrown away with the connection.
   */
  hold<T>(work: () => Promise<T>): Promise<T>;
  /**
   * An answer that is no row, under the pseudonym of now, below its status topic; resolves at PUBACK.
   *
   * @throws {TollgateError} TG_BROKER_LOST where no connection stands
   */
  tell(suffix: string, payload: Uint8Array): Promise<void>;
  /**
   * The unit's pseudonym from now on: client id, certificate and topics follow; rows of the one before still go under
   * that name.
   */
  rename(pseudonym: string): void;
  /** True when everything that was committed before this call has a PUBACK, false after `ms`. */
  flush(ms: number): Promise<boolean>;
  /** True when every row was acknowledged by its receiver, false after `ms`. */
  settle(ms: number): Promise<boolean>;
  status(): UplinkStatus;
  /** Says goodbye; rows without PUBACK are sent by the next start. */
  close(): Promise<void>;
}
