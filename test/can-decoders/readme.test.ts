import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

describe('the example of the README', () => {
  it.each([
    ['can-decoders', 'Engine 1000\n'],
    ['wasm', 'local.get,local.get,i32.add,end\n'],
  ])('of %s runs and says what it says', (room, expected) => {
    const text = readFileSync(`${root}${room}/README.md`, 'utf8');
    const example = /```ts\n([\s\S]*?)```/.exec(text)![1]!;
    expect(example).toContain(`// ${expected.trim()}`);
    const child = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', example], {
      cwd: root,
      encoding: 'utf8',
    });
    expect(child.stderr).toBe('');
    expect(child.stdout).toBe(expected);
  });
});
