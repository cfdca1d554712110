import { PID_DATA_BYTES } from './pids.ts';

/** Added to the service of a request in a positive answer: ISO 14229-1 clause 8, SAE J1979 §6. */
const ANSWER = 0x40;
/** First byte of a negative answer, before the service and the response code: ISO 14229-1 clause 8. */
const NEGATIVE = 0x7f;
const NEGATIVE_BYTES = 3;
/** requestCorrectlyReceived-ResponsePending: the answer comes later, ISO 14229-1 annex A.1. */
export const RESPONSE_PENDING = 0x78;

/** Request current powertrain data: SAE J1979 (ISO 15031-5) §6.1. */
export const SERVICE_CURRENT_DATA = 0x01;
/** Request vehicle information: SAE J1979 (ISO 15031-5) §6.9. */
export const SERVICE_VEHICLE_INFORMATION = 0x09;
/** ReadDataByIdentifier: ISO 14229-1 §10.2. */
export const SERVICE_READ_DATA = 0x22;

const LARGEST_MESSAGE_BYTES = 4095;

/**
 * One parameter of an answer.
 *
 * @param id id word of the control unit's frames
 * @param service of the request: 0x01, 0x09 or 0x22
 * @param parameter PID, InfoType, or DID (16 bits)
 * @param bytes from `start`, `length` bytes, until the call returns: service byte of the answer, PID or DID, data; a
 *   database multiplexes by the first, then by the second
 */
export type ObdHandler = (
  id: number,
  timeNs: number,
  service: number,
  parameter: number,
  bytes: Uint8Array,
  start: number,
  length: number,
) => void;

/** @param code negative response code; `RESPONSE_PENDING` announces an answer */
export type NegativeHandler = (id: number, timeNs: number, service: number, code: number) => void;

export interface ObdCounters {
  /** Parameters handed over. */
  parameters: number;
  /** Negative answers without those that announce a later answer. */
  negative: number;
  pending: number;
  /** Answers handed over whole because where one parameter ends and the next begins could not be told. */
  unsplit: number;
  /** Answers of other services, and requests. */
  other: number;
  /** Answers too short to have a parameter, or a negative answer without its code. */
  malformed: number;
}

export interface ObdOptions {
  readonly onNegative?: NegativeHandler;
  /** Data bytes of DIDs, for answers that hold several; ISO 14229-1 leaves them to the vehicle maker. */
  readonly didBytes?: ReadonlyMap<number, number>;
  /**
   * Puts the length before the payload, as a single frame has it (its N_PCI byte): for databases that are written for
   * whole frames. Lengths above 255 read as 255. Default: false.
   */
  readonly lengthByte?: boolean;
}

/**
 * Takes messages of ISO 15765-2 and hands over the parameters in answers to OBD services 01 and 09 and to UDS service
 * 22, each as a payload of its own, because a frame of a database holds one multiplexer value. `push` has the form of an
 * `IsoTpHandler`. It never asks for anything.
 */
export class ObdAnswers {
  readonly counters: ObdCounters = { parameters: 0, negative: 0, pending: 0, unsplit: 0, other: 0, malformed: 0 };
  readonly #onParameter: ObdHandler;
  readonly #onNegative: NegativeHandler | undefined;
  readonly #didBytes: ReadonlyMap<number, number> | undefined;
  readonly #lead: 0 | 1;
  readonly #scratch = new Uint8Array(1 + LARGEST_MESSAGE_BYTES);

  constructor(onParameter: ObdHandler, { onNegative, didBytes, lengthByte = false }: ObdOptions = {}) {
    this.#onParameter = onParameter;
    this.#onNegative = onNegative;
    this.#didBytes = didBytes;
    this.#lead = lengthByte ? 1 : 0;
  }

  /** One message: its service byte is at `start`. Messages above 4095 bytes are left out as malformed. */
  push(id: number, timeNs: number, bytes: Uint8Array, start: number, length: number): void {
    if (length < 2 || length > LARGEST_MESSAGE_BYTES) {
      this.counters.malformed++;
      return;
    }
    const first = bytes[start]!;
    if (first === NEGATIVE) this.#negative(id, timeNs, bytes, start, length);
    else if (first === SERVICE_CURRENT_DATA + ANSWER) this.#answer(id, timeNs, bytes, start, length, 1);
    else if (first === SERVICE_VEHICLE_INFORMATION + ANSWER) this.#answer(id, timeNs, bytes, start, length, 1);
    else if (first === SERVICE_READ_DATA + ANSWER) this.#answer(id, timeNs, bytes, start, length, 2);
    else this.counters.other++;
  }

  #negative(id: number, timeNs: number, bytes: Uint8Array, start: number, length: number): void {
    if (length !== NEGATIVE_BYTES) {
      this.counters.malformed++;
      return;
    }
    const code = bytes[start + 2]!;
    if (code === RESPONSE_PENDING) this.counters.pending++;
    else this.counters.negative++;
    this.#onNegative?.(id, timeNs, bytes[start + 1]!, code);
  }

  /** @param width bytes of a PID (1) or a DID (2) */
  #answer(id: number, timeNs: number, bytes: Uint8Array, start: number, length: number, width: 1 | 2): void {
    if (length < 1 + width) {
      this.counters.malformed++;
      return;
    }
    const end = start + length;
    const service = bytes[start]! - ANSWER;
    const parameter = parameterAt(bytes, start + 1, width);
    const only = width + this.#bytesOf(service, parameter);
    const isOne = this.#bytesOf(service, parameter) === 0 || start + 1 + only === end;
    if (isOne || !this.#splits(service, bytes, start + 1, end, width)) {
      if (!isOne) this.counters.unsplit++;
      this.#emit(id, timeNs, bytes, start, start + 1, end, width);
      return;
    }
    for (let at = start + 1; at < end; ) {
      const next = at + width + this.#bytesOf(service, parameterAt(bytes, at, width));
      this.#emit(id, timeNs, bytes, start, at, next, width);
      at = next;
    }
  }

  /** Whether known parameters fill the answer to its last byte. */
  #splits(service: number, bytes: Uint8Array, from: number, end: number, width: 1 | 2): boolean {
    let at = from;
    while (at + width < end) {
      const size = this.#bytesOf(service, parameterAt(bytes, at, width));
      if (size === 0) return false;
      at += width + size;
    }
    return at === end;
  }

  /** Data bytes of a parameter, 0 where they are not known. */
  #bytesOf(service: number, parameter: number): number {
    if (service === SERVICE_READ_DATA) return this.#didBytes?.get(parameter) ?? 0;
    if (service === SERVICE_CURRENT_DATA) return PID_DATA_BYTES[parameter]!;
    // Only the lists of what is supported may be asked for together: SAE J1979 §6.9.
    return parameter % 0x20 === 0 ? 4 : 0;
  }

  #emit(id: number, timeNs: number, bytes: Uint8Array, head: number, at: number, end: number, width: 1 | 2): void {
    const scratch = this.#scratch;
    const length = 1 + end - at;
    if (this.#lead === 1) scratch[0] = Math.min(length, 0xff);
    scratch[this.#lead] = bytes[head]!;
    for (let to = this.#lead + 1, from = at; from < end; to++, from++) scratch[to] = bytes[from]!;
    this.counters.parameters++;
    const service = bytes[head]! - ANSWER;
    this.#onParameter(id, timeNs, service, parameterAt(bytes, at, width), scratch, 0, length + this.#lead);
  }
}

function parameterAt(bytes: Uint8Array, at: number, width: 1 | 2): number {
  return width === 1 ? bytes[at]! : (bytes[at]! << 8) | bytes[at + 1]!;
}
