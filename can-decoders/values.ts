import type { SignalInfo } from '#contracts';
import type { Database, Signal } from '#dbc/model';
import { CellReader } from './cells.ts';
import type { Rows } from './decoder.ts';
import { hasSpnStatus, type SpnStatus, spnStatus } from './j1939/status.ts';
import { isPresent, isShort, type MessageLayout, messageOf, ROW_TIME, type RowLayout } from './layout.ts';
import { exact, idWord, labelOf } from './signals.ts';

/** One row as an object: for people, tools and tests, never for the path of a frame. */
export interface DecodedFrame {
  readonly message: MessageLayout;
  /** Boottime, ns. */
  readonly timeNs: number;
  /** The frame is shorter than its message, or a signal lies beyond its end; what fits is in `values`. */
  readonly short: boolean;
  /** Physical values by DBC signal name, in the order of the database; bigint where a double would round an integer. */
  readonly values: ReadonlyMap<string, number | bigint>;
  /** VAL_ texts of the values that have one. */
  readonly labels: ReadonlyMap<string, string>;
  /** Signals whose raw value is an indicator of J1939 ("not available", "error", …): they have no value. */
  readonly statuses: ReadonlyMap<string, Exclude<SpnStatus, 'valid'>>;
}

export interface RowReaderOptions {
  /**
   * Whose raw values may be indicators: signals of messages that the database declares as J1939, those of every message
   * with 29 bits, or none. Default: none.
   */
  readonly statuses?: 'declared' | 'every' | 'none';
}

interface Column {
  readonly info: SignalInfo;
  readonly cell: number;
  readonly readers: readonly CellReader[];
  readonly signal: Signal;
  readonly hasStatus: boolean;
}

/** Turns rows into objects with labels. */
export class RowReader {
  readonly #layout: RowLayout;
  readonly #columns: readonly (readonly Column[])[];

  constructor(layout: RowLayout, database: Database, { statuses = 'none' }: RowReaderOptions = {}) {
    this.#layout = layout;
    this.#columns = layout.messages.map((message) => {
      const found = database.messages.findLast((one) => idWord(one) === message.id && one.name === message.name)!;
      const signals = new Map(found.signals.map((signal) => [signal.name, signal]));
      return message.signals.map((cell) => {
        const { signal: info } = cell;
        const signal = signals.get(info.signal)!;
        const hasStatus = statuses !== 'none' && hasSpnStatus(database, found, signal, statuses === 'every');
        return { info, cell: cell.cell, readers: CellReader.of(cell), signal, hasStatus };
      });
    });
  }

  *read({ f64, u32, bytes }: Rows): Generator<DecodedFrame> {
    for (let at = 0; at < bytes; ) {
      const index = messageOf(u32, at);
      const message = this.#layout.messages[index]!;
      const first = (at + message.firstCell) / 4;
      const values = new Map<string, number | bigint>();
      const labels = new Map<string, string>();
      const statuses = new Map<string, Exclude<SpnStatus, 'valid'>>();
      for (const { info, cell, readers, signal, hasStatus } of this.#columns[index]!) {
        if (!isPresent(u32, at, cell)) continue;
        const [high = 0, low = 0] = readers.map((reader) => reader.read(u32, first));
        const status = hasStatus ? spnStatus(high, info.bits) : 'valid';
        if (status === 'valid') values.set(info.signal, exact(info, high, low));
        else statuses.set(info.signal, status);
        const label = labelOf(signal, info, high, low);
        if (label !== undefined) labels.set(info.signal, label);
      }
      yield { message, timeNs: f64[(at + ROW_TIME) / 8]!, short: isShort(u32, at), values, labels, statuses };
      at += message.rowBytes;
    }
  }
}
