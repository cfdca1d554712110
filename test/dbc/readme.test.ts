import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

it('runs the example of the README', () => {
  const example = /```ts\n([\s\S]*?)```/.exec(readFileSync(`${root}dbc/README.md`, 'utf8'))![1]!;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', example], {
    cwd: root,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  const lines = stdout.trimEnd().split('\n');
  expect(lines[0]).toMatch(/^car\.dbc:2:\d+ .*\.25/);
  expect(example).toContain(`// ${lines.at(-1)}\n`);
});
