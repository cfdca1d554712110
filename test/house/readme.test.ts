import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { folderCommands, main } from '../../cli/main.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const SKIPPED = /^(node_modules|dist|build|\.bench|\.git|\.vitest)\//;
const pages = readdirSync(root, { recursive: true })
  .map(String)
  .filter((file) => file.endsWith('.md') && !SKIPPED.test(file));
const text = (file: string) => readFileSync(join(root, file), 'utf8');

describe('the documents', () => {
  it('link only to what is there', () => {
    const dead = pages.flatMap((page) =>
      [...text(page).matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)]
        .map((match) => match[1]!)
        .filter((target) => !existsSync(join(root, dirname(page), target)))
        .map((target) => `${page}: ${target}`),
    );
    expect(dead).toEqual([]);
  });

  it('name only npm scripts that exist', () => {
    const { scripts }: { scripts: Record<string, string> } = JSON.parse(text('package.json'));
    const named = pages.flatMap((page) =>
      [...text(page).matchAll(/`npm run ([a-z]+)/g)].map((match) => ({ page, script: match[1]! })),
    );
    expect(named.filter(({ script }) => scripts[script] === undefined)).toEqual([]);
  });

  it('name only commands that exist', () => {
    const { names } = folderCommands();
    const unknown = pages.flatMap((page) =>
      [...text(page).matchAll(/(?:`|^|&& )(?:node cli\/tollgate\.mjs|tollgate) ([a-z]+(?: [a-z]+)?)/gm)]
        .map((match) => match[1]!)
        .filter(
          (words) =>
            !names.some((name) => words === name || words.startsWith(`${name} `) || name.startsWith(`${words} `)),
        )
        .map((words) => `${page}: ${words}`),
    );
    expect(unknown).toEqual([]);
  });

  it('hold no path of a machine', () => {
    expect(pages.filter((page) => /\/(home|root|work|Users)\//.test(text(page)))).toEqual([]);
  });

  it('lie where a stranger looks for them', () => {
    expect(pages.map((page) => relative('.', page))).toEqual(
      expect.arrayContaining([
        'README.md',
        'CONTRIBUTING.md',
        'CHANGELOG.md',
        'docs/life-of-a-frame.md',
        'docs/threat-model.md',
        'docs/errors.md',
      ]),
    );
  });
});

describe('every command', () => {
  it.each(folderCommands().names)('%s answers --help with usage and an example', async (name) => {
    const command = await folderCommands().load(name);
    expect(command.name).toBe(name);
    let out = '';
    const io = {
      stdin: (async function* () {})(),
      out: (chunk: string) => {
        out += chunk;
      },
      err: () => undefined,
      interactive: false,
      signal: new AbortController().signal,
    };
    expect(await main([...name.split(' '), '--help'], io)).toBe(0);
    expect(out).toContain(`Usage: tollgate ${name}`);
    expect(out).toMatch(/Examples?:/);
    expect(command.help).toContain(name);
  });
});
