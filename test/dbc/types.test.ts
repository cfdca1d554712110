import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { databaseTypes, loadDatabase } from '#dbc';

const folder = mkdtempSync(join(tmpdir(), 'types-'));
afterAll(() => rmSync(folder, { recursive: true }));
const tsc = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url));

const TEXT = `VERSION ""
BU_: A
BO_ 256 Engine: 8 A
 SG_ Speed : 0|16@1+ (1,0) [0|0] "rpm" A
 SG_ Mode M : 16|2@1+ (1,0) [0|0] "" A
 SG_ Hot m0 : 24|8@1+ (1,0) [0|0] "" A
BO_ 257 class: 8 A
 SG_ Wide : 0|64@1+ (1,0) [0|0] "" A
BO_ 258 Messages: 1 A
 SG_ 1st : 0|8@1+ (1,0) [0|0] "" A
BO_ 259 Größe: 1 A
CM_ BO_ 256 "ends */ here";
VAL_ 256 Mode 0 "a \\"quoted\\" text" 1 "Cold" 2 "Cold" ;
`;

/** What the compiler says of code that uses the types; empty where it agrees. */
function compiled(code: string): string {
  const { database } = loadDatabase(TEXT, { file: 'car.dbc' });
  writeFileSync(join(folder, 'car.d.ts'), databaseTypes(database));
  writeFileSync(join(folder, 'use.ts'), `import type { Frame, Labels, Messages } from './car.d.ts';\n${code}\n`);
  const options = ['--noEmit', '--strict', '--types', '', '--allowImportingTsExtensions', '--target', 'es2022'];
  try {
    execFileSync(tsc, [...options, join(folder, 'use.ts')], { encoding: 'utf8', cwd: folder });
    return '';
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

describe('the types of a database', () => {
  it('compile, whatever the names and comments', () => {
    expect(
      compiled(`
        declare const frame: Frame;
        if (frame.message === 'Engine') { const speed: number = frame.values.Speed; void speed; }
        const first: number = ({} as Messages['Messages'])['1st'];
        const wide: number | bigint = ({} as Messages['class']).Wide;
        const label: Labels['Engine.Mode'] = 'a "quoted" text';
        void [first, wide, label, {} as Messages['Größe']];`),
    ).toBe('');
  });

  it('refuse a signal of another message, a branch taken for granted, a label that is none', () => {
    expect(compiled("void ({} as Messages['Engine']).Wide;")).toContain("'Wide' does not exist");
    expect(compiled("const hot: number = ({} as Messages['Engine']).Hot; void hot;")).toContain("'undefined'");
    expect(compiled("const label: Labels['Engine.Mode'] = 'Warm'; void label;")).toContain('Warm');
  });
});
