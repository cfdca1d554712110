import type { SignalInfo } from '#contracts';
import { CellReader } from '../cells.ts';
import type { Rows } from '../decoder.ts';
import { spnStatus } from '../j1939/status.ts';
import { isPresent, messageOf, ROW_PRESENCE, type RowLayout } from '../layout.ts';

/** What becomes of the raw value of a signal before anybody sees it. */
export interface SignalRules {
  /** Width of a J1939 parameter whose indicators are no values; 0 where all patterns are values. */
  readonly statusBits: number;
  /** Raw value → value in its stead; what is not in it has none. */
  readonly values: ReadonlyMap<number, number> | null;
}

interface Rule extends SignalRules {
  readonly reader: CellReader;
  readonly cells: number;
}

/** Applies rules to rows in place: a value that is none becomes absent, as if it had not been there. */
export class RowRules {
  withheld = 0;
  readonly isEmpty: boolean;
  readonly #layout: RowLayout;
  readonly #byMessage: readonly (readonly Rule[])[];

  constructor(layout: RowLayout, rulesOf: (signal: SignalInfo) => SignalRules) {
    this.#layout = layout;
    this.#byMessage = layout.messages.map(({ signals }) =>
      signals
        .map((cell) => ({ reader: CellReader.of(cell)[0]!, cells: cell.cells, ...rulesOf(cell.signal) }))
        .filter(({ statusBits, values }) => statusBits > 0 || values !== null),
    );
    this.isEmpty = this.#byMessage.every((rules) => rules.length === 0);
  }

  apply({ u32, bytes }: Rows): void {
    if (this.isEmpty) return;
    const { messages } = this.#layout;
    for (let at = 0; at < bytes; ) {
      const index = messageOf(u32, at);
      const { rowBytes, firstCell } = messages[index]!;
      const rules = this.#byMessage[index]!;
      const first = (at + firstCell) >>> 2;
      for (let i = 0; i < rules.length; i++) {
        const { reader, cells, statusBits, values } = rules[i]!;
        if (!isPresent(u32, at, reader.cell)) continue;
        const raw = reader.raw(u32, first);
        const isMapped = values === null || values.has(raw);
        if (isMapped && (statusBits === 0 || spnStatus(raw, statusBits) === 'valid')) continue;
        for (let cell = reader.cell; cell < reader.cell + cells; cell++) {
          u32[((at + ROW_PRESENCE) >>> 2) + (cell >>> 5)]! &= ~(1 << (cell & 31));
          u32[first + cell] = 0;
        }
        this.withheld++;
      }
      at += rowBytes;
    }
  }
}
