import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ERRORS, formatError, TollgateError } from '#contracts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const ROOMS =
  'contracts wasm wire dbc ledger trust can-decoders policies privacy firmware-bridge receiver agent sim cli'.split(
    ' ',
  );

function source(): string {
  const files = ROOMS.flatMap((room) =>
    readdirSync(join(root, room), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  return files
    .filter((file) => !file.includes('contracts/errors'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
}

describe('the error table', () => {
  it('is what docs/errors.md says', () => {
    const child = spawnSync(process.execPath, [join(root, 'scripts/errors-page.mjs'), '--check'], { encoding: 'utf8' });
    expect(child.stderr).toBe('');
    expect(child.status).toBe(0);
  });

  it('holds no code that nothing raises', () => {
    const text = source();
    expect(Object.keys(ERRORS).filter((code) => !text.includes(code))).toEqual([]);
  });

  it('gives each code a cause and a remedy in sentences', () => {
    for (const [code, { cause, remedy }] of Object.entries(ERRORS)) {
      expect(cause, code).toMatch(/^[A-Z`].*[.]$/);
      expect(remedy, code).toMatch(/^[A-Z`].*[.]$/);
    }
  });
});

describe('an error', () => {
  it('reads as code, place, what came and the remedy', () => {
    const error = new TollgateError('TG_CONFIG_UNKNOWN_KEY', '"stat" is not a key here', {
      place: { file: 'tollgate.yaml', line: 3, column: 5, pointer: '/unit/stat' },
      remedy: 'Did you mean "state"?',
    });
    expect(formatError(error)).toBe(
      'tollgate.yaml:3:5  TG_CONFIG_UNKNOWN_KEY  "stat" is not a key here\n   at /unit/stat\n   Did you mean "state"?',
    );
    expect(JSON.parse(JSON.stringify(error))).toMatchObject({ code: 'TG_CONFIG_UNKNOWN_KEY', line: 3, column: 5 });
  });
});
