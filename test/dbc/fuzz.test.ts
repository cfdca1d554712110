import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { type Database, lintDatabase, loadDatabase, writeDatabase } from '#dbc';
import { tokens } from '#dbc/lexer';
import { meaning, WHOLE } from './texts.ts';

const OWN = readFileSync(new URL('../../dbc/databases/tollgate-vehicle.dbc', import.meta.url), 'utf8');
/** Small files, so that ten thousand take seconds: each mutation hits something. */
const SOURCES = [WHOLE, OWN.slice(0, 2000), OWN.slice(-2000), OWN.slice(1200, 2800)];
const FILES = 10_000;
/** One file in so many is written and read back too. */
const WRITTEN = 9;
const PIECES = [
  ...['SG_ ', 'BO_ ', 'CM_ ', 'VAL_ ', 'SG_MUL_VAL_ ', 'BA_ ', 'NS_ :', 'BU_:', 'EV_ ', 'BA_DEF_ '],
  ...['"', '\\"', ';', ':', '|', '@', '(', ')', '[', ']', ',', '-', '.', '//', '\n', '\r', '\0', '\ufeff', '\ud800'],
  ...['M', 'm0 ', 'm1M ', '0x1', ' 0 ', '4294967296', '1e999', '-1', '99999999999999999999', '1e-999', 'é'],
];

/** Linear congruential, Numerical Recipes: the same files in every run. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function mutated(text: string, next: (below: number) => number): string {
  let result = text;
  for (let i = next(5); i >= 0; i--) {
    const at = next(result.length + 1);
    const lines = result.split('\n');
    const [one, two] = [next(lines.length), next(lines.length)];
    switch (next(6)) {
      case 0:
        result = result.slice(0, at) + result.slice(at + next(20));
        break;
      case 1:
        result = result.slice(0, at) + PIECES[next(PIECES.length)] + result.slice(at);
        break;
      case 2:
        lines.splice(one, 0, lines[two]!);
        result = lines.join('\n');
        break;
      case 3:
        [lines[one], lines[two]] = [lines[two]!, lines[one]!];
        result = lines.join('\n');
        break;
      case 4:
        result = result.slice(0, at) + String.fromCharCode(next(256)) + result.slice(at + 1);
        break;
      default:
        if (next(8) === 0) result = result.slice(0, at);
    }
  }
  return result;
}

/** null where the file was refused, as a file may be. */
function loaded(text: string): Database | null {
  try {
    const { database, findings } = loadDatabase(text, { file: 'fuzz.dbc' });
    for (const { line, column, message } of findings) {
      if (!(line > 0 && column > 0 && message !== '')) throw new Error(`a finding without place: ${message}`);
    }
    return database;
  } catch (error) {
    if (error instanceof TollgateError && error.place.line! > 0 && error.place.column! > 0) return null;
    throw error;
  }
}

/** Each multiplexer depends on the one before. */
function multiplexers(count: number): string {
  const signals = Array.from({ length: count }, (_, i) => ` SG_ s${i} m1M : 0|8@1+ (1,0) [0|0] "" A\n`);
  const links = signals.slice(1).map((_, i) => `SG_MUL_VAL_ 1 s${i + 1} s${i} 1-1;\n`);
  return `BU_: A\nBO_ 1 M: 64 A\n${signals.join('')}${links.join('')}`;
}

function messages(count: number): string {
  const ids = Array.from({ length: count }, (_, i) => 2 ** 31 + i);
  const lines = ids.flatMap((id) => [`BO_ ${id} M${id}: 8 A`, `BO_TX_BU_ ${id} : A,B;`, `SIG_GROUP_ ${id} g 1 : a;`]);
  return lines.join('\n');
}

describe('a damaged file', () => {
  it(`never crashes the loader, and what was read is written and read back (${FILES} files)`, () => {
    const next = random(20_261_125);
    let refused = 0;
    for (let i = 0; i < FILES; i++) {
      const text = mutated(SOURCES[i % SOURCES.length]!, next);
      const database = loaded(text);
      if (database === null) refused++;
      if (database === null || i % WRITTEN !== 0) continue;
      lintDatabase(database);
      const again = loaded(writeDatabase(database));
      expect(again === null ? null : meaning(again), `file ${i}`).toEqual(meaning(database));
    }
    // Most damage leaves something to read: the loader is lenient.
    expect(refused).toBeLessThan(FILES / 100);
  });

  it.each([
    ['quotes that never close', `VERSION "${'\\"'.repeat(200_000)}`],
    ['strings that swallow statements', `VERSION "1"\nCM_ "a${'\nVAL_ 1 a \\"'.repeat(50_000)}"x`],
    ['one line of keywords', `NS_ : ${'CM_ '.repeat(50_000)}x`],
    ['a multiplexer under a multiplexer, and so on', `${multiplexers(2000)}`],
    ['messages with senders and groups', messages(10_000)],
  ])('is read in a time that its length allows: %s', (_, text) => {
    // Quadratic time would take minutes here; the runner's own limit is what fails.
    expect(() => loaded(text)).not.toThrow();
    expect(tokens(text).length).toBeGreaterThan(0);
  });

  it('of random bytes is refused or read, never a crash', () => {
    const next = random(7);
    for (let i = 0; i < 200; i++) {
      const bytes = Uint8Array.from({ length: next(2000) }, () => next(256));
      const text = new TextDecoder('windows-1252').decode(bytes);
      expect(() => loaded(text)).not.toThrow();
      expect(() => loaded(`VERSION "x"\n${text}`)).not.toThrow();
    }
  });
});
