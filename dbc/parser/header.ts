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
    for (let left = symbolsOfLine(cursor); left > 0; left = left > 1 ? left - 1 : symbolsOfLine(cursor)) {
      const token = cursor.next();
      out.newSymbols.push(token.text);
      if (isTold || (token.first && token.column > 1)) continue;
      isTold = true;
      const where = token.first ? 'at its begin' : 'beside another';
      cursor.find(
        'TG_DBC_SYNTAX',
        token,
        `expected an indented line for each keyword of NS_, found "${token.text}" ${where}`,
        'Put each on a line of its own that begins with a tab.',
        'warning',
      );
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

/** How many symbols stand up to the end of the line: one word of any kind, or keywords only; 0 where it is a statement. */
function symbolsOfLine(cursor: Cursor): number {
  if (cursor.peek.kind !== 'word') return 0;
  if (cursor.afterPeek.first) return 1;
  for (let more = 0; ; more++) {
    const token = cursor.ahead(more);
    if (more > 0 && token.first) return more;
    if (token.kind !== 'word' || !KEYWORDS.has(token.text)) return 0;
  }
}
