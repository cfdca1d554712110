// Two bundles of plain JavaScript: the unit's, without simulator, receiver and any CAN transmitter, and the tools'. Each is one
// file, and one more for the store's thread. Deterministic: the same tree gives the same bytes.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { folderCommands } from '../../cli/main.ts';
import { root } from '../../scripts/run.mjs';

const ENTRY = '\0tollgate-entry';
export const MAIN = 'tollgate.js';
/** Where the module that starts the thread looks for it: beside itself. */
export const WORKER = 'agent/store/worker.js';
/** What the unit's bundle may not hold; an import of it fails when it is used, and says so. */
const NOT_ON_A_UNIT = /^#(sim|receiver)(\/|$)/;

/** Names of the commands that belong to a package. */
export async function commandsOf(kind) {
  const { names, load } = folderCommands();
  const commands = await Promise.all(names.map(load));
  return commands.filter((command) => kind === 'tools' || command.package === 'unit');
}

/**
 * @param {'unit' | 'tools'} kind
 * @param {'esm' | 'cjs'} format cjs for a single executable, whose main script can be nothing else
 * @returns {Promise<{files: Map<string, string>, modules: string[]}>} text by file name; the modules that are in it
 */
export async function bundle(kind, version, format = 'esm') {
  const commands = await commandsOf(kind);
  const entry = [
    `import { main, processIo } from ${JSON.stringify(join(root, 'cli', 'main.ts'))};`,
    'const commands = {',
    ...commands.map(({ name }) => {
      const file = join(root, 'cli', 'commands', `${name.replaceAll(' ', '-')}.ts`);
      return `  ${JSON.stringify(name)}: () => import(${JSON.stringify(file)}),`;
    }),
    '};',
    'const load = async (name) => (await commands[name]()).command;',
    'const code = (value) => void (process.exitCode = value);',
    'main(process.argv.slice(2), processIo(), { names: Object.keys(commands), load }).then(code);',
  ].join('\n');
  const files = new Map();
  const modules = new Set();
  for (const [file, input] of [
    [MAIN, ENTRY],
    [WORKER, join(root, 'agent', 'store', 'worker.ts')],
  ]) {
    const chunk = await oneFile(input, ours(entry, version, kind, file), kind, file === WORKER ? 'esm' : format);
    for (const id of chunk.moduleIds) modules.add(id.startsWith(root) ? id.slice(root.length) : id);
    files.set(file, chunk.code);
  }
  return { files, modules: [...modules].sort() };
}

/** A program of this project as one file, to lie beside a bundle and share its addons: `sim/vm` tests with it from within. */
export async function bundleProgram(input) {
  const { code } = await oneFile(input, ours('', '0.0.0', 'tools', MAIN), 'tools', 'esm');
  return code;
}

async function oneFile(input, plugin, kind, format) {
  const build = await rolldown({
    input,
    cwd: root,
    platform: 'node',
    logLevel: 'warn',
    plugins: [plugin],
    external: kind === 'unit' ? [NOT_ON_A_UNIT, /^socketcan$/] : [/^socketcan$/],
  });
  const { output } = await build.generate({
    format,
    codeSplitting: false,
    minify: { compress: true, mangle: false, codegen: false },
    comments: false,
  });
  await build.close();
  return output[0];
}

/** What differs between a checkout and a bundle: the entry, the version, where addons lie. */
function ours(entry, version, kind, file) {
  const up = '../'.repeat(file.split('/').length - 1);
  return {
    name: 'tollgate',
    resolveId: (id) => (id === ENTRY ? ENTRY : null),
    load(id) {
      if (id === ENTRY) return entry;
      if (id.endsWith('/cli/version.ts')) return `export const version = () => ${JSON.stringify(version)};`;
      // The addon lies beside the bundle, not below node_modules; nothing is searched for at run time.
      if (id.endsWith('/better-sqlite3/lib/index.js')) {
        return `
          import { createRequire } from 'node:module';
          import createDatabase from './database.js';
          const addon = () => createRequire(import.meta.url)('./${up}native/better_sqlite3.node');
          export default createDatabase(addon, false);
        `;
      }
      return null;
    },
    /** A module finds its files where it would lie if the bundle's folder were the checkout. */
    transform(code, id) {
      if (!id.startsWith(root) || id.includes('node_modules') || !code.includes('import.meta.url')) return null;
      const place = `./${up}${id.slice(root.length).replace(/\.ts$/, '.js')}`;
      return code.replaceAll('import.meta.url', `new URL(${JSON.stringify(place)}, import.meta.url).href`);
    },
    buildEnd() {
      if (kind !== 'unit') return;
      for (const id of this.getModuleIds()) {
        if (/\/(sim|receiver|bench|test)\//.test(id.slice(root.length - 1)) && id.startsWith(root)) {
          throw new Error(`the unit's bundle must not hold ${id.slice(root.length)}`);
        }
      }
    },
  };
}

export function projectVersion() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
}
