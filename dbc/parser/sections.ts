import { type Token, tokens } from '../lexer.ts';
import { ATTRIBUTE_SECTIONS } from './attributes.ts';
import { Cursor, KEYWORDS, Misread } from './cursor.ts';
import { FRAME_SECTIONS } from './frames.ts';
import { HEADER_SECTIONS } from './header.ts';
import { noStatements, type Statements } from './raw.ts';
import { TEXT_SECTIONS } from './texts.ts';
import { VARIABLE_SECTIONS } from './variables.ts';

/** Reads one kind of statement, from behind its keyword. */
export type Section = (cursor: Cursor, keyword: Token, out: Statements) => void;

const SECTIONS: ReadonlyMap<string, Section> = new Map(
  [HEADER_SECTIONS, FRAME_SECTIONS, TEXT_SECTIONS, ATTRIBUTE_SECTIONS, VARIABLE_SECTIONS].flatMap((sections) =>
    Object.entries(sections),
  ),
);

/** Reads every statement that can be read; the others are findings, each at the token that was not expected. */
export function readStatements(text: string): Statements {
  const out = noStatements();
  const cursor = new Cursor(text, tokens(text), out.findings);
  while (cursor.peek.kind !== 'end') {
    const start = cursor.at;
    const keyword = cursor.next();
    try {
      statement(cursor, keyword, out);
      out.understood++;
    } catch (error) {
      if (!(error instanceof Misread)) throw error;
      cursor.find('TG_DBC_SYNTAX', error.token, error.message, error.fix);
      cursor.forwardTo(start + 1);
      cursor.skipToStatement();
    }
  }
  return out;
}

function statement(cursor: Cursor, keyword: Token, out: Statements): void {
  const section = keyword.kind === 'word' ? SECTIONS.get(keyword.text) : undefined;
  if (section !== undefined) {
    section(cursor, keyword, out);
    return;
  }
  if (keyword.kind !== 'word' || !KEYWORDS.has(keyword.text))
    throw new Misread(keyword, 'a keyword of the DBC language', 'Remove the line or mend its first word.');
  out.verbatim.push(cursor.restAsWritten(keyword));
}
