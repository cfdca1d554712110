// The second form of the unit: one executable (Node's single executable application, made by pkg), the addons and the store's
// thread beside it. pkg's command line would download Node and has no way to bake flags in; its function has both.
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { root } from '../../scripts/run.mjs';
import { bundle, MAIN, WORKER } from './bundle.mjs';

/** Baked in, so that nobody can leave them out. */
const FLAGS = [
  '--disallow-code-generation-from-strings',
  '--max-semi-space-size=1',
  '--optimize-for-size',
  '--max-lazy',
  '--no-sparkplug',
  '--bytecode-old-age=2',
  '--invocation-count-for-maglev=2000',
  '--invocation-count-for-turbofan=10000',
];

/**
 * @param {{ arch: string, version: string, nodeVersion: string, node: Buffer, addon: string, sqlite: Buffer, out: string }} parts
 * @returns {Promise<string>} the executable in the folder `out`
 */
export async function writeExecutable({ arch, version, nodeVersion, node, addon, sqlite, out }) {
  const work = mkdtempSync(join(tmpdir(), 'tollgate-sea-'));
  try {
    const base = join(work, 'node');
    writeFileSync(base, node, { mode: 0o755 });
    const { files } = await bundle('unit', version, { split: false });
    const main = join(work, 'tollgate.cjs');
    writeFileSync(main, files.get(MAIN));
    mkdirSync(join(out, 'native'), { recursive: true });
    const executable = join(out, 'tollgate');
    const { default: sea } = createRequire(join(root, 'package.json'))('@yao-pkg/pkg/lib-es5/sea.js');
    const target = { nodeRange: `node${nodeVersion}`, platform: 'linux', arch, output: executable };
    await sea(main, {
      targets: [target],
      nodePath: base,
      seaConfig: {
        execArgv: FLAGS,
        execArgvExtension: 'none',
        disableExperimentalSEAWarning: true,
        useCodeCache: false,
      },
    });
    chmodSync(executable, 0o755);
    mkdirSync(dirname(join(out, WORKER)), { recursive: true });
    writeFileSync(join(out, WORKER), files.get(WORKER));
    writeFileSync(join(out, 'package.json'), '{"type":"commonjs"}\n');
    copyFileSync(addon, join(out, 'native', `tollgate-${arch}.node`));
    writeFileSync(join(out, 'native', 'better_sqlite3.node'), sqlite);
    return executable;
  } finally {
    rmSync(work, { recursive: true });
  }
}
