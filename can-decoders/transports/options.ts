import { CAN_EFF_FLAG, CAN_SFF_MASK } from '#contracts';

/** One direction of ISO-TP between two nodes, as a configuration or a command line says it; ids without flag bits. */
export interface IsoTpEntry {
  /** Id of the frames that carry the messages; above 0x7FF it has 29 bits. */
  readonly id: number;
  /** Id of the receiver's flow control, where it is on this bus. */
  readonly flow?: number;
  /** Extended (or mixed) addressing: first byte of the sender's frames, and of the receiver's. */
  readonly address?: number;
  readonly flowAddress?: number;
  /** Id of the message in the database. Default: `id`. */
  readonly message?: number;
  /**
   * `message`: the payload is that of the database's message. `obd`: answers to OBD services 01 and 09 and UDS service 22
   * are taken apart, one message a parameter, which the database multiplexes by service, then parameter. Default: message.
   */
  readonly content?: 'message' | 'obd';
  /** The database is written for whole single frames: a length byte stands before the payload. Only with `obd`. */
  readonly lengthByte?: boolean;
  /** Data bytes of DIDs by their number (`0xF190`), for UDS answers that hold several; ISO 14229-1 leaves them to the maker. */
  readonly dids?: Readonly<Record<string, number>>;
}

/** Which frames are matched by parameter group: those of messages that the database declares, every 29-bit one, or none. */
export type J1939Mode = 'declared' | 'every' | 'off';

export interface TransportOptions {
  readonly isotp?: readonly IsoTpEntry[];
  readonly j1939?: J1939Mode;
}

/** Id word with the EFF bit where the id needs 29 bits. */
export function wordOfId(id: number): number {
  return id > CAN_SFF_MASK ? (id | CAN_EFF_FLAG) >>> 0 : id;
}
