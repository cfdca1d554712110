import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The table of the rooms: what each may import beside itself (docs/decisions/0001). */
const MAY_IMPORT: Record<string, readonly string[]> = {
  contracts: [],
  wasm: [],
  wire: ['contracts'],
  dbc: ['contracts'],
  ledger: ['wire', 'contracts'],
  trust: ['wire', 'contracts'],
  'can-decoders': ['dbc', 'wasm', 'contracts'],
  policies: ['wire', 'wasm', 'contracts'],
  privacy: ['contracts'],
  v2x: ['contracts'],
  'firmware-bridge': ['trust', 'wire', 'wasm', 'contracts'],
  receiver: ['firmware-bridge', 'policies', 'ledger', 'trust', 'wire', 'contracts'],
  agent: [
    'firmware-bridge',
    'v2x',
    'privacy',
    'policies',
    'can-decoders',
    'trust',
    'ledger',
    'dbc',
    'wire',
    'wasm',
    'contracts',
  ],
  sim: [
    // The virtual T-Box boots what packaging makes.
    'packaging',
    'agent',
    'firmware-bridge',
    'v2x',
    'privacy',
    'policies',
    'can-decoders',
    'trust',
    'ledger',
    'dbc',
    'wire',
    'wasm',
    'contracts',
  ],
};
/** `receiver` reaches only this file of the bridge, `sim` only this one of the agent. */
const ONLY_FILE: Record<string, RegExp> = {
  'receiver>firmware-bridge': /^firmware-bridge\/mqtt\.ts$/,
  'sim>agent': /^agent\/(unit|keys)\.ts$/,
};
const PURE = ['contracts', 'wasm', 'wire', 'dbc', 'ledger', 'trust', 'can-decoders', 'policies', 'privacy', 'v2x'];
/** Pure computation of the platform; everything else of it is I/O, time or environment. */
const PURE_NODE = ['node:crypto', 'node:zlib', 'node:buffer'];
const ALIASES: Record<string, string> = { decoders: 'can-decoders' };

interface Import {
  readonly file: string;
  readonly room: string;
  readonly target: string;
}

function filesOf(room: string): string[] {
  return readdirSync(join(root, room), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

const codeOf = (file: string) => readFileSync(join(root, file), 'utf8').replace(/^\s*(\/\/|\*|\/\*).*$/gm, '');

function importsOf(file: string): Import[] {
  const room = file.split('/')[0]!;
  const found = codeOf(file).matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g);
  return [...found].map((match) => ({ file, room, target: match[1]! }));
}

/** The project file that an import names, or null for a package or a part of Node. */
function resolve({ file, target }: Import): string | null {
  if (target.startsWith('.')) return relative(root, join(root, file, '..', target));
  if (!target.startsWith('#')) return null;
  const [alias, ...rest] = target.slice(1).split('/');
  const room = ALIASES[alias!] ?? alias!;
  return rest.length === 0 ? `${room}/index.ts` : `${room}/${rest.join('/')}.ts`;
}

const all = Object.keys(MAY_IMPORT).flatMap(filesOf).flatMap(importsOf);

describe('the rooms', () => {
  it('import only what the table allows', () => {
    const wrong = all.filter((one) => {
      const path = resolve(one);
      if (path === null) return false;
      const to = path.split('/')[0]!;
      if (to === one.room) return false;
      const only = ONLY_FILE[`${one.room}>${to}`];
      return !MAY_IMPORT[one.room]!.includes(to) || (only !== undefined && !only.test(path));
    });
    expect(wrong.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });

  it('have a README each', () => {
    const rooms = [...Object.keys(MAY_IMPORT), 'cli', 'test', 'bench', 'packaging'];
    const bare = rooms.filter((room) => !readdirSync(join(root, room)).includes('README.md'));
    expect(bare).toEqual([]);
  });
});

describe('a pure room', () => {
  it('uses no part of Node that does I/O', () => {
    const wrong = all.filter(
      ({ room, target }) => PURE.includes(room) && target.startsWith('node:') && !PURE_NODE.includes(target),
    );
    expect(wrong.map(({ file, target }) => `${file} imports ${target}`)).toEqual([]);
  });

  it('reads no clock, no environment and no chance of its own', () => {
    const forbidden =
      /\b(Date\.now|performance\.now|Math\.random|process\.\w+|randomBytes|randomUUID|getRandomValues)\b|new Date\(\)/;
    const wrong = PURE.flatMap(filesOf).filter((file) => forbidden.test(codeOf(file)));
    expect(wrong).toEqual([]);
  });
});

describe('the whole house', () => {
  it('makes no code from strings', () => {
    const everywhere = [...Object.keys(MAY_IMPORT), 'cli'].flatMap(filesOf);
    expect(everywhere.filter((file) => /\bnew Function\b|[^.\w]eval\(/.test(codeOf(file)))).toEqual([]);
  });

  it('shows the whole path in at most 150 lines', () => {
    expect(readFileSync(join(root, 'agent/pipeline.ts'), 'utf8').split('\n').length).toBeLessThanOrEqual(151);
  });
});
