import { type Cursor, KEYWORDS } from './cursor.ts';
import type { Section } from './sections.ts';

/** What stands before the messages. */
export const HEADER_SECTIONS: Readonly<Record<string, Section>> = {
  VERSION: (cursor, _, out) => {
    out.version = cursor.string('the version in quotes');
    cursor.accept(';');
  },

  /** Keywords that the file may use, each alone on an indented line. No tool needs them; they are kept. */
  NS_: (cursor, _, out) => {
    cursor.accept(':');
    let isTold = false;
    while (cursor.peek.kind === 'word' && isSymbol(cursor)) {
      const token = cursor.next();
      out.newSymbols.push(token.text);
      if (token.first && token.column > 1) continue;
      if (!isTold) {
        cursor.find(
          'TG_DBC_SYNTAX',
          token,
          `expected an indented line for each keyword of NS_, found "${token.text}" ${token.first ? 'at its begin' : 'beside another'}`,
          'Put each on a line of its own that begins with a tab.',
          'warning',
        );
      }
      isTold = true;
    }
  },

  /** `BS_: 500 : 0, 0;` mostly empty. */
  BS_: (cursor, _, out) => {
    cursor.expect(':');
    const from = cursor.peek;
    const words: string[] = [];
    while (!cursor.peek.first && cursor.peek.kind !== 'end') words.push(cursor.next().text);
    if (words.length > 0 && from.kind !== 'end') out.bitTiming = words.join(' ');
  },

  /** `BU_: Gateway Dash` */
  BU_: (cursor, _, out) => {
    cursor.expect(':');
    out.nodes.push(...cursor.names('a node'));
    cursor.accept(';');
  },
};

/** A word of the block: one that ends its line, or stands on a line of keywords only. */
function isSymbol(cursor: Cursor): boolean {
  if (cursor.afterPeek.first) return true;
  for (let more = 0; ; more++) {
    const token = cursor.ahead(more);
    if (more > 0 && token.first) return true;
    if (token.kind !== 'word' || !KEYWORDS.has(token.text)) return false;
  }
}
