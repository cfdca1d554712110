import { nearest, TollgateError } from '#contracts';
import type { Database, Message } from '#dbc';
import { createEncoder, type Encoder, idWord } from '#decoders';
import { Drive } from '../drive.ts';
import { MESSAGES } from './messages.ts';

/** The model's step, and the shortest cycle of a message, ms. */
export const STEP_MS = 10;
/** A classic frame of 8 bytes at 500 kbit/s with stuff bits, ns: frames that are due together follow each other. */
const FRAME_NS = 250_000;
const NS_PER_MS = 1_000_000;
const CYCLE_TIME = 'GenMsgCycleTime';

interface Task {
  readonly name: string;
  /** Id word with the EFF bit. */
  readonly id: number;
  readonly everySteps: number;
  /** Steps by which it is late, so that slow messages do not crowd into one step. */
  readonly phase: number;
  times: number;
}

/** Takes a frame: time since the start in ns, id word, payload. */
export type Take = (timeNs: number, id: number, data: Uint8Array) => void;

/** The bus of the simulated car: one step of the drive after the other, each message at its own cycle time. */
export class VehicleBus {
  readonly #drive: Drive;
  readonly #encoder: Encoder;
  readonly #tasks: readonly Task[];
  #step = 0;
  #hasMoved = false;

  /** @throws {TollgateError} TG_ENCODE_MESSAGE where the database lacks a message of the car or its cycle time */
  constructor(database: Database, seed: number) {
    this.#drive = new Drive(seed);
    this.#encoder = createEncoder(database);
    this.#tasks = Object.keys(MESSAGES).map((name, i) => taskOf(database, name, i));
  }

  /** Time of the next step since the start, ms. */
  get timeMs(): number {
    return this.#step * STEP_MS;
  }

  /**
   * Hands over the frames of one step and moves the car on.
   *
   * @param wanted a frame that is not wanted is not even encoded; it still counts as sent
   * @returns frames that were not wanted
   */
  step(take: Take, wanted: (id: number) => boolean = () => true): number {
    const { state } = this.#drive;
    const startNs = this.timeMs * NS_PER_MS;
    let due = 0;
    let skipped = 0;
    this.#hasMoved ||= state.speed > 0;
    for (const task of this.#tasks) {
      if (this.#step % task.everySteps !== task.phase) continue;
      const timeNs = startNs + due++ * FRAME_NS;
      const times = task.times++;
      if (!wanted(task.id)) {
        skipped++;
        continue;
      }
      const values = MESSAGES[task.name]!(state, { times, hasMoved: this.#hasMoved });
      take(timeNs, task.id, this.#encoder.encode(task.name, values).data);
    }
    this.#step++;
    this.#drive.advance(STEP_MS / 1000);
    return skipped;
  }
}

function taskOf(database: Database, name: string, index: number): Task {
  const message = database.messages.find((one) => one.name === name);
  const refuse = (what: string, remedy?: string) =>
    new TollgateError('TG_ENCODE_MESSAGE', what, { place: { file: database.file }, remedy });
  if (message === undefined) {
    const near = nearest(
      name,
      database.messages.map((one) => one.name),
    );
    throw refuse(
      `the simulated car sends ${name}, which this database lacks`,
      `Use dbc/databases/tollgate-vehicle.dbc${near === undefined ? '' : `, or rename ${near}`}.`,
    );
  }
  const cycleMs = cycleTime(message);
  if (cycleMs <= 0) throw refuse(`${name} has no ${CYCLE_TIME}`, `Give it BA_ "${CYCLE_TIME}" with a time in ms.`);
  const everySteps = Math.max(1, Math.round(cycleMs / STEP_MS));
  return { name, id: idWord(message), everySteps, phase: index % everySteps, times: 0 };
}

/** ms; 0 where the database does not say. */
function cycleTime({ attributes }: Message): number {
  const value = attributes.get(CYCLE_TIME);
  return typeof value === 'number' ? value : 0;
}
