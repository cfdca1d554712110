import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { buildStandIn } from './stand-in/rig.ts';

// Blocks below any threshold of malloc, of which one in a hundred stays: no free page is at the end of the heap.
const HOLES = `
  import { readFileSync } from 'node:fs';
  import { nativeAddon } from ${JSON.stringify(fileURLToPath(new URL('../../firmware-bridge/native.ts', import.meta.url)))};
  const addon = nativeAddon();
  const dirtyMiB = () => Number(/^Private_Dirty: +(\\d+)/m.exec(readFileSync('/proc/self/smaps_rollup', 'latin1'))[1]) / 1024;
  let blocks = Array.from({ length: 20_000 }, (_, i) => new Uint8Array(3_000).fill(i));
  const kept = blocks.filter((_, i) => i % 100 === 0);
  blocks = null;
  for (let i = 0; i < 3; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const before = dirtyMiB();
  addon.trim();
  console.log(JSON.stringify({ gaveBack: before - dirtyMiB(), whole: kept.every((bytes, i) => bytes[2_999] === (i * 100) % 256) }));
`;

describe.skipIf(buildStandIn() === null)('the addon (needs the package g++)', () => {
  it('gives back to the kernel what is free between blocks in use, and nothing else', () => {
    const args = ['--expose-gc', '--input-type=module', '-e', HOLES];
    const env = { ...process.env, MALLOC_ARENA_MAX: '1' };
    const child = spawnSync(process.execPath, args, { encoding: 'utf8', env });
    const { gaveBack, whole } = JSON.parse(child.stdout || `{"gaveBack":"${child.stderr.slice(-500)}"}`);
    expect(gaveBack).toBeGreaterThan(30);
    expect(whole).toBe(true);
  });
});
