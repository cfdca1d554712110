import type { SignalInfo } from '#contracts';
import type { Rows } from '../decoder.ts';
import { spnStatus } from '../j1939/status.ts';
import { ROW_HEADER_BYTES, type RowLayout } from '../layout.ts';

/** What becomes of the raw value of a signal before anybody sees it. */
export interface SignalRules {
  /** Width of a J1939 parameter whose indicators are no values; 0 where all patterns are values. */
  readonly statusBits: number;
  /** Raw value → value in its stead; what is not in it has none. */
  readonly values: ReadonlyMap<number, number> | null;
}

interface Rule extends SignalRules {
  readonly cell: number;
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
        .map(({ signal, cell }) => ({ cell, ...rulesOf(signal) }))
        .filter(({ statusBits, values }) => statusBits > 0 || values !== null),
    );
    this.isEmpty = this.#byMessage.every((rules) => rules.length === 0);
  }

  apply({ u32, f64, bytes }: Rows): void {
    if (this.isEmpty) return;
    const { messages } = this.#layout;
    for (let at = 0; at < bytes; ) {
      const index = u32[at >>> 2]!;
      const { rowBytes, cells } = messages[index]!;
      const rules = this.#byMessage[index]!;
      const first = (at + rowBytes) / 8 - cells;
      for (let i = 0; i < rules.length; i++) {
        const { cell, statusBits, values } = rules[i]!;
        const word = ((at + ROW_HEADER_BYTES) >>> 2) + (cell >>> 5);
        const bit = 1 << (cell & 31);
        if ((u32[word]! & bit) === 0) continue;
        const raw = f64[first + cell]!;
        const mapped = values === null ? raw : values.get(raw);
        if (mapped !== undefined && (statusBits === 0 || spnStatus(raw, statusBits) === 'valid')) {
          f64[first + cell] = mapped;
          continue;
        }
        u32[word]! &= ~bit;
        f64[first + cell] = 0;
        this.withheld++;
      }
      at += rowBytes;
    }
  }
}
